"""What a host is apart from its data: what an installation adds, and what must be gone when it has been taken away."""

from __future__ import annotations

from typing import Any

# Written by every change of an account or a library, whatever the change.
RECORDS = {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock", "/etc/ld.so.cache"}

COMMANDS = {
    "packages": "dpkg-query -W -f '${db:Status-Abbrev}${Package}\\n'",
    "accounts": "cut -d: -f1,3- /etc/passwd",
    "groups": "cat /etc/group",
    "units": "systemctl list-unit-files --plain --no-legend",
    "failed units": "systemctl list-units --failed --plain --no-legend",
    "listeners": "ss -Hlntu | awk '{print $1, $5}'",
    "files": "find /etc /opt /usr/local -xdev ! -type d -exec sha256sum {} + 2>/dev/null",
    "links": "find /etc /opt /usr/local -xdev -type l -printf '%p -> %l\\n'",
    "directories": "find /etc /opt /usr/local /var/lib /var/log /var/cache -xdev -maxdepth 2 -type d",
    "overrides": "dpkg-statoverride --list",
}


def bare_state(host: Any) -> dict[str, set[str]]:
    """Lines of each kind."""
    found = {kind: set(host.run(command).stdout.splitlines()) for kind, command in COMMANDS.items()}
    found["files"] = {line for line in found["files"] if line.partition("  ")[2] not in RECORDS}
    return found


def differences(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, dict[str, list[str]]]:
    """What went and what came, by kind; nothing where nothing did."""
    return {
        kind: {"gone": sorted(before[kind] - after[kind]), "new": sorted(after[kind] - before[kind])}
        for kind in before
        if before[kind] != after[kind]
    }
