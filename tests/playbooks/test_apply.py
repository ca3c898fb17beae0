"""bin/apply: what it makes of its command line, and the inventory that it writes. No host is reached."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SSH = {"user": "me", "port": "22"}


@pytest.fixture(scope="module")
def apply() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("apply", str(ROOT / "bin/apply"))
    spec = importlib.util.spec_from_loader("apply", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up.
    sys.modules["apply"] = module
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("typed", "user", "host", "port"),
    [
        ("graphs.example.org", "", "graphs.example.org", 0),
        ("root@graphs.example.org", "root", "graphs.example.org", 0),
        ("192.0.2.10:2222", "", "192.0.2.10", 2222),
        ("ad.min@192.0.2.10:22", "ad.min", "192.0.2.10", 22),
        ("::1", "", "::1", 0),
        ("root@2001:db8::10", "root", "2001:db8::10", 0),
        ("[::1]:2222", "", "::1", 2222),
        ("root@[2001:db8::10]", "root", "2001:db8::10", 0),
        ("root@[fe80::1%eth0]:22", "root", "fe80::1%eth0", 22),
    ],
)
def test_a_target_is_read(apply: ModuleType, typed: str, user: str, host: str, port: int) -> None:
    assert apply.parse_target(typed) == apply.Target(host, user, port)


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("", "neither the name nor the address"),
        ("@host", "'' is no name of a user"),
        ("a b@host", "'a b' is no name of a user"),
        ("root@", "'' is neither the name nor the address"),
        ("ho st", "'ho st' is neither the name nor the address"),
        ("host/../../etc", "is neither the name nor the address"),
        ("..", "is neither the name nor the address"),
        ("host:", "'' is no port"),
        ("host:ssh", "'ssh' is no port"),
        ("host:0", "'0' is no port"),
        ("host:65536", "'65536' is no port"),
        ("[host]:22", "'host' is no IPv6 address"),
        ("[::1]x", "is neither the name nor the address"),
    ],
)
def test_what_is_no_target_is_refused(apply: ModuleType, typed: str, complaint: str) -> None:
    with pytest.raises(apply.UsageError, match=complaint):
        apply.parse_target(typed)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "which host"),
        (["-K", "host"], "which host"),
        (["host", "other"], "'other' is neither an option nor the host, which is 'host'"),
        (["host", "-u", "root"], "write the user in front of the host"),
        (["host", "-uroot"], "write the user in front of the host"),
        (["host", "--check", "--user=root"], "write the user in front of the host"),
        (["host", "-i", "mine"], "an inventory of its own"),
        (["host", "--inventory=mine"], "an inventory of its own"),
    ],
)
def test_a_usage_error_says_what_to_type(apply: ModuleType, arguments: list[str], complaint: str) -> None:
    with pytest.raises(apply.UsageError, match=complaint):
        apply.parse(arguments)


def test_the_rest_is_for_ansible_playbook(apply: ModuleType) -> None:
    options = ["-K", "--check", "--limit", "a", "-e", "x=1"]
    assert apply.parse(["root@host", *options]) == (apply.Target("host", "root"), options)


@pytest.mark.parametrize(
    ("typed", "known", "user", "port"),
    [
        ("host", {}, "me", 22),
        ("root@host", {}, "root", 22),
        ("root@host:2222", {}, "root", 2222),
        ("host", {"ansible_user": "ann", "ansible_port": 2222}, "ann", 2222),
        ("root@host", {"ansible_user": "ann", "ansible_port": 2222}, "root", 2222),
        ("host:22", {"ansible_user": "ann", "ansible_port": 2222}, "ann", 22),
    ],
)
def test_what_is_not_typed_is_known_or_as_ssh_has_it(
    apply: ModuleType, typed: str, known: dict[str, str | int], user: str, port: int
) -> None:
    found = apply.connection(apply.parse_target(typed), known, SSH)
    assert found == {"ansible_user": user, "ansible_port": port}


def inventory_of(directory: Path) -> dict[str, dict[str, str | int]]:
    """What Ansible reads there: the variables of each host of group graphing."""
    listed = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", f"{directory}/", "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(listed.stdout)
    return {host: found["_meta"]["hostvars"].get(host, {}) for host in found["graphing"]["hosts"]}


@pytest.mark.parametrize(
    ("typed", "name", "variables"),
    [
        ("root@192.0.2.10:2222", "192.0.2.10", {"ansible_user": "root", "ansible_port": 2222}),
        ("yes@[::1]:22", "__1", {"ansible_host": "::1", "ansible_user": "yes", "ansible_port": 22}),
    ],
)
def test_ansible_reads_what_was_typed(
    apply: ModuleType, tmp_path: Path, typed: str, name: str, variables: dict[str, str | int]
) -> None:
    target = apply.parse_target(typed)
    apply.write_inventory(target, tmp_path / target.name)
    assert inventory_of(tmp_path / name) == {name: variables}


def test_a_second_run_leaves_what_a_person_wrote(apply: ModuleType, tmp_path: Path) -> None:
    inventory = tmp_path / "host"
    apply.write_inventory(apply.parse_target("ann@host"), inventory)
    written = [inventory / "hosts.yml", inventory / "group_vars/graphing.yml"]
    for file in written:
        file.write_text("# mine\n")
    apply.write_inventory(apply.parse_target("root@host:2222"), inventory)
    assert [file.read_text() for file in written] == ["# mine\n", "# mine\n"]
    connection = yaml.safe_load((inventory / "host_vars/host/connection.yml").read_text())
    assert connection == {"ansible_user": "root", "ansible_port": 2222}


def test_an_inventory_that_it_did_not_make_is_left_alone(apply: ModuleType, tmp_path: Path) -> None:
    inventory = tmp_path / "mine"
    inventory.mkdir()
    with pytest.raises(apply.UsageError, match="bin/apply did not make it"):
        apply.write_inventory(apply.parse_target("mine"), inventory)
    assert list(inventory.iterdir()) == []


def test_usage_errors_end_with_64_and_help_with_0() -> None:
    wrong = subprocess.run([ROOT / "bin/apply", "host:ssh"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (64, "")
    assert wrong.stderr.startswith("bin/apply: 'host:ssh': 'ssh' is no port, which is a number from 1 to 65535.\n")
    helped = subprocess.run([ROOT / "bin/apply", "--help"], capture_output=True, text=True, check=True)
    assert "Usage: bin/apply [USER@]HOST[:PORT]" in helped.stdout
