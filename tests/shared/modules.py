"""Modules of Ansible, run in this process as a task would run them."""

import json
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args


class Failed(Exception):  # noqa: N818 - what became of the task
    """The module says that it failed; str() is why."""


def run_module(
    module: ModuleType, capsys: pytest.CaptureFixture[str], check: bool = False, **arguments: Any
) -> dict[str, Any]:
    """Return the module's answer. Raises Failed."""
    given = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
    capsys.readouterr()
    with patch_module_args(given), pytest.raises(SystemExit):
        module.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    if answer.get("failed"):
        raise Failed(answer["msg"])
    return answer
