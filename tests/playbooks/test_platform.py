"""The table of roles: what a role declares reaches whoever installs, opens, watches and backs it up, on its hosts.

No host is needed: the declarations are read in a run of ansible-playbook, as every playbook reads them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook import ROOT, plain_environment

TABLE = yaml.safe_load((ROOT / "playbooks/vars/platform.yml").read_text())
FACTS = {"distribution_major_version": "13", "lo": {"ipv6": []}, "all_ipv4_addresses": [], "hostname": "h", "fqdn": "h"}
ASKED = (
    *(
        "platform_here",
        "platform_run",
        "host_packages",
        "host_ports",
        "nginx_sites",
        "watchdog_disks",
        "watchdog_after",
    ),
    *("watchdog_groups", "backup_databases", "backup_folders", "backup_held", "backup_configuration", "all_units"),
)
INVENTORY = """
all:
  vars:
    ansible_connection: local
    carbon_disk: {directory_holds: false}
    host_address: 192.0.2.1
    site_roles: [{role: guestbook, parts: [web]}]
  children:
    graphing: {hosts: {whole: {}}}
    carbon: {hosts: {store: {}}}
    web: {hosts: {page: {}}}
    statsd: {hosts: {adder: {}}}
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the playbooks are told of each host, by the name of the variable."""
    folder = tmp_path_factory.mktemp("platform")
    (folder / "hosts.yml").write_text(INVENTORY)
    asked = ", ".join(f'"{name}": {name}' for name in ASKED)
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars_files": [str(ROOT / "playbooks/vars/platform.yml")],
        "vars": {
            "ansible_python_interpreter": sys.executable,
            "all_units": "{{ platform_owns | map(attribute='units', default=[]) | flatten }}",
        },
        "tasks": [
            {"set_fact": {**FACTS, "cacheable": True}},
            {"import_tasks": str(ROOT / "playbooks/tasks/roles.yml")},
            {"copy": {"content": f"{{{{ {{{asked}}} | to_json }}}}", "dest": f"{folder}/{{{{ inventory_hostname }}}}"}},
        ],
    }
    (folder / "try.yml").write_text(json.dumps([play]))
    ran = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", folder / "hosts.yml", folder / "try.yml"],
        env=plain_environment()
        | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": os.pathsep.join([f"{ROOT}/roles", f"{ROOT}/molecule/day-two/roles"]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped=0" in ran.stdout, "no task of a role is run, nor asked whether it is"
    return {name: json.loads((folder / name).read_text()) for name in ("whole", "store", "page", "adder")}


def test_a_host_has_the_roles_of_its_parts(hosts: dict[str, dict[str, Any]]) -> None:
    everywhere = ["service", "python_app", "host", "watchdog", "backup"]
    assert hosts["whole"]["platform_here"] == [*(entry["role"] for entry in TABLE["platform_table"]), "guestbook"]
    assert {
        name: [role for role in told["platform_here"] if role not in everywhere] for name, told in hosts.items()
    } == {
        "whole": ["carbon", "graphite_web", "statsd", "photoworld", "nginx", "guestbook"],
        "store": ["carbon", "graphite_web"],
        "page": ["graphite_web", "photoworld", "nginx", "guestbook"],
        "adder": ["statsd"],
    }
    assert set(everywhere) <= set(hosts["adder"]["platform_here"])


def test_what_other_roles_include_or_other_playbooks_run_is_not_run_by_the_site(
    hosts: dict[str, dict[str, Any]],
) -> None:
    assert set(hosts["whole"]["platform_here"]) - set(hosts["whole"]["platform_run"]) == {
        "service",
        "python_app",
        "backup",
    }
    assert "borgbackup" not in hosts["whole"]["host_packages"]


def test_a_role_of_three_files_is_opened_kept_and_held_where_it_is(hosts: dict[str, dict[str, Any]]) -> None:
    for name, told in hosts.items():
        there = name in ("whole", "page")
        opened = {entry["port"]: entry["networks"] for entry in told["host_ports"]}
        assert opened.get(8099) == (["192.0.2.0/24"] if there else None)
        assert ("/var/lib/guestbook" in [folder["path"] for folder in told["backup_folders"]]) == there
        assert ("guestbook.service" in told["backup_held"]) == there
        assert ("guestbook.service" in told["all_units"]) == there


def test_the_roles_of_the_platform_hand_over_what_they_own(hosts: dict[str, dict[str, Any]]) -> None:
    whole, store, page, adder = (hosts[name] for name in ("whole", "store", "page", "adder"))
    assert [site["name"] for site in whole["nginx_sites"]] == ["graphite-web", "photoworld"]
    assert {entry["port"] for entry in whole["host_ports"]} >= {443, 80, 2003, 8081, 8125}
    assert {entry["port"] for entry in adder["host_ports"]} == {8125}
    assert {"nginx-light", "graphite-carbon", "ngrep"} <= set(whole["host_packages"])
    assert not {"nginx-light", "graphite-carbon"} & set(adder["host_packages"])
    assert [database["name"] for database in whole["backup_databases"]] == ["graphite.db", "forum.db"]
    assert whole["watchdog_disks"] == ["/var/lib/graphite/whisper", "/var/lib/statsd"]
    assert (store["watchdog_disks"], page["watchdog_disks"]) == (["/var/lib/graphite/whisper"], [])
    assert whole["watchdog_groups"] == ["_graphite", "www-data"]
    assert page["watchdog_groups"] == ["www-data"]
    assert "/etc/graphing/tls" in whole["backup_configuration"]
