#!/usr/bin/env python3
"""What preflight must know of a host, in one look that changes nothing: JSON on stdout.

{"places": {"/opt/graphing": {"mount": "/", "free_mib": 5000, "free_files": 90000, "read_only": false}},
 "systemd": true, "installed": false, "sysctl": true, "hardened": false, "sshd": true,
 "packages": ["chrony"], "listeners": [{"proto": "tcp", "port": 22, "processes": ["sshd"]}]}
"""

import json
import os
import re
import subprocess
import sys


def place(path):
    """The file system that path lies on, or will lie on: what an unprivileged user may still write there.

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


def listeners():
    """Who listens on which port: ss prints a line per socket, processes as users:(("sshd",pid=1,fd=3))."""
    found = {}
    for line in subprocess.run(["ss", "-Hlntup"], capture_output=True, text=True, check=True).stdout.splitlines():
        proto, _, _, _, local = line.split()[:5]
        key = (proto, int(local.rsplit(":", 1)[1]))
        found.setdefault(key, set()).update(re.findall(r'\("([^"]+)"', line))
    return [{"proto": p, "port": n, "processes": sorted(who)} for (p, n), who in sorted(found.items())]


def installed(packages):
    """Those of the Debian packages that are installed."""
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n", *packages],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return [line[3:].strip() for line in shown.splitlines() if line.startswith("ii")]


def main():
    """Print the findings; the argument says what to look for: {"packages": names, "places": paths}, as JSON."""
    wanted = json.loads(sys.argv[1])
    print(
        json.dumps(
            {
                "places": {path: place(path) for path in wanted["places"]},
                "systemd": os.path.isdir("/run/systemd/system"),
                "installed": os.path.exists("/etc/systemd/system/graphing.target"),
                "sysctl": os.access("/proc/sys/net/core/rmem_max", os.W_OK),
                "hardened": os.path.exists("/etc/security/limits.d/graphing.conf"),
                "sshd": os.path.exists("/usr/sbin/sshd"),
                "packages": installed(wanted["packages"]),
                "listeners": listeners(),
            }
        )
    )


if __name__ == "__main__":
    main()
