"""A host that cannot be entered, or is no Debian: one sentence with the remedy, and nothing has changed."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra
from playbook import ROOT, run_playbook

SCENARIO = ROOT / "molecule/ssh"
WEB = "172.31.0.13"
# No connection of an earlier run is used, and no key but the one that is named.
AFRESH = "-o IdentitiesOnly=yes -o ControlPath=none -o UserKnownHostsFile="


def another_key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def changed_host_key(path):
    """A list of known hosts that has another key for the web host."""
    another_key(path / "other")
    known = path / "known_hosts"
    known.write_text(f"{WEB} {(path / 'other.pub').read_text()}")
    return known


CASES: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "nobody listens": (
        lambda path: {"ansible_port": 1},
        "molecule-ssh-web does not answer (172.31.0.13, port 1: Connection ",
    ),
    "an address that nobody has": (
        lambda path: {"ansible_host": "graphs.invalid"},
        "molecule-ssh-web cannot be found: no address belongs to the name graphs.invalid.",
    ),
    "a key that the host does not know": (
        lambda path: {"ansible_ssh_private_key_file": str(another_key(path / "id"))},
        "molecule-ssh-web does not let admin in (publickey",
    ),
    "a host key that has changed": (
        lambda path: {"ansible_ssh_common_args": f"{AFRESH}{changed_host_key(path)}"},
        "molecule-ssh-web has another host key than before, so nothing was sent to it.",
    ),
    "a wrong password for sudo": (
        lambda path: {"ansible_become_password": "wrong"},
        "molecule-ssh-web refuses the password for sudo. Run this again with -K",
    ),
    "no password for sudo": (
        lambda path: {"ansible_become_password": ""},
        "molecule-ssh-web asks for a password for sudo. Run this again with -K",
    ),
    "a user who may not use sudo": (
        lambda path: {"ansible_user": "nosudo"},
        "molecule-ssh-web does not let nosudo use sudo.",
    ),
}


@pytest.fixture
def untouched(host):
    """Fails the test if it has changed a file of the web host where configuration and programs are."""
    host.check_output("touch /run/before-the-test")
    yield
    assert host.check_output("find /etc /usr /opt /var/lib/dpkg -newer /run/before-the-test ! -type d") == ""


@pytest.mark.parametrize("case", CASES)
def test_the_way_in_is_wrong(case, inventory, tmp_path, untouched):
    change, complaint = CASES[case]
    variables = {"ansible_ssh_common_args": f"{AFRESH}{tmp_path / 'known'}"} | change(tmp_path)
    run = run_playbook("site", inventory, "--limit=molecule-ssh-web", **variables)
    assert run.status != 0
    assert complaint in run.words, run.output
    assert run.output.count("molecule-ssh-web ") == 2, "one sentence, and the recap"
    assert "changed=0" in run.words


def test_the_command_that_forgets_the_old_key_is_named(inventory, tmp_path):
    known = changed_host_key(tmp_path)
    run = run_playbook("site", inventory, "--limit=molecule-ssh-web", ansible_ssh_common_args=f"{AFRESH}{known}")
    command = run.words.split("type ", 1)[1].split(" and run", 1)[0]
    subprocess.run(command, shell=True, check=True)
    assert WEB not in known.read_text()


def test_another_system_than_debian():
    run = run_playbook("site", SCENARIO / "stranger")
    assert run.status != 0
    assert "molecule-ssh-stranger is Alpine Linux 3.22.0; the platform is tested on Debian 12 and 13." in run.words, (
        run.output
    )
    assert "changed=0" in run.words


def test_another_system_than_debian_without_python():
    stranger = testinfra.get_host("docker://molecule-ssh-stranger")
    stranger.check_output("mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        run = run_playbook("site", SCENARIO / "stranger")
    finally:
        stranger.check_output("mv /usr/bin/python3.away /usr/bin/python3")
    assert run.status != 0
    assert "molecule-ssh-stranger has no Python, and its system is not Debian but alpine." in run.words, run.output
    assert "changed=0" in run.words


def test_a_check_of_a_host_without_python_says_what_it_lacks(inventory, host, untouched):
    host.check_output("mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        run = run_playbook("site", inventory, "--limit=molecule-ssh-web", "--check")
    finally:
        host.check_output("mv /usr/bin/python3.away /usr/bin/python3")
    assert run.status != 0
    assert "`apt-get install python3 python3-apt iproute2`, or run without --check" in run.words, run.output
    assert "changed=0" in run.words


def test_hosts_that_cannot_find_each_other(inventory, untouched):
    run = run_playbook("site", inventory, host_address="molecule-ssh")
    assert run.status != 0
    assert "has no IP address by which" in run.words, run.output
    assert "set host_address in host_vars/molecule-ssh-web.yml." in run.words, run.output
    assert "changed=1" not in run.words
