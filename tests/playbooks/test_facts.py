"""Roles decide by what is known of a host: each playbook must know the same, or it would write other files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = {role.name for role in (ROOT / "roles").iterdir()}
FACTS = "tasks/facts.yml"
BEFORE_THERE_IS_A_HOST = "playbooks/ec2.yml"


def plays() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every play of every playbook, with the file that it stands in; those of Molecule too."""
    for file in sorted([*ROOT.glob("playbooks/*.yml"), *ROOT.glob("molecule/*/*.yml")]):
        content = yaml.safe_load(file.read_text())
        for play in content if isinstance(content, list) else []:
            if "hosts" in play:
                yield str(file.relative_to(ROOT)), play


def tasks_of(play: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The tasks of a play in their order, those of blocks and of files that it names included."""
    for part in ("pre_tasks", "tasks", "post_tasks"):
        yield from unfolded(play.get(part, []))


def unfolded(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from unfolded(task.get(part, []))
        for how in ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks"):
            file = ROOT / "playbooks" / str(task.get(how, "-"))
            if file.is_file():
                yield from unfolded(yaml.safe_load(file.read_text()))


def uses_roles(play: dict[str, Any]) -> bool:
    included = ("ansible.builtin.import_role", "ansible.builtin.include_role")
    return bool(play.get("roles")) or any(how in task for task in tasks_of(play) for how in included)


@pytest.mark.parametrize(
    ("file", "play"),
    [
        pytest.param(file, play, id=f"{file}:{play['name']}")
        for file, play in plays()
        if file != BEFORE_THERE_IS_A_HOST and uses_roles(play)
    ],
)
def test_what_uses_roles_gathers_the_same(file: str, play: dict[str, Any]) -> None:
    assert play.get("gather_facts") is False, "in its stead: tasks/facts.yml"
    assert next(tasks_of(play))["ansible.builtin.import_tasks"].endswith(FACTS)


def test_nothing_else_gathers() -> None:
    found = [
        (file, task["name"])
        for file, play in plays()
        for task in tasks_of(play)
        if "ansible.builtin.setup" in task and "delegate_to" not in task
    ]
    assert {name for _, name in found} == {"Look at the host"}
    assert "gathering = explicit" in (ROOT / "ansible.cfg").read_text()


def test_no_role_decides_by_a_fact_that_is_missing() -> None:
    hidden = re.compile(r"ansible_facts[\w.\[\]']*\s*(\|\s*default|is (not )?defined)")
    texts = [file for part in ("roles", "playbooks") for file in (ROOT / part).rglob("*") if file.is_file()]
    assert [str(file) for file in texts if file.suffix in (".yml", ".j2") and hidden.search(file.read_text())] == []
