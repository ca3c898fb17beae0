"""Ansible module: what this host was before the platform came, so that it can go again."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # ansible ships no types

DOCUMENTATION = """
module: package_record
short_description: What this host was before the platform came
description:
  - The record is written before a package is installed, so that an interrupted run leaves it complete.
  - A check writes nothing and starts nothing.
options:
  action:
    description:
      - C(note) keeps what is installed now, if nothing is kept yet, and that O(names) were asked for.
      - C(settings) keeps the kernel's values of O(names) (sysctl), those that are not kept yet.
      - C(start) starts what packages that came since have enabled, and what was held back when they were installed.
      - C(brought) tells what came with the platform and is still there.
    type: str
    choices: [note, settings, start, brought]
    required: true
  names:
    description: What is noted.
    type: list
    elements: str
    default: []
"""
EXAMPLES = """
- name: Record packages of the host before the platform
  package_record:
    action: note
    names: [nginx-light]
"""
RETURN = """
started: {description: "Units that were started, or would be.", type: list, returned: for C(start)}
brought:
  description: What came with the platform and is still there.
  type: dict
  returned: for C(brought)
  contains:
    known: {description: Whether the record tells what was there before., type: bool}
    packages: {description: Packages to be purged., type: list}
    stay: {description: Packages that another one needs., type: list}
    users: {description: Users that were not there., type: list}
    journal: {description: Whether a journal was on disk., type: bool}
    settings: {description: Values of the kernel's settings by name., type: dict}
"""

RECORD = Path("/var/lib/graphing/before.json")
UNNEEDED = [f"-oAPT::AutoRemove::{kind}Important=false" for kind in ("Recommends", "Suggests")]
JOURNAL = Path("/var/log/journal")
STARTED = {".service", ".socket", ".timer", ".path"}


def installed() -> list[str]:
    """Return the names of the installed packages."""
    command = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({line.split()[1] for line in lines if line.startswith("ii")})


def describe_host() -> dict[str, Any]:
    """Return the host as it is. If the platform is on it already, the record cannot tell what was there before."""
    return {
        "known": not Path("/etc/systemd/system/graphing.target").exists(),
        "packages": installed(),
        "users": sorted(entry.pw_name for entry in pwd.getpwall()),
        "groups": sorted(entry.gr_name for entry in grp.getgrall()),
        "settings": {},
        "journal": JOURNAL.exists(),
        "asked": [],
    }


def note(names: list[str]) -> None:
    """Add the names to the record."""
    record = load()
    record["asked"] = sorted({*record["asked"], *names})
    store(record)


def note_settings(names: list[str]) -> None:
    """Add the present values of settings of the kernel to the record, unless the platform has changed them already."""
    record = load()
    values = {name: Path("/proc/sys", *name.split(".")) for name in names}
    present = {name: path.read_text().split() for name, path in values.items() if path.exists()}
    record["settings"] = {name: " ".join(value) for name, value in present.items()} | record["settings"]
    store(record)


def load() -> dict[str, Any]:
    """Return the record; it is begun if there is none."""
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else describe_host()
    record.setdefault("settings", {})
    return record


def store(record: Mapping[str, Any]) -> None:
    """Keep the record, whole or not at all."""
    RECORD.parent.mkdir(mode=0o755, exist_ok=True)
    scratch = RECORD.with_suffix(".new")
    with scratch.open("w") as file:
        json.dump(record, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(RECORD)


def removed_with(names: list[str], *options: str) -> set[str]:
    """Return what apt would remove if these were to be removed."""
    command = ["apt-get", "--simulate", "--purge", *options, "remove", *names]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "LANG": "C"}).stdout
    return set(re.findall(r"^(?:Purg|Remv) (\S+)", shown, re.MULTILINE))


def brought() -> dict[str, Any]:
    """Return what came with the platform and is still there."""
    if not RECORD.exists():
        return {"known": False, "packages": [], "stay": [], "users": [], "journal": True, "settings": {}}
    record = json.loads(RECORD.read_text())
    before = set(record["packages"])
    asked = sorted((set(record["asked"]) & set(installed())) - before)
    # With those that came for their sake alone, even if what stays suggests them. What was there before stays.
    came = removed_with(asked, "--auto-remove", *UNNEEDED) - before if asked else set()
    gone = set(came)
    # What somebody has installed since may need one of them: that one stays.
    while gone and (others := removed_with(sorted(gone)) - gone):
        gone -= {name for name in gone if removed_with([name]) & others} or set(gone)
    users = sorted({entry.pw_name for entry in pwd.getpwall()} - set(record["users"]))
    return {
        "known": record["known"],
        "packages": sorted(gone),
        "stay": sorted(came - gone),
        "users": users,
        "journal": record["journal"] or not record["known"],
        "settings": record.get("settings", {}),
    }


def came(record: Mapping[str, Any]) -> list[str]:
    """Return the names of packages that came for the platform's sake: those asked for, and those that they need."""
    automatic = subprocess.run(["apt-mark", "showauto"], capture_output=True, text=True, check=True).stdout.split()
    return sorted(set(installed()) & (set(record["asked"]) | set(automatic) - set(record["packages"])))


def units(packages: list[str]) -> list[str]:
    """Return the names of the units in packages that the boot may start."""
    files = subprocess.run(["dpkg-query", "-L", *packages], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    found = [Path(file) for file in files if "/systemd/system/" in file]
    return sorted({file.name for file in found if file.suffix in STARTED and not file.stem.endswith("@")})


def held_back(unit: Mapping[str, str]) -> bool:
    """Tell whether the next boot would start a unit, as `systemctl show` describes it, and nobody has yet."""
    refused = unit["ConditionTimestampMonotonic"] != "0" and unit["ConditionResult"] == "no"
    enabled = unit["UnitFileState"] == "enabled" and unit.get("Type") != "oneshot"
    return enabled and unit["ActiveState"] == "inactive" and not refused


def shown(names: list[str]) -> list[dict[str, str]]:
    """Return what systemd knows of units, as a list of properties by name."""
    properties = "Id,UnitFileState,ActiveState,Type,ConditionTimestampMonotonic,ConditionResult"
    command = ["systemctl", "show", f"--property={properties}", *names]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [dict(line.split("=", 1) for line in part.splitlines()) for part in text.strip().split("\n\n")]


def start(check: bool) -> list[str]:
    """Start what was held back, and return its names; a unit whose conditions do not hold here stays as it is."""
    names = units(came(load())) if RECORD.exists() else []
    waiting = [unit["Id"] for unit in shown(names) if held_back(unit)] if names else []
    if waiting and not check:
        subprocess.run(["systemctl", "start", *waiting], check=True, capture_output=True, text=True)
        waiting = [unit["Id"] for unit in shown(waiting) if unit["ActiveState"] != "inactive"]
    return waiting


def act(action: str, names: list[str], check: bool) -> dict[str, Any]:
    """Do one of the four; return the module's answer."""
    match action:
        case "start":
            started = start(check)
            return {"changed": bool(started), "started": started}
        case "brought":
            return {"changed": False, "brought": brought()}
        case "note" if not check:
            note(names)
        case "settings" if not check:
            note_settings(names)
    return {"changed": False}


def main() -> None:
    """Do what the task says."""
    module = AnsibleModule(
        argument_spec={
            "action": {"type": "str", "choices": ["note", "settings", "start", "brought"], "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        answer = act(module.params["action"], module.params["names"], module.check_mode)
    except subprocess.CalledProcessError as error:
        module.fail_json(msg=f"{' '.join(error.cmd)} has failed: {(error.stderr or error.stdout).strip()}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
