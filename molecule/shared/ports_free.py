"""Refuse ports of this computer that are taken: ports_free.py CONTAINER 127.0.0.1:8080:80 127.0.0.1:8125:8125/udp ...

The arguments are what Docker is asked to publish. While the container runs, they are its own, and it prints "running".
"""

import socket
import subprocess
import sys


def holder(published):
    """Why the published port cannot be had, or None."""
    address, _, proto = published.partition("/")
    host, port, _ = address.rsplit(":", 2)
    kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            return f"{host}:{port}/{proto or 'tcp'}: {error.strerror}"
    return None


container, *ports = sys.argv[1:]
running = subprocess.run(
    ["docker", "ps", "--quiet", "--filter", f"name=^{container}$"], capture_output=True, text=True, check=True
).stdout.strip()
taken = [] if running else [why for why in map(holder, ports) if why]
if running:
    print("running")
if taken:
    sys.exit(
        "A port of this computer is taken: " + "; ".join(taken) + ". Stop what holds it (ss -lntup tells), "
        "or choose another in inventory/local/group_vars/graphing.yml."
    )
