"""bin/apply on a real host: the inventory that it makes, and the run with it."""

import shutil
import subprocess

import pytest
from playbook import ROOT, plain_environment

HOST = "172.31.0.12"
INVENTORY = ROOT / "inventory" / HOST
SECRETS = ROOT / "molecule/ssh/inventory/secrets/ssh"
OPTIONS = [
    f"--private-key={SECRETS}/id_ed25519",
    f"--ssh-common-args=-o IdentitiesOnly=yes -o 'UserKnownHostsFile=\"{SECRETS}/known_hosts\"'",
]


@pytest.fixture
def nothing_of_it_before_and_after():
    assert not INVENTORY.exists(), "there is one of a person's own"
    yield
    shutil.rmtree(INVENTORY)


def apply(*arguments):
    run = subprocess.run(
        [ROOT / "bin/apply", *arguments],
        cwd="/",
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


@pytest.mark.usefixtures("nothing_of_it_before_and_after")
def test_a_check_of_a_host(tmp_path):
    status, output = apply(f"deploy@{HOST}:22", "--check", *OPTIONS)
    assert status == 0, output
    assert f"{HOST} " in output
    assert "failed=0" in output
    connection = INVENTORY / "host_vars" / HOST / "connection.yml"
    assert 'ansible_user: "deploy"' in connection.read_text()
    assert "ansible_port: 22" in connection.read_text()
    assert (INVENTORY / "group_vars/graphing.yml").read_bytes() == (
        ROOT / "inventory/sample/group_vars/graphing.yml"
    ).read_bytes()
    secret = INVENTORY / "secrets" / HOST / "graphite_web_admin_password"
    assert secret.stat().st_mode & 0o777 == 0o600

    # What a person changes there stays, and the next run uses it: here, what stops it.
    (INVENTORY / "group_vars/graphing.yml").write_text("carbon_retentoins: 10s:6h\n")
    password = secret.read_text()
    status, output = apply(HOST, "--check", *OPTIONS)
    assert status != 0
    assert "did you mean carbon_retentions?" in output
    assert "deploy" in connection.read_text()
    assert secret.read_text() == password
