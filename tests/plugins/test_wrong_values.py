"""Every variable of every role is tried with odd values: each is refused by name, with the remedy, or is harmless.

What passes and could be misread is followed to where it lands by test_values_in_runs.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from odd_values import KINDS, ODD, ODD_TEXT, OPTIONS, ROLES, RULES, SET_BY_PEOPLE, nested, wrong
from playbook import ROOT
from site_values import settings
from site_values.kinds import HANDED_OVER, reader

# What may hold any letters. test_values_in_runs.py reads each of them back from where it lands, but for paths of this
# computer, which land nowhere, and the banner, which is a file of its own.
FREE = {
    *("backup_copy", "backup_passphrase", "backup_ssh", "graphite_web_admin_email", "graphite_web_admin_name"),
    *("graphite_web_admin_password", "graphite_web_secret_key", "host_secrets", "graphite_web_users"),
    *("host_banner", "host_sysctl", "nginx_tls_certificate", "nginx_tls_key", "photoworld_secret_key"),
    *("statsd_carbon_host", "statsd_carbon_watch", "statsd_settings", "statsd_tables"),
    *("watchdog_command", "watchdog_webhook", "watchdog_web_url"),
}
SAFE = re.compile(r"[A-Za-z0-9_.:/@+=,~*\[\]-]*")
REMEDY = re.compile(r"must|leave|write|take|set |give|did you mean|known|is no |shorter|is not ")
FOREIGN = re.compile(r"Traceback|object has no|<class|NoneType|Errno|Error\b")


def walk(name, option):
    yield name, option
    for key, within in (option.get("options") or {}).items():
        yield from walk(f"{name}.{key}", within)


@pytest.mark.parametrize("role", ROLES)
def test_each_variable_has_a_kind_unless_its_type_says_all(role):
    found = {path: option for name, (of, spec) in OPTIONS.items() if of == role for path, option in walk(name, spec)}
    handed_over = tuple(f"{name}." for name, kind in KINDS[role].items() if kind in HANDED_OVER)
    needed = {path for path, option in found.items() if option["type"] != "bool" and "choices" not in option}
    assert {path for path in needed if not path.startswith(handed_over)} <= set(KINDS[role]) <= set(found)
    for kind in KINDS[role].values():
        assert kind in (*HANDED_OVER, "statsd.toml") or callable(reader(kind.removeprefix("some ")))


def texts(value):
    """All texts within a value, without the names of keys."""
    if isinstance(value, dict):
        return texts(list(value.values()))
    if isinstance(value, list):
        return [text for found in value for text in texts(found)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", SET_BY_PEOPLE)
def test_an_odd_value_is_refused_by_name_with_the_remedy_or_holds_nothing_that_a_file_could_misread(name):
    secrets = [path.rpartition(".")[2] for path, option in walk(name, OPTIONS[name][1]) if option.get("no_log")]
    secret = re.compile(rf"\S*\b({'|'.join(secrets) or '(?!)'})\b")
    refused = 0
    for value in (found for odd in ODD for found in nested(name, odd)):
        found = wrong(name, value)
        refused += bool(found)
        for sentence in found:
            assert re.match(rf"{name}\b", sentence)
            assert REMEDY.search(sentence), sentence
            assert not FOREIGN.search(sentence), sentence
            if secret.match(sentence):
                assert not any(len(text) > 7 and text in sentence for text in texts(value)), sentence
        if not found and name not in FREE | RULES:
            assert all(SAFE.fullmatch(text) for text in texts(value)), value
    assert refused > len(ODD) / 3


def test_all_that_is_wrong_is_told_at_once():
    users = [{"username": "a/b", "password": "x"}, {"name": "Ann"}, {"username": "ann", "superuser": "yes", "mail": ""}]
    assert wrong("graphite_web_users", users) == [
        "graphite_web_users[0].username 'a/b': must be letters, digits and . _ + -, 100 at most, no . or - first.",
        "graphite_web_users[0].password is shorter than 8 characters. Take it out to have one generated.",
        "graphite_web_users[1] must have username.",
        "graphite_web_users[2].mail is not known; did you mean email?",
        "graphite_web_users[2].superuser 'yes': is text and must be true or false, without quotes.",
    ]


def test_a_number_may_be_text_as_the_command_line_gives_it_and_true_may_not():
    assert wrong("carbon_port", "2004") == wrong("watchdog_interval", "7.5") == wrong("carbon_caches", "2") == []
    assert wrong("carbon_port", "70000") == ["carbon_port 70000: must be a whole number from 1 to 65535."]
    assert wrong("carbon_tags", "true") == [
        "carbon_tags 'true': is text and must be true or false, without quotes "
        """(on the command line: -e '{"carbon_tags": true}')."""
    ]


def test_a_setting_of_the_aggregator_that_has_a_variable_is_set_by_it():
    """Each key that the template writes is known to the check: twice in a file, the aggregator would refuse it."""
    table, written = "", set()
    for line in (ROOT / "roles/statsd/templates/statsd.toml.j2").read_text().splitlines():
        if found := re.fullmatch(r"\[(\w+)\]", line):
            table = found[1]
        if found := re.match(r"(\w+) = ", line):
            written.add(f"{table}.{found[1]}")
    assert set(settings.taken(KINDS["statsd"])) - {"statsd.receive_buffer"} == written
    assert wrong("statsd_settings", {"state_file": "/x"}) == [
        "statsd_settings.state_file: the role sets it: leave it out."
    ]
    assert wrong("statsd_settings", {"prefix": "x"}) == ["statsd_settings.prefix: set statsd_prefix instead."]
    assert wrong("statsd_tables", {"carbn": {}}) == [
        "statsd_tables.carbn is no table of the aggregator; did you mean carbon?"
    ]


def test_a_secret_lies_where_it_is_said_to(tmp_path):
    """Ansible's lookup takes a path and settings as one text, in which blanks, quotes and = part them."""
    lookup = lookup_loader.get("password", loader=DataLoader())
    folders = [path for path in ODD_TEXT if not wrong("host_secrets", path)]
    accounts = [name for name in ODD_TEXT if not wrong("graphite_web_admin_user", name)]
    assert {"/a b", "/ü"} <= set(folders)
    for folder in folders:
        for account in accounts:
            place = f"{tmp_path}/{folder.strip('~/')[:50]}/graphite_web_{account}_password"
            made = lookup.run([place], {}, length=24, chars=["ascii_letters"])
            assert Path(place).read_text().strip() == made[0]
