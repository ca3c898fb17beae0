"""A carbon that remembers, and the real daemon as a process."""

import os
import socket
import sys
import threading
from pathlib import Path

from ports import reserve_port
from programs import Program

PACKAGE = Path(__file__).resolve().parents[1]
REPOSITORY = PACKAGE.parents[1]
TWIN = REPOSITORY / ".cache" / "twin"
"""Where bin/twin puts the compiled engine."""

# What systemd does for a socket unit: the socket is descriptor 3, and LISTEN_PID is the daemon's own.
_ACTIVATE = """
import os, sys
fd = int(sys.argv[1])
if fd >= 0:
    os.dup2(fd, 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "graphing", "statsd", "--config", sys.argv[2]])
"""


class Carbon:
    """Listens as carbon does; keeps the last value per name and timestamp, as whisper does.

    Its port stays its own while it is away, so that another may come back there.
    """

    def __init__(self, port=None):
        self.points = {}
        self.lines = 0
        self.bad = []
        self._clients = []
        self.port = port or reserve_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            threading.Thread(target=self._read, args=(client,), daemon=True).start()

    def _read(self, client):
        rest = b""
        try:
            while data := client.recv(65536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._store(line)
        except OSError:
            pass
        client.close()

    def _store(self, line):
        self.lines += 1
        try:
            name, value, stamp = line.decode("ascii").split(" ")
            self.points[name, int(stamp)] = float(value)
        except ValueError:
            self.bad.append(line)

    def series(self, name):
        """Return {timestamp: value}."""
        return {stamp: value for (found, stamp), value in list(self.points.items()) if found == name}

    def total(self, name):
        return sum(self.series(name).values())

    def close(self):
        """Go away as a killed process does: nobody listens, and connections end in a reset."""
        # shutdown() wakes the thread in accept(), which would hold the port otherwise.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            try:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.shutdown(socket.SHUT_RDWR)
                client.close()
            except OSError:
                pass


class Daemon(Program):
    """`graphing statsd` as a process, with a UDP socket passed to it or one of its own.

    `settings` are those of the table `statsd`; `tables` are the others.
    """

    def __init__(self, folder, carbon_port, inbox=None, environment=None, tables=None, **settings):
        self.config = folder / "statsd.toml"
        tables = tables or {}
        self.tables = {
            "statsd": {
                "interval": 1,
                "state_file": str(folder / "state.json"),
                "datagram_log": str(folder / "datagrams"),
                **settings,
            },
            "carbon": {"port": carbon_port, "journal": str(folder / "journal"), **tables.get("carbon", {})},
            "console": {"port": 0, "http_port": 0, **tables.get("console", {})},
            **{name: keys for name, keys in tables.items() if name not in ("carbon", "console")},
        }
        self.write()
        fd = inbox.fileno() if inbox else -1
        source = PACKAGE / "src"
        super().__init__(
            [sys.executable, "-c", _ACTIVATE, str(fd), str(self.config)],
            folder / "log",
            pass_fds=[fd] if inbox else [],
            env={**os.environ, "PYTHONPATH": f"{source}:{TWIN}", **(environment or {})},
        )

    def write(self, **changes):
        """Write the configuration; `changes` are tables with the keys to change."""
        for table, keys in changes.items():
            self.tables.setdefault(table, {}).update(keys)
        self.config.write_text(toml_text(self.tables))


def toml_text(tables):
    lines = []
    for table, keys in tables.items():
        lines += [f"[{table}]", *(f"{key} = {toml(value)}" for key, value in keys.items())]
    return "\n".join([*lines, ""])


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value).lower() if isinstance(value, bool) else repr(value)


def udp_socket():
    """Return a socket whose port stays nobody's when it is closed."""
    inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inbox.bind(("127.0.0.1", reserve_port()))
    return inbox


def send(inbox_or_port, *datagrams):
    port = inbox_or_port if isinstance(inbox_or_port, int) else inbox_or_port.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for datagram in datagrams:
            client.sendto(datagram, ("127.0.0.1", port))
