"""No task and no unit passes a program as `python -c TEXT`: it would lack types, tests and a name in a traceback.

What a task needs is a module (plugins/modules), what a unit needs a command.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from task_files import ROOT, yaml_files

INLINE = re.compile(r"""python[\d.]*["']?\s*,?\s*(?:-\s+)?["']?-c\b""")


def files() -> list[Path]:
    """All task files, variables and templates."""
    templates = [*ROOT.glob("templates/*"), *ROOT.glob("roles/*/templates/*"), *ROOT.glob("playbooks/templates/*")]
    return [*yaml_files(), *sorted(templates)]


def test_no_program_is_passed_as_text() -> None:
    found = {str(path.relative_to(ROOT)) for path in files() if INLINE.search(path.read_text())}
    assert found == set()


@pytest.mark.parametrize(
    "text",
    [
        "argv: [python3, -c, x]",
        "['/usr/bin/python3', '-c', lookup('file', 'x.py')]",
        'command: python3 -c "print(1)"',
        "argv:\n  - python3\n  - -c\n  - print(1)\n",
        "ExecStart=/usr/bin/python3.13 -c 'print(1)'",
    ],
)
def test_a_program_passed_as_text_is_seen(text: str) -> None:
    assert INLINE.search(text)


@pytest.mark.parametrize("text", ["python3 -m graphing", "argv: [python3, x.py, -c]", "gunicorn -c python:x"])
def test_other_programs_are_not(text: str) -> None:
    assert not INLINE.search(text)
