"""Ports for those who must name one before anybody listens on it: some tests, and the benchmarks.

A port that the kernel gave out and that was closed again may be gone when it is wanted: the kernel gives it to any
connection for its own end, and what is free for UDP may be in use for TCP. So these come from outside its range, are
free for both, and nobody else on this computer is given one by this file as long as the process lives.
"""

import errno
import random
import socket
from collections.abc import Sequence
from pathlib import Path

_GIVEN_TO_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CLAIM = "\0photoworld-graphing/port/{}"
"""A Unix socket in the abstract namespace, which each network namespace has of its own, as ports."""

_claims: list[socket.socket] = []


def outside_connections() -> list[int]:
    """Return the ports above 10,000 that the kernel gives to no connection by itself; all if there are none such."""
    lowest, highest = map(int, _GIVEN_TO_CONNECTIONS.read_text().split())
    every = range(10_000, 65_536)
    return [port for port in every if not lowest <= port <= highest] or list(every)


def reserve_port(among: Sequence[int] = ()) -> int:
    """Return a port that is free for TCP and UDP on every address of this computer, and keep it from others' calls.

    Whoever is to listen does so himself: nothing is bound. `among` names the ports to choose from; by default those
    that no connection is given. Raises OSError if none is left.
    """
    candidates = among or outside_connections()
    for port in random.sample(candidates, len(candidates)):
        if _claim(port):
            return port
    raise OSError(errno.EADDRINUSE, "no port is left")


def _claim(port: int) -> bool:
    """Take a port for this process, unless another has done so or somebody uses it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(_CLAIM.format(port))
        _check_free(port)
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _check_free(port: int) -> None:
    """Raise OSError if somebody uses a port."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("", port))
        if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
            with socket.socket(socket.AF_INET6, kind) as probe:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(("::", port))
