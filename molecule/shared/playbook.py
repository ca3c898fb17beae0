"""Runs a playbook on the controller as a person does, and reads what it prints."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """What a run came to: its exit status and all that it printed."""

    status: int
    output: str

    @property
    def words(self) -> str:
        """All that it printed, without line breaks."""
        return " ".join(self.output.split())


def plain_environment() -> dict[str, str]:
    """The environment without colours, which Molecule wants, and which would stand between the words."""
    return {name: value for name, value in os.environ.items() if name != "ANSIBLE_FORCE_COLOR"} | {
        "ANSIBLE_NOCOLOR": "1"
    }


def run_playbook(name: str, inventory: Path, *options: str, root: Path = ROOT, **variables: Any) -> Run:
    """Run playbooks/NAME.yml of a checkout on an inventory, with ansible-playbook's options and extra variables."""
    command = ["ansible-playbook", "-i", str(inventory), str(root / f"playbooks/{name}.yml"), *options]
    if variables:
        command += ["--extra-vars", json.dumps(variables)]
    run = subprocess.run(
        command,
        env={**plain_environment(), "ANSIBLE_CONFIG": str(root / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(run.returncode, run.stdout)
