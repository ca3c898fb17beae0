"""What is wrong with the values that a person has given to the variables of roles, all of it at once.

    lookup('wrong_values', 'carbon', 'statsd', wantlist=true)     sentences, none if all is well

A value that is the role's own default is not looked at. Each variable is read by itself, so that one whose text is no
template is named, with what to write, instead of stopping the run in Jinja's words.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C  # type: ignore[import-untyped]  # noqa: N812 - ansible's own name for it
from ansible.errors import AnsibleError  # type: ignore[import-untyped]  # ansible ships no types
from ansible.plugins.lookup import LookupBase  # type: ignore[import-untyped]  # the same
from ansible.template import is_trusted_as_template  # type: ignore[import-untyped]  # the same

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "plugins/python"), str(ROOT / "files/graphing/src")]

from role_files import folder_of, options, read  # noqa: E402 - found by the line above
from site_values.values import problems  # noqa: E402 - the same

DOCUMENTATION = """
    name: wrong_values
    short_description: What is wrong with the values of the roles' variables
    description:
      - Compares the variables of a host with C(meta/argument_specs.yml) and C(meta/values.yml) of each role.
    options:
      _terms:
        description: Names of roles.
        required: true
"""

_TEMPLATE = re.compile(r"\{[{%#]")
_WHOLE = re.compile(r"\s*\{\{.*\}\}\s*", re.DOTALL)
_NAME = re.compile(r"\{\{\s*(\w+)\s*\}\}")
UNSAFE = "if it is meant as it stands, write !unsafe '...'"


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible ships no types, so its classes are Any
    """Read the variables as they stand, and say what is wrong with them."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **_: object) -> list[str]:
        """One sentence for each thing that is wrong."""
        return [sentence for role in terms for sentence in self._of_role(role, variables or {})]

    def _of_role(self, role: str, variables: Mapping[str, Any]) -> Iterator[str]:
        folder = folder_of(role, C.DEFAULT_ROLES_PATH)
        kinds, defaults = read(folder / "meta/values.yml"), read(folder / "defaults/main.yml")
        for name, option in options(folder).items():
            if (
                kinds.get(name) != "of the playbook"
                and name in variables
                and not _same(variables[name], defaults.get(name))
            ):
                yield from self._of_variable(name, option, kinds, variables)

    def _of_variable(
        self, name: str, option: Mapping[str, Any], kinds: Mapping[str, str], variables: Mapping[str, Any]
    ) -> Iterator[str]:
        found = [wrong for leaf in _leaves(name, option, variables[name]) if (wrong := self._of_leaf(*leaf, variables))]
        if found:
            yield from found
            return
        value = self._templar.template(variables[name])
        yield from problems(name, option, kinds, value)

    def _of_leaf(self, where: str, secret: bool, raw: object, variables: Mapping[str, Any]) -> str:
        """Why a text cannot be read as a template; empty if it can."""
        if secret and _half_a_template(raw, variables):
            return f"{where} holds {{{{, {{% or {{#, which Ansible reads as a template: {UNSAFE}."
        try:
            self._templar.template(raw)
        except AnsibleError as error:
            said = "" if secret else f" ({_first_line(error)})"
            return (
                f"{where} cannot be read as a template{said}: correct what stands between {{{{ and }}}}, or {UNSAFE}."
            )
        return ""


def _leaves(where: str, option: Mapping[str, Any], raw: object) -> Iterator[tuple[str, bool, object]]:
    """Name, whether it is a secret, and text of each value within a value."""
    if isinstance(raw, list):
        for number, found in enumerate(raw):
            yield from _leaves(f"{where}[{number}]", option, found)
    elif isinstance(raw, Mapping):
        for key, found in raw.items():
            within = (option.get("options") or {}).get(key) or {"no_log": option.get("no_log")}
            yield from _leaves(f"{where}.{key}", within, found)
    else:
        yield where, bool(option.get("no_log")), raw


def _same(one: object, other: object) -> bool:
    """Equal, and of the same type: true is not 1."""
    return json.dumps(one, sort_keys=True, default=repr) == json.dumps(other, sort_keys=True, default=repr)


def _half_a_template(raw: object, variables: Mapping[str, Any]) -> bool:
    """Whether a text has a template within it, or names a variable that has: in a password that is a slip."""
    if not isinstance(raw, str) or not is_trusted_as_template(raw) or not _TEMPLATE.search(raw):
        return False
    if named := _NAME.fullmatch(raw.strip()):
        return named[1] in variables and _half_a_template(variables[named[1]], variables)
    return not _WHOLE.fullmatch(raw)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200].rstrip(".:")
