"""What the controller knows of a host, for its backup.

    lookup('controller_files', SECRETS, inventory_file)     {"secrets/backup_passphrase": "c2VjcmV0", ...}

The host's secrets, the inventory's file, the variables of groups and hosts beside it: by their names in the backup, in
base64. Secrets are among them, so a task that uses it says no_log.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from ansible.errors import AnsibleError  # type: ignore[import-untyped]  # ansible ships no types
from ansible.plugins.lookup import LookupBase  # type: ignore[import-untyped]  # the same

DOCUMENTATION = """
    name: controller_files
    short_description: What the controller knows of a host, for its backup
    description:
      - Reads the host's secrets, the inventory's file, and the variables of groups and hosts beside it, in base64.
    options:
      _terms:
        description: The directory of the secrets, and the inventory's file.
        required: true
"""


def files_below(folder: Path, name: str) -> dict[str, bytes]:
    """Files at or below a folder, by their names in the backup."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {f"{name}/{path.relative_to(folder)}": path.read_bytes() for path in files}


def controller_files(secrets: Path, inventory: Path) -> dict[str, str]:
    """All that a backup holds of the controller; what is not there is left out."""
    found = files_below(secrets, "secrets")
    if inventory.is_file():
        found[f"inventory/{inventory.name}"] = inventory.read_bytes()
    for variables in ("group_vars", "host_vars"):
        found |= files_below(inventory.parent / variables, f"inventory/{variables}")
    return {name: base64.b64encode(content).decode() for name, content in found.items()}


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible ships no types, so its classes are Any
    """Read the files of one host."""

    def run(self, terms: list[object], variables: Mapping[str, object] | None = None, **_: object) -> list[object]:
        """One dictionary."""
        try:
            secrets, inventory = (Path(str(term)) for term in terms)
        except ValueError:
            raise AnsibleError("controller_files takes the directory of the secrets and the inventory's file") from None
        return [controller_files(secrets, inventory)]
