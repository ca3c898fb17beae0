"""What a role keeps to itself is read by that role alone, and what it writes to a host is in its declaration.

docs/roles.md tells what both are for.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from task_files import Loader, documents, mappings

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "meta").is_dir())
LONGEST_FIRST = sorted(ROLES, key=len, reverse=True)
PRIVATE = re.compile(rf"(?<![\w.])__?({'|'.join(LONGEST_FIRST)})_\w+")

# A file outside of a role that may name one of its private variables, with the reason.
MAY = {"molecule/default/tests/test_bad_input.py": "sets _host_debian_releases, to see a host that is refused"}


def readers() -> Iterator[Path]:
    """The files that may read variables."""
    for part in ("roles", "playbooks", "molecule", "plugins", "inventory"):
        for path in (ROOT / part).rglob("*"):
            made = {"secrets", "backups", "files"} & set(path.relative_to(ROOT).parts)
            if not made and path.is_file() and path.suffix in (".yml", ".j2", ".py", ".sh", ".md"):
                yield path


def foreign(path: Path) -> set[str]:
    """The private variables of roles that a file names without being in the role."""
    parts = path.relative_to(ROOT).parts
    home = parts[1] if parts[0] == "roles" else ""
    return {found[0] for found in PRIVATE.finditer(path.read_text(errors="replace")) if found[1] != home}


def test_what_is_private_to_a_role_is_read_there_alone() -> None:
    found = {str(path.relative_to(ROOT)): names for path in readers() if (names := foreign(path))}
    assert found.keys() == MAY.keys(), found


def test_what_a_role_says_of_itself_is_said_somewhere_in_it() -> None:
    for role in ROLES:
        folder = ROOT / "roles" / role
        text = "\n".join(path.read_text() for part in ("vars", "tasks") for path in (folder / part).rglob("*.yml"))
        for name in load(folder / "meta/public.yml"):
            assert re.search(rf"(?m)^\s*(register: )?{name}\b", text), f"{name} is in meta/public.yml of {role} alone"


def test_only_roles_have_declarations() -> None:
    owned = {name.removesuffix("_owns") for name in CONSTANTS if name.endswith("_owns")}
    assert owned == set(ROLES) - {"service", "python_app"}, "these two have nothing of their own"


# What a role writes.


def load(file: Path) -> Any:
    return (yaml.load(file.read_text(), Loader) if file.exists() else None) or {}


CONSTANTS = {
    name: value
    for role in ROLES
    for part in ("defaults", "vars")
    for name, value in load(ROOT / f"roles/{role}/{part}/main.yml").items()
}

WRITERS = ("copy", "template", "file", "unarchive", "blockinfile", "replace", "lineinfile", "get_url")
SYSTEMD = "/etc/systemd/system"

# Debian's files in which a role changes lines, or which it sets aside; tasks/soften.yml of role host takes that back.
EDITED = {"/etc/login.defs", "/etc/issue", "/etc/issue.net"}


def plain(text: str) -> str:
    """A text with the constants of roles in place of their names; what is known during a run alone is `*`."""
    for _ in range(5):
        text = re.sub(r"\{\{ ([\w.]+) \}\}", lambda name: _constant(name[1]), text)
        text = re.sub(r"\{\{ (\w+) \| dirname \}\}", lambda name: str(Path(plain(_constant(name[1]))).parent), text)
    return re.sub(r"\{\{.*?\}\}", "*", text)


def _constant(name: str) -> str:
    first, *keys = name.split(".")
    value = CONSTANTS.get(first)
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else "*"


def items(task: dict[str, Any]) -> list[Any]:
    """What a task loops over, as far as it is written there; one empty item without a loop."""
    loop = task.get("loop", [None])
    if isinstance(loop, str) and (name := re.fullmatch(r"\{\{ (\w+) \}\}", loop)):
        loop = CONSTANTS.get(name[1], loop)
    return loop if isinstance(loop, list) else [None]


def with_item(text: str, item: Any) -> str:
    if isinstance(item, dict):
        for key, value in item.items():
            text = text.replace(f"{{{{ item.{key} }}}}", str(value))
    return text if item is None else text.replace("{{ item }}", str(item))


def tasks(role: str) -> Iterator[dict[str, Any]]:
    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        yield from (task for task in mappings(documents(path)) if "name" in task)


def written(role: str) -> set[str]:
    """The paths on the host that a role writes to."""
    found = set()
    for task in tasks(role):
        if task.get("delegate_to") == "localhost":
            continue
        for writer in WRITERS:
            given = task.get(f"ansible.builtin.{writer}") or {}
            if given.get("state") != "absent" and (path := given.get("dest") or given.get("path")):
                found |= {plain(with_item(path, item)) for item in items(task)}
    return found


def flat(value: Any) -> list[str]:
    """The texts of a declaration's entry."""
    if isinstance(value, dict):
        return [text for found in value.values() for text in flat(found)]
    if isinstance(value, list):
        return [text for found in value for text in flat(found)]
    text = str(value)
    # An expression that makes a list stands for the texts within it.
    return [plain(text)] if not text.startswith("{{ [") else [plain(found) for found in re.findall(r"'([^']*)'", text)]


def declared(role: str, *entries: str) -> list[str]:
    owns = CONSTANTS.get(f"{role}_owns", {})
    return [text for entry in entries for text in flat(owns.get(entry, []))]


def places(role: str) -> list[str]:
    """The paths that a role says are its own, with those below them."""
    own = [
        *declared(role, "files", "directories", "left", "data", "configuration"),
        *(f"{SYSTEMD}/{unit}" for unit in declared(role, "units")),
        *(f"/opt/{name}" for name in declared(role, "applications")),
    ]
    return [pattern for path in own for pattern in (path, f"{path}/*")]


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"python_app"}))
def test_every_path_that_a_role_writes_is_in_its_declaration(role: str) -> None:
    # What lies in the directory of the platform's settings goes with it.
    own = [*places(role), "/etc/graphing/*", f"{SYSTEMD}/graphing.target.wants/*", *EDITED]
    if role == "nginx":
        own.append(plain("{{ nginx_acme_webroot }}/*"))  # declared where ACME is used
    strange = {path for path in written(role) if not any(fnmatch.fnmatch(path, pattern) for pattern in own)}
    # A repository, wherever that is, about which uninstall.yml is asked; and what other roles have `returned`.
    assert strange == ({"*", "*/"} if role == "backup" else set())


@pytest.mark.parametrize("role", ROLES)
def test_every_user_and_unit_that_a_role_makes_is_in_its_declaration(role: str) -> None:
    users, units = set(), set()
    for task in tasks(role):
        given = task.get("vars") or {}
        made = (task.get("ansible.builtin.user") or {}).get("name", given.get("python_app_user"))
        users |= {made} if made and role != "python_app" else set()
        units |= {f"{given['python_app_service']}.service"} if "python_app_service" in given else set()
    units |= {Path(path).name for path in written(role) if Path(path).parent == Path(SYSTEMD) and "." in path}
    assert users <= set(declared(role, "users"))
    known = declared(role, "units")
    assert {unit for unit in units if not any(fnmatch.fnmatch(unit, pattern) for pattern in known)} <= (
        {"*.service"} if role == "python_app" else {f"{Path(path).name}" for path in declared(role, "directories")}
    )
