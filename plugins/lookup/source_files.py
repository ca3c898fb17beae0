"""The source files below a folder of the controller, for module source_folder.

    lookup('source_files', role_path ~ '/files/carbon_guard')     {"lines.py": "...", "door.py": "...", ...}

What Python or an editor left there is not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ansible.errors import AnsibleError  # type: ignore[import-untyped]  # ansible ships no types
from ansible.plugins.lookup import LookupBase  # type: ignore[import-untyped]  # the same

DOCUMENTATION = """
    name: source_files
    short_description: The source files below a folder, as texts by name
    description:
      - Reads the Python files below a folder of the controller.
    options:
      _terms:
        description: Folders.
        required: true
"""


def read_sources(folder: Path) -> dict[str, str]:
    """Texts by name, relative to the folder."""
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible ships no types, so its classes are Any
    """Read the files of each folder."""

    def run(self, terms: list[str], variables: Mapping[str, object] | None = None, **_: object) -> list[dict[str, str]]:
        """One dictionary for each folder."""
        found = [read_sources(Path(term)) for term in terms]
        if not all(found):
            raise AnsibleError(f"there is no Python file below {', '.join(map(str, terms))}")
        return found
