"""Where roles lie, for what is read of another role: its templates, its specs.

lookup('role_path', 'service') is the folder of role service: of this repository, or of the roles path (roles_path,
ANSIBLE_ROLES_PATH), where people have roles of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C  # type: ignore[import-untyped]  # noqa: N812 - ansible's own name for it
from ansible.errors import AnsibleError  # type: ignore[import-untyped]  # ansible ships no types
from ansible.plugins.lookup import LookupBase  # type: ignore[import-untyped]  # the same

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from role_files import folder_of

DOCUMENTATION = """
    name: role_path
    short_description: The folder of a role
    description:
      - Finds each role in this repository or on Ansible's roles path.
    options:
      _terms:
        description: Names of roles.
        required: true
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible ships no types, so its classes are Any
    """Find the folders of roles."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **_: object) -> list[str]:
        """The folder of each role."""
        try:
            return [str(folder_of(role, C.DEFAULT_ROLES_PATH)) for role in terms]
        except FileNotFoundError as error:
            raise AnsibleError(str(error)) from None
