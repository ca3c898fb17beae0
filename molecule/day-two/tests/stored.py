"""Stored series on the host under test: made, read as whisper-fetch reads them, and compared."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

WHISPER = PurePosixPath("/var/lib/graphite/whisper")

MAKE = """
import json, os, pwd, sys, whisper
path, archives, points = json.load(sys.stdin)
os.umask(0o027)
os.makedirs(os.path.dirname(path), exist_ok=True)
if os.path.exists(path):
    os.unlink(path)
whisper.create(path, [tuple(archive) for archive in archives], 0, "sum", sparse=True)
for stamp, value in points:
    whisper.update(path, value, stamp, now=stamp)
owner = pwd.getpwnam("_graphite")
while path != "/var/lib/graphite/whisper":
    os.chown(path, owner.pw_uid, owner.pw_gid)
    path = os.path.dirname(path)
"""

SLOTS = """
import json, sys, whisper
path, start, end, step = json.load(sys.stdin)
(start, end, step), values = whisper.fetch(path, start, end, now=end, archiveToSelect=step)
print(json.dumps({stamp: value for stamp, value in zip(range(start, end, step), values) if value is not None}))
"""

LINES = """
import json, socket, sys
with socket.create_connection(("127.0.0.1", 2003)) as carbon:
    carbon.sendall("".join(line + chr(10) for line in json.load(sys.stdin)).encode())
"""


CONSOLE = """
import json, socket, sys
with socket.create_connection(("127.0.0.1", 8126)) as console:
    console.sendall((json.load(sys.stdin) + chr(10) + "quit" + chr(10)).encode())
    while console.recv(65536):
        pass
"""

# Over graphite-web's own socket, where nginx does not stand in between.
TAGS = """
import http.client, json, socket, sys, urllib.parse
path, form = json.load(sys.stdin)
web = http.client.HTTPConnection("localhost")
web.sock = socket.socket(socket.AF_UNIX)
web.sock.connect("/run/graphite-web.sock")
web.request("POST", path, urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
print(web.getresponse().read().decode())
"""


class Stored:
    """Whisper files of a site."""

    def __init__(self, site: Any) -> None:
        self.site, self.host = site, site.host

    def path(self, series: str) -> str:
        """Where a series lies."""
        return str(WHISPER / f"{series.replace('.', '/')}.wsp")

    def make(self, series: str, archives: list[tuple[int, int]], points: list[tuple[int, float]]) -> None:
        """A file with a history, as carbon would have written it point by point."""
        self.site.python(MAKE, [self.path(series), archives, points])

    def slots(self, series: str, step: int, end: int, seconds: int) -> dict[int, float]:
        """{timestamp: number} of one archive until `end`."""
        found = json.loads(self.site.python(SLOTS, [self.path(series), end - seconds, end, step]))
        return {int(stamp): value for stamp, value in found.items()}

    def lines(self, *lines: str) -> None:
        """Send lines to carbon's port."""
        self.site.python(LINES, lines)

    def forget(self, *buckets: str) -> None:
        """Have the aggregator forget counters, which it would tell as 0 for ever."""
        self.site.python(CONSOLE, f"delcounters {' '.join(buckets)}")

    def tags(self, url: str, /, **form: str) -> Any:
        """What graphite-web's database of tags answers."""
        return json.loads(self.site.python(TAGS, [url, form]))

    def exists(self, series: str) -> bool:
        """Whether the series has a file."""
        return bool(self.host.file(self.path(series)).exists)

    def now(self) -> int:
        """The clock of the host."""
        return int(self.host.check_output("date +%s"))

    def remove(self, name: str) -> None:
        """Remove a series and all below it."""
        path = self.path(name)
        self.host.check_output("rm -rf %s %s", path, path.removesuffix(".wsp"))
