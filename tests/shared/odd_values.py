"""Values that nobody should give to a variable of a role, and the roles' variables with what they may be."""

from __future__ import annotations

import datetime
import sys

import yaml
from playbook import ROOT

sys.path.insert(0, str(ROOT / "plugins/python"))
from site_values.kinds import HANDED_OVER
from site_values.values import problems

ROLES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))

WORST = 'a"quoted"\\pass`word$HOME%d{#ö😀'
ODD_TEXT = [
    *("", "x", "0", "1", "-1", "010", "0x10", "1e3", "1_000", "3.5", "no", "true", "null", "~", "a" * 5000),
    *("a b", " a", "a ", "a  b", "a\nb", "a\n", "a\tb", "a\0b", "\u00a0", "a\u2028b", "\x7f", "\ud800", "\u200b"),
    *("'", '"', "a'b", 'a"b', "o'neil", "a\\b", "a\\", "`a`", "$HOME", "${a}", "$(id)", "%", "%d", "%%", "%n"),
    *(
        "{{ x }}",
        "{{",
        "{% x",
        "{# x #}",
        "ü",
        "größe",
        "😀",
        "ö😀" * 30,
        "#a",
        ";a",
        "a;b",
        "a,b",
        "a|b",
        "a&b",
        "a=b",
    ),
    *("a:b", "[a]", "<a>", "*", "?", "!", "a@b", "a@b.c", "-a", "--a", "..", "../a", "/", "//", "/a b", "/a'b", "/a%b"),
    *("/a$b", "/a{b}", "/ü", "/a/", "/tmp/x", "~/x", "a..b", ".a", "a.", "a.b", "/" + "a" * 5000, "../../etc/passwd"),
    *("http://", "http://a:b", "http://ü/", "http://a/'\"%&;$", "http://a/b c", "https://[::1]:8443/x", "ftp://a"),
    *("1.2.3.4", "1.2.3.4/8", "10.0.0.0/8", "::1", "fe80::1%eth0", "fe80::%eth0/64", "[::1]", "256.1.1.1"),
    *("localhost:99999", "[::1]:8125", "ssh://", "ssh://a@b/c", "ssh://a@b/c;d", "user@host:path", "ssh -i 'a"),
    *("ssh -i '/root/my key'", "1G", "500M", "-1G", "UTC", "Mars/Phobos", "Europe/Berlin", "10s:6h", "10s : 6h"),
    *("Passwörter ohne Ende", WORST, "x'\"\\$%#;" * 6),
]
NUMBERS = [0, 1, -1, 2, 60, 65535, 65536, 3.5, -0.5, 1e-9, 1e300, float("nan"), float("inf"), 10**30, -(10**30)]
LISTS = [[], [None], [[]], [{}], [True], [1], [90], [90, 90], ["90"], [3.5], [float("nan")], [10**30]]
HISTOGRAMS = [{"match": '😀\x7f"\\', "bins": [1, float("inf")]}]
DICTIONARIES = [
    *({}, {"a": 1}, {"a": None}, {1: 2}, {"a b": 1}, {"net.core.somaxconn": 1}, {"net.core.somaxconn": "1 2"}),
    *({"net.core.somaxconn": True}, {"port": 1}, {"gauge_flushes": 3}, {"gauge_flushes": "3"}, {"health_prefix": "ü"}),
    *({"histograms": HISTOGRAMS}, {"carbon": {}}, {"carbon": {"replay_rate": 100}}, {"carbon": 1}, {"statsd": {}}),
    *({"repeater": {"servers": ["a:1"]}}, {"key_flush": {"file": "/tmp/x y"}}),
]
ODD = [*ODD_TEXT, None, True, False, datetime.date(2020, 1, 1), *NUMBERS, *LISTS, *DICTIONARIES]
ODD += [[text] for text in ODD_TEXT]


def read(role, file):
    return yaml.safe_load((ROOT / "roles" / role / file).read_text())


OPTIONS = {
    name: (role, option)
    for role in ROLES
    for name, option in read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"].items()
}
KINDS = {role: read(role, "meta/values.yml") for role in ROLES}
SET_BY_PEOPLE = [name for name, (role, _) in OPTIONS.items() if KINDS[role].get(name) not in HANDED_OVER]
# test_carbon_rules.py has these.
RULES = {"carbon_schemas", "carbon_aggregation", "carbon_retentions"}


def wrong(name, value):
    """What the check says of a value."""
    role, option = OPTIONS[name]
    return problems(name, option, KINDS[role], value)


def nested(name, value):
    """A value as it is, and for a list of dictionaries in each place within one that is right otherwise."""
    options = OPTIONS[name][1].get("options") or {}
    right = {key: option.get("choices", ["right"])[0] for key, option in options.items() if option.get("required")}
    return [value, *([right | {key: value}] for key in options)]
