"""Ansible module: a folder on the host that holds exactly the given source files."""

from __future__ import annotations

import difflib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # ansible ships no types

DOCUMENTATION = """
module: source_folder
short_description: A folder that holds exactly these source files
description:
  - Writes files that are missing or differ, and removes what the folder holds besides; C(__pycache__) stays.
  - Each file appears whole. Files get mode 0644, folders 0755, and the owner is who runs this.
options:
  path:
    description: The folder. It is made, with those above it, where it is missing.
    type: path
    required: true
  files:
    description: Texts by name, relative to O(path); the lookup C(source_files) reads them on the controller.
    type: dict
    required: true
"""
EXAMPLES = """
- name: Install the guard of carbon-cache
  source_folder:
    path: /usr/local/lib/graphing/carbon_guard
    files: "{{ lookup('source_files', role_path ~ '/files/carbon_guard') }}"
"""
RETURN = """
written: {description: Names of files that were written., type: list, returned: always}
removed: {description: Names of what was removed., type: list, returned: always}
"""

FILE_MODE = 0o644
FOLDER_MODE = 0o755
CACHE = "__pycache__"


def check_names(files: Mapping[str, str]) -> None:
    """Refuse names that lead out of the folder. Raises ValueError."""
    for name in files:
        parts = PurePosixPath(name).parts
        if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
            raise ValueError(f"{name!r} is not a name within the folder")


def is_plain(path: Path, mode: int) -> bool:
    """Tell whether there is a file, or a folder, of this mode itself and not a link to one."""
    try:
        found = path.lstat().st_mode
    except FileNotFoundError:
        return False
    kind = stat.S_ISDIR if mode == FOLDER_MODE else stat.S_ISREG
    return kind(found) and stat.S_IMODE(found) == mode


def stale_files(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Return the names of files that are missing or differ in content or mode."""
    return [
        name
        for name, text in sorted(files.items())
        if not is_plain(folder / name, FILE_MODE) or (folder / name).read_bytes() != text.encode()
    ]


def superfluous(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Return the names of what the folder holds besides, each without what is below it."""
    wanted = {str(above) for name in files for above in (PurePosixPath(name), *PurePosixPath(name).parents)}

    def below(here: Path) -> Iterator[str]:
        for path in sorted(here.iterdir()) if here.is_dir() and not here.is_symlink() else ():
            name = str(path.relative_to(folder))
            if path.name == CACHE:
                continue
            if name not in wanted:
                yield name
            elif name not in files:
                yield from below(path)

    return list(below(folder))


def make_folder(path: Path) -> None:
    """Make a folder, with those above it that are missing."""
    if is_plain(path, FOLDER_MODE):
        return
    if path.is_symlink() or path.is_file():
        path.unlink()
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(exist_ok=True)
    path.chmod(FOLDER_MODE)


def write_file(path: Path, text: str) -> None:
    """Write a file whole, or leave what is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.chmod(FILE_MODE)
    os.replace(unfinished, path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def difference(folder: Path, name: str, text: str) -> str:
    """Return what changes in a file, as `diff -u` shows it; the new text is empty for one that goes."""
    path = folder / name
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    old, new = (str(path) if side else "/dev/null" for side in (before, text))
    return "".join(difflib.unified_diff(before.splitlines(True), text.splitlines(True), old, new))


def main() -> None:
    """Do what the task says."""
    module = AnsibleModule(
        # Not secret, but too long for the log of the host.
        argument_spec={
            "path": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True, "no_log": True},
        },
        supports_check_mode=True,
    )
    folder, files = Path(module.params["path"]), module.params["files"]
    try:
        check_names(files)
    except ValueError as error:
        module.fail_json(msg=str(error))
    folders = [folder, *sorted({(folder / name).parent for name in files} - {folder})]
    made = [path for path in folders if not is_plain(path, FOLDER_MODE)]
    written, removed = stale_files(folder, files), superfluous(folder, files)
    shown = "".join(difference(folder, name, files.get(name, "")) for name in [*written, *removed])
    if not module.check_mode:
        for path in made:
            make_folder(path)
        for name in written:
            write_file(folder / name, files[name])
        for name in removed:
            remove(folder / name)
    module.exit_json(
        changed=bool(made or written or removed), written=written, removed=removed, diff={"prepared": shown}
    )


if __name__ == "__main__":
    main()
