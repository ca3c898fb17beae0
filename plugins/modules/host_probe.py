"""Ansible module: what preflight must know of a host, in one look that changes nothing."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # ansible ships no types

DOCUMENTATION = """
module: host_probe
short_description: What preflight must know of a host
description:
  - Looks at places, packages and listeners, and at what earlier runs left. Nothing changes.
options:
  packages: {description: Debian packages to look for., type: list, elements: str, required: true}
  places: {description: Paths that something lies at or will lie at., type: list, elements: str, required: true}
"""
EXAMPLES = """
- name: Look at the host
  host_probe:
    packages: [chrony]
    places: [/opt/graphing]
"""
RETURN = """
host:
  description: What was found.
  type: dict
  returned: always
  sample:
    places: {"/opt/graphing": {mount: /, free_mib: 5000, free_files: 90000, read_only: false}}
    systemd: true
    installed: false
    sysctl: true
    hardened: false
    sshd: true
    packages: [chrony]
    listeners: [{proto: tcp, port: 22, processes: [sshd]}]
"""


def place(path: str) -> dict[str, Any]:
    """Return the file system that path lies on, or will lie on: what an unprivileged user may still write there.

    free_files: inodes, or none where the file system makes them as it needs them.
    """
    there = os.path.realpath(path)
    while not os.path.exists(there):
        there = os.path.dirname(there)
    status = os.statvfs(there)
    while not os.path.ismount(there):
        there = os.path.dirname(there)
    return {
        "mount": there,
        "free_mib": status.f_bavail * status.f_frsize >> 20,
        "free_files": status.f_favail if status.f_files else None,
        "read_only": bool(status.f_flag & os.ST_RDONLY),
    }


def listeners() -> list[dict[str, Any]]:
    """Return who listens on which port: ss prints a line per socket, processes as users:(("sshd",pid=1,fd=3))."""
    found: dict[tuple[str, int], set[str]] = {}
    for line in subprocess.run(["ss", "-Hlntup"], capture_output=True, text=True, check=True).stdout.splitlines():
        proto, _, _, _, local = line.split()[:5]
        key = (proto, int(local.rsplit(":", 1)[1]))
        found.setdefault(key, set()).update(re.findall(r'\("([^"]+)"', line))
    return [{"proto": p, "port": n, "processes": sorted(who)} for (p, n), who in sorted(found.items())]


def installed(packages: list[str]) -> list[str]:
    """Return those of the Debian packages that are installed."""
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n", *packages],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return [line[3:].strip() for line in shown.splitlines() if line.startswith("ii")]


def look(packages: list[str], places: list[str]) -> dict[str, Any]:
    """Return what was found."""
    return {
        "places": {path: place(path) for path in places},
        "systemd": os.path.isdir("/run/systemd/system"),
        "installed": os.path.exists("/etc/systemd/system/graphing.target"),
        "sysctl": os.access("/proc/sys/net/core/rmem_max", os.W_OK),
        "hardened": os.path.exists("/etc/security/limits.d/graphing.conf"),
        "sshd": os.path.exists("/usr/sbin/sshd"),
        "packages": installed(packages),
        "listeners": listeners(),
    }


def main() -> None:
    """Do what the task says."""
    names = {"type": "list", "elements": "str", "required": True}
    module = AnsibleModule(argument_spec={"packages": names, "places": names}, supports_check_mode=True)
    module.exit_json(changed=False, host=look(module.params["packages"], module.params["places"]))


if __name__ == "__main__":
    main()
