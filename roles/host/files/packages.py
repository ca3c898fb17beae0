#!/usr/bin/env python3
"""What this host was before the platform came, so that it can go again.

    packages.py note NAME...       keeps what is installed now, if nothing is kept yet, and adds the names to those that
                                   were asked for
    packages.py settings NAME...   keeps the kernel's values of settings (sysctl), those that are not kept yet
    packages.py start [--check]    starts what packages that came since have enabled, and what was held back when they
                                   were installed; prints a line `CHANGED started NAME` for each unit
    packages.py brought            JSON: {"packages": to be purged, "stay": those that another package needs, "users":
                                   that were not there, "journal": whether one was on disk, "settings": {name: value},
                                   "known": whether the record tells what was there before}

The record is written before a package is installed, so that an interrupted run leaves it complete.
"""

import grp
import json
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

RECORD = Path("/var/lib/graphing/before.json")
UNNEEDED = [f"-oAPT::AutoRemove::{kind}Important=false" for kind in ("Recommends", "Suggests")]
JOURNAL = Path("/var/log/journal")
STARTED = {".service", ".socket", ".timer", ".path"}


def installed():
    """Names of the installed packages."""
    command = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({line.split()[1] for line in lines if line.startswith("ii")})


def now():
    """The host as it is. If the platform is on it already, the record cannot tell what was there before."""
    return {
        "known": not Path("/etc/systemd/system/graphing.target").exists(),
        "packages": installed(),
        "users": sorted(entry.pw_name for entry in pwd.getpwall()),
        "groups": sorted(entry.gr_name for entry in grp.getgrall()),
        "settings": {},
        "journal": JOURNAL.exists(),
        "asked": [],
    }


def note(names):
    """Add the names to the record."""
    record = load()
    record["asked"] = sorted({*record["asked"], *names})
    store(record)


def note_settings(names):
    """Add the present values of settings of the kernel to the record, unless the platform has changed them already."""
    record = load()
    values = {name: Path("/proc/sys", *name.split(".")) for name in names}
    present = {name: path.read_text().split() for name, path in values.items() if path.exists()}
    record["settings"] = {name: " ".join(value) for name, value in present.items()} | record["settings"]
    store(record)


def load():
    """The record; begun if there is none."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else now()
    record.setdefault("settings", {})
    return record


def store(record):
    """Keep the record, whole or not at all."""
    RECORD.parent.mkdir(mode=0o755, exist_ok=True)
    scratch = RECORD.with_suffix(".new")
    with scratch.open("w") as file:
        json.dump(record, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(RECORD)


def removed_with(names, *options):
    """What apt would remove if these were to be removed."""
    command = ["apt-get", "--simulate", "--purge", *options, "remove", *names]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "LANG": "C"}).stdout
    return set(re.findall(r"^(?:Purg|Remv) (\S+)", shown, re.MULTILINE))


def brought():
    """What came with the platform and is still there."""
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


def came(record):
    """Names of the packages that came for the platform's sake: what it asked for, and what that depends on."""
    automatic = subprocess.run(["apt-mark", "showauto"], capture_output=True, text=True, check=True).stdout.split()
    now = set(installed())
    return sorted(now & (set(record["asked"]) | set(automatic) - set(record["packages"])))


def units(packages):
    """Names of the units in packages that the boot may start."""
    files = subprocess.run(["dpkg-query", "-L", *packages], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    found = [Path(file) for file in files if "/systemd/system/" in file]
    return sorted({file.name for file in found if file.suffix in STARTED and not file.stem.endswith("@")})


def held_back(unit):
    """Whether the next boot would start a unit, as `systemctl show` describes it, and nobody has yet."""
    refused = unit["ConditionTimestampMonotonic"] != "0" and unit["ConditionResult"] == "no"
    enabled = unit["UnitFileState"] == "enabled" and unit.get("Type") != "oneshot"
    return enabled and unit["ActiveState"] == "inactive" and not refused


def shown(names):
    """What systemd knows of units, as a list of properties by name."""
    properties = "Id,UnitFileState,ActiveState,Type,ConditionTimestampMonotonic,ConditionResult"
    command = ["systemctl", "show", f"--property={properties}", *names]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [dict(line.split("=", 1) for line in part.splitlines()) for part in text.strip().split("\n\n")]


def start(check):
    """Start what was held back; a unit whose conditions do not hold here stays as it is, and is not said."""
    names = units(came(load())) if RECORD.exists() else []
    waiting = [unit["Id"] for unit in shown(names) if held_back(unit)] if names else []
    if waiting and not check:
        subprocess.run(["systemctl", "start", *waiting], check=True)
        waiting = [unit["Id"] for unit in shown(waiting) if unit["ActiveState"] != "inactive"]
    print("\n".join(f"CHANGED started {name}" for name in waiting) or "OK")


def main():
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["note", *names]:
            note(names)
        case ["settings", *names]:
            note_settings(names)
        case ["start", *options] if options in ([], ["--check"]):
            start(check=bool(options))
        case ["brought"]:
            print(json.dumps(brought()))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
