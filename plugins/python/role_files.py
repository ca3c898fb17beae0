"""What a role says of itself in files: which variables it knows, what others may read, what it has renamed.

    meta/argument_specs.yml    the variables that people and other roles may set
    meta/values.yml            what their values may be
    meta/public.yml            what other roles and playbooks may read: {name: what it is}
    meta/renamed.yml           what had another name before: {old name: new name}

Text in, data out; no Jinja is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

_ROLES = Path(__file__).resolve().parents[2] / "roles"


def folder_of(role: str, roles_path: Iterable[str]) -> Path:
    """The folder of a role: of this repository, or else the first on Ansible's path of roles that has it."""
    tried = [_ROLES, *map(Path, roles_path)]
    for place in tried:
        if (place / role).is_dir():
            return place / role
    raise FileNotFoundError(f"role {role} is in none of {', '.join(map(str, tried))}")


def read(file: Path) -> Any:
    """What a YAML file holds; nothing if it is not there."""
    return (yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None) or {}


def options(folder: Path) -> dict[str, Any]:
    """The variables that a role takes, with their specs."""
    return dict(read(folder / "meta/argument_specs.yml").get("argument_specs", {}).get("main", {}).get("options") or {})


def parameters(folder: Path) -> set[str]:
    """The variables that some entry point of a role takes."""
    points = read(folder / "meta/argument_specs.yml").get("argument_specs", {}).values()
    return {name for point in points for name in (point or {}).get("options") or {}}


def public(folder: Path) -> dict[str, str]:
    """What others may read of a role, with its meaning."""
    return dict(read(folder / "meta/public.yml"))


def constants(folder: Path) -> set[str]:
    """The names that a role gives a value which nobody else can change."""
    return set(read(folder / "vars/main.yml"))


def renamed(folder: Path) -> dict[str, str]:
    """Names that variables of a role had before, each with the one that it has now."""
    return dict(read(folder / "meta/renamed.yml"))
