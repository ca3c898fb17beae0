"""Find variables that a playbook does not know, so that a misspelt one stops a run instead of being ignored.

A preflight hands over the names that are set and those that are known. Nothing is read or changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
from site_values.names import unknown_variables


class FilterModule:
    """Hand the filters to Ansible."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Name each filter."""
        return {"unknown_variables": unknown_variables}
