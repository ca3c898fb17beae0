#!/usr/bin/env python3
"""What preflight must know of a host, in one look that changes nothing: JSON on stdout.

{"free_mib": {"/opt": 5000, "/var": 5000}, "systemd": true, "installed": false, "sysctl": true, "hardened": false,
 "sshd": true, "packages": ["chrony"], "listeners": [{"proto": "tcp", "port": 22, "processes": ["sshd"]}]}
"""

import json
import os
import re
import subprocess
import sys


def free_mib(path):
    """MiB that an unprivileged user may still write below path, or below its nearest parent that exists."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize >> 20


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
    """Print the findings; the arguments are the packages that may be installed."""
    print(
        json.dumps(
            {
                "free_mib": {path: free_mib(path) for path in ("/opt", "/var")},
                "systemd": os.path.isdir("/run/systemd/system"),
                "installed": os.path.exists("/etc/systemd/system/graphing.target"),
                "sysctl": os.access("/proc/sys/net/core/rmem_max", os.W_OK),
                "hardened": os.path.exists("/etc/security/limits.d/graphing.conf"),
                "sshd": os.path.exists("/usr/sbin/sshd"),
                "packages": installed(sys.argv[1:]),
                "listeners": listeners(),
            }
        )
    )


main()
