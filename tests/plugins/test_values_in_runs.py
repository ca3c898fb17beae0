"""Real runs of ansible-playbook on pseudo hosts: a slip is refused in words of use, and what passes lands.

test_wrong_values.py has the breadth; here are two runs, without any host.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib

from odd_values import KINDS, ODD, OPTIONS, ROLES, RULES, SET_BY_PEOPLE, nested, wrong
from playbook import ROOT, plain_environment

FACTS = {"distribution_major_version": "13", "lo": {"ipv6": []}, "default_ipv4": {"address": "192.0.2.1"}}


def own_roles(folder):
    """The roles with their variables and templates, without what they do."""
    for role in ROLES:
        (folder / role / "meta").mkdir(parents=True)
        (folder / role / "tasks").mkdir()
        (folder / role / "tasks/none.yml").write_text("[]\n")
        parts = {path.name for path in (ROOT / "roles" / role).iterdir()} - {"tasks", "handlers", "meta"}
        for part in parts | {"meta/argument_specs.yml"}:
            (folder / role / part).symlink_to(ROOT / "roles" / role / part)


def run(folder, hosts, tasks):
    """Run tasks on pseudo hosts, each with variables as YAML on one line, after the check; what was printed."""
    own_roles(folder / "roles")
    (folder / "playbooks").mkdir()
    (folder / "inventory").mkdir()
    given = "".join(f"    {host}: {variables}\n" for host, variables in hosts.items())
    (folder / "inventory/hosts.yml").write_text(f"graphing:\n  hosts:\n{given}")
    play = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars": {"checked_roles": ROLES, "ansible_python_interpreter": sys.executable},
        "tasks": [
            *({"import_role": {"name": role, "tasks_from": "none"}} for role in ROLES),
            {"import_tasks": str(ROOT / "playbooks/tasks/role_variables.yml")},
            *tasks,
        ],
    }
    (folder / "playbooks/try.yml").write_text(json.dumps([play]))
    ran = subprocess.run(
        ["ansible-playbook", "-i", str(folder / "inventory"), str(folder / "playbooks/try.yml")],
        env=plain_environment()
        | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_ROLES_PATH": str(folder / "roles")},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout + ran.stderr


# What a person writes, as YAML, and what the run says; None where it lets it pass.
SLIP = "which Ansible reads as a template: if it is meant as it stands, write !unsafe '...'."
PASSWORD = "graphite_web_admin_password"
WRITTEN = {
    f"{{{PASSWORD}: 1234567890}}": f"{PASSWORD} is a number and must be text: put it in quotes",
    f"{{{PASSWORD}: 'secret{{{{word'}}": f"{PASSWORD} holds {{{{, {{% or {{#, {SLIP}",
    f"{{{PASSWORD}: 'secret{{#word#}}'}}": f"{PASSWORD} holds {{{{, {{% or {{#, {SLIP}",
    f"{{{PASSWORD}: '{{{{ vault_one }}}}', vault_one: 'secret{{{{word'}}": SLIP,
    f"{{{PASSWORD}: '{{{{ vault_one }}}}', vault_one: 1234567890}}": "is a number and must be text",
    f"{{{PASSWORD}: '{{{{ vault_one }}}}', vault_one: !unsafe 'secret{{{{word'}}": None,
    f"{{{PASSWORD}: !unsafe 'secret{{{{word'}}": None,
    "{graphite_web_users: [{username: ann, password: 'secret{{word'}]}": "graphite_web_users[0].password holds",
    "{graphite_web_users: [{username: ann, password: '{{ secretword }}'}]}": "graphite_web_users[0].password cannot be",
    "{graphite_web_users: [{username: ann, password: !unsafe 'secret{{word'}]}": None,
    "{statsd_prefix: '{{ nothing }}'}": "statsd_prefix cannot be read as a template ('nothing' is undefined): correct",
    "{statsd_prefix: '{{ }'}": "statsd_prefix cannot be read as a template (",
    "{statsd_prefix: a..b}": "statsd_prefix 'a..b': must be \"\" or a name",
    "{carbon_retentions: [10s]}": "carbon_retentions ['10s']: is a list and must be text",
    "{carbon_retentions: 1:30}": "carbon_retentions 90: is a number and must be text: put it in quotes",
    "{carbon_retentions: 10x}": "carbon_retentions '10x': '10x' is not STEP:LENGTH, for example 10s:6h.",
    "{carbon_prot: 1, carbon_tags: 'no'}": "carbon_prot is not a variable of role carbon (did you mean carbon_port?)",
    "{graphite_web_secrets: /x}": "graphite_web_secrets was renamed to host_secrets",
    "{carbon_whisper: /x}": "carbon_whisper is what role carbon says of itself: it can be read, but not set",
    "{statsd_port: '8126', watchdog_interval: '7.5'}": None,
    "{host_firewall: 1}": "host_firewall 1: is a number and must be true or false",
    "{python_app_name: x}": "python_app_name is handed over by the roles: leave it out.",
    '{graphite_web_admin_user: "o\'neil"}': 'graphite_web_admin_user "o\'neil": must be letters',
    "{}": None,
}


def test_a_run_says_what_is_wrong_before_anything_else_and_no_secret(tmp_path):
    hosts = {f"h{number:02}": written for number, written in enumerate(WRITTEN)}
    said = run(tmp_path, hosts, [{"debug": {"msg": "went on"}}])
    parts = {found[1]: found[2] for found in re.finditer(r"FAILED (h\d\d)\b.*?\n(.*?)\n +at ", said, re.DOTALL)}
    for host, written in hosts.items():
        complaint = WRITTEN[written]
        assert complaint is None or complaint in " ".join(parts[host].split()), said
        assert (complaint is None) == (host not in parts), said
    assert "carbon_tags 'no': is text and must be true or false" in said, "all at once"
    assert "secret{" not in said
    assert "secretword" not in said
    assert "1234567890" not in said


def passing(name):
    """The odd values that are let pass, longest first: those are the oddest."""
    kept = [value for odd in ODD for value in nested(name, odd) if not wrong(name, value)]
    return sorted(kept, key=lambda value: (-len(set(json.dumps(value))), json.dumps(value)))


def meant(name, value):
    """A number that is text on the command line is the number."""
    return float(value) if OPTIONS[name][1]["type"] in ("int", "float") else value


LANDS = {
    "statsd.toml": "roles/statsd/templates/statsd.toml.j2",
    "checks.toml": "roles/watchdog/templates/checks.toml.j2",
    "settings.py": "roles/graphite_web/templates/local_settings.py.j2",
    "environment": "roles/python_app/templates/environment.j2",
}
# What the templates cannot do without; secrets that are made lie nowhere else.
GIVEN = {"statsd_http_port": 8127, "statsd_console_port": 8126, "statsd_namespace": "plain", "nginx_tls": "none"}
OTHERS = {
    "accounts": "_graphite_web_accounts",
    "backup": "_backup_given | combine({'passphrase': backup_passphrase, 'copy': backup_copy})",
}


def odd_hosts(count, **given):
    """Variables of hosts, each of which has an odd value for every variable that has as many."""
    odd = {name: passing(name) for name in SET_BY_PEOPLE if name not in RULES | set(given)}
    return [given | {name: values[turn] for name, values in odd.items() if turn < len(values)} for turn in range(count)]


def test_what_passes_lands_as_it_is_meant(tmp_path):
    hosts = odd_hosts(6, **GIVEN, host_secrets=str(tmp_path / "secrets"))
    content = {name: f"lookup('ansible.builtin.template', '{ROOT / source}')" for name, source in LANDS.items()}
    files = ", ".join(f'"{name}": {expression}' for name, expression in (content | OTHERS).items())
    tasks = [
        {"set_fact": {**FACTS, "cacheable": True}},
        {
            "copy": {"content": f"{{{{ {{{files}}} | to_json }}}}", "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}"},
            "vars": {"python_app_environment": "{{ _photoworld_environment }}"},
        },
    ]
    said = run(tmp_path, {f"h{turn}": yaml_text(variables) for turn, variables in enumerate(hosts)}, tasks)
    assert len(re.findall(r"ok=\d+ .* failed=0", said)) == len(hosts), said
    for turn, variables in enumerate(hosts):
        landed = json.loads((tmp_path / f"h{turn}").read_text())
        in_toml(landed, variables)
        in_settings(landed["settings.py"], variables)
        in_environment(landed["environment"], variables)
        in_accounts(landed["accounts"], variables)
        same(
            landed["backup"],
            variables,
            {f"backup_{name}": name for name in ("repository", "ssh", "passphrase", "copy")},
        )


def yaml_text(variables):
    """Variables on one line of YAML; a text that could be a template is !unsafe."""

    def text(value):
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)}: {text(found)}" for key, found in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(text, value)) + "]"
        if isinstance(value, float) and value == float("inf"):
            return ".inf"
        quoted = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\x7f")
        return f"!unsafe {quoted}" if isinstance(value, str) and "{" in value else quoted

    return text(variables)


def same(found, variables, places):
    """Each variable that is given is in its place as it is meant; places: variable to key."""
    for name, key in places.items():
        assert name not in variables or found[key] == meant(name, variables[name]), name


def in_toml(landed, variables):
    for role, file in (("statsd", "statsd.toml"), ("watchdog", "checks.toml")):
        document = tomllib.loads(landed[file])
        flat = {f"{table}.{key}": value for table, keys in document.items() for key, value in keys.items()}
        kinds = {name: kind.removeprefix(f"{file} ") for name, kind in KINDS[role].items() if f"{file} " in kind}
        same(flat, variables, {name: key for name, key in kinds.items() if name != "statsd_receive_buffer"})
    document = tomllib.loads(landed["statsd.toml"])
    assert document["statsd"].items() >= variables.get("statsd_settings", {}).items()
    for table, keys in variables.get("statsd_tables", {}).items():
        assert document.get(table, {}).items() >= keys.items()


def in_settings(content, variables):
    names = {f"graphite_web_{name.lower()}": name for name in ("SECRET_KEY", "ALLOWED_HOSTS", "TIME_ZONE")}
    found = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(content).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in names.values()
    }
    same(found, variables, names)


def in_environment(content, variables):
    """As systemd reads it: within double quotes a backslash stands before what means itself."""
    found = dict(line.partition("=")[::2] for line in shlex.split(content, comments=True))
    texts = {
        f"photoworld_{name}": f"PHOTOWORLD_{name.upper()}" for name in ("secret_key", "statsd_host", "statsd_prefix")
    }
    same(found, variables, texts)
    whole = {f"photoworld_{name}": f"PHOTOWORLD_{name.upper()}" for name in ("statsd_port", "workers", "keep_threads")}
    same({key: int(found[key]) for key in whole.values()}, variables, whole)


def in_accounts(accounts, variables):
    keys = {"user": "username", "email": "email", "name": "name", "password": "password"}
    same(accounts[0], variables, {f"graphite_web_admin_{name}": key for name, key in keys.items()})
    for account, given in zip(accounts[1:], variables.get("graphite_web_users", []), strict=True):
        assert account.items() >= given.items()
