"""Variables that begin with a role's name and that it does not take, each with the one that was probably meant.

    lookup('unknown_variables', 'carbon', 'statsd', wantlist=true)     sentences, none if all is well

A role takes what meta/argument_specs.yml lists. What it was called before (meta/renamed.yml) is told with its new name,
and what a role says of itself (meta/public.yml) can be read, but not set.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C  # type: ignore[import-untyped]  # noqa: N812 - ansible's own name for it
from ansible.plugins.lookup import LookupBase  # type: ignore[import-untyped]  # ansible ships no types

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from role_files import constants, folder_of, parameters, public, renamed
from site_values.names import unknown_variables

DOCUMENTATION = """
    name: unknown_variables
    short_description: Variables that no role takes
    description:
      - Compares the names of a host's variables with what each role says that it takes.
    options:
      _terms:
        description: Names of roles.
        required: true
"""


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible ships no types, so its classes are Any
    """Compare names."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **_: object) -> list[str]:
        """One sentence for each name."""
        known = variables or {}
        given = set(known["hostvars"][known["inventory_hostname"]]) if "hostvars" in known else set()
        return [
            sentence
            for role in terms
            for sentence in wrong_names(role, folder_of(role, C.DEFAULT_ROLES_PATH), set(known), given)
        ]


def wrong_names(role: str, folder: Path, names: set[str], given: set[str]) -> list[str]:
    """Sentences on the names that begin with the role's; those of `given` are a person's, and not the role's own."""
    said = {*public(folder), f"{role}_owns"}
    taken = sorted(given & said & constants(folder))
    theirs = {name for name in names if name.startswith(f"{role}_")} - said
    # A role of a person's own may do without specs.
    takes = parameters(folder) if (folder / "meta/argument_specs.yml").exists() else theirs
    return [
        *unknown_variables(theirs, takes, renamed(folder), owner=f"role {role}"),
        *(f"{name} is what role {role} says of itself: it can be read, but not set" for name in taken),
    ]
