"""The inventories of this repository: what lies in them as a secret must not become a host."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["inventory/local", "inventory/sample", "molecule/default/inventory"])
@pytest.mark.parametrize("secret", ["", "a-generated-password"])
def test_secrets_are_no_hosts(tmp_path, name, secret):
    inventory = tmp_path / "inventory"
    shutil.copytree(ROOT / name, inventory, ignore=shutil.ignore_patterns("secrets"))
    secrets = inventory / "secrets"
    secrets.mkdir()
    if secret:
        (secrets / "host").mkdir()
        (secrets / "host/password").write_text(f"{secret}\n")
    run = subprocess.run(
        [Path(sys.executable).parent / "ansible-inventory", "-i", inventory, "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "a-generated-password" not in run.stdout
    assert json.loads(run.stdout)["graphing"]["hosts"]
