"""What the tests do to a graphing server: send to it, ask it, look at its files. All of it runs on the host itself."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable
from typing import Any, ClassVar

GRAPHING_PYTHON = "/opt/graphing/venv/bin/python"  # of the release on the host: it can import graphing
DEADLINE = 60.0  # seconds; a wait ends as soon as its condition holds

SEND_IN_ONE_INTERVAL = """
import json, socket, sys, time
interval, address, port, datagrams = json.load(sys.stdin)
# All datagrams fall into one flush interval, or the numbers would spread over two.
while time.time() % interval > interval / 2:
    time.sleep(0.05)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for datagram in datagrams:
    out.sendto(datagram.encode("latin-1"), (address, port))
now = time.time()
print(int(now - now % interval) + interval)
"""

REQUEST = """
import json, ssl, sys, urllib.error, urllib.parse, urllib.request
method, url, form, headers, authority = json.load(sys.stdin)
trust = ssl.create_default_context(cafile=authority) if url.startswith("https:") else None
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
data = urllib.parse.urlencode(form, doseq=True).encode() if form is not None else None
request = urllib.request.Request(url, data=data, headers=headers, method=method)
try:
    answer = urllib.request.build_opener(Stay(), urllib.request.HTTPSHandler(context=trust)).open(request, timeout=120)
except urllib.error.HTTPError as error:
    answer = error
body = answer.read().decode("utf-8", "replace")
print(json.dumps({"status": answer.status, "body": body, "headers": answer.headers.items()}))
"""


def state_of(unit: dict[str, str]) -> str:
    """How a unit stands that the boot starts, from its properties."""
    if unit["ActiveState"] != "inactive" or unit.get("Type") == "oneshot":
        return "runs"
    tried = unit["ConditionTimestampMonotonic"] != "0"
    return "refuses" if tried and unit["ConditionResult"] == "no" else "waits"


class Site:
    """A graphing server under test: as the roles' defaults have it, unless the scenario's verifier says otherwise."""

    interval = int(os.environ.get("SITE_INTERVAL", "10"))
    statsd = "127.0.0.1"
    port = int(os.environ.get("SITE_PORT", "8125"))
    web = os.environ.get("SITE_WEB", "https://127.0.0.1")
    forum = os.environ.get("SITE_FORUM", "https://127.0.0.1:8081")
    authority = os.environ.get("SITE_AUTHORITY", "/etc/graphing/tls/authority.pem")
    # What goes with every request, for example the cookie of a session.
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, host: Any) -> None:
        """Wrap a testinfra host."""
        self.host = host

    def python(self, script: str, given: Any = None, python: str = "python3") -> str:
        """Run a script on the host with JSON on its stdin; its output."""
        command = f"printf %s {shlex.quote(json.dumps(given))} | {python} -c {shlex.quote(script)}"
        return str(self.host.check_output(command))

    def send(self, *datagrams: str) -> int:
        """Send datagrams within one flush interval; the timestamp that their numbers get."""
        return int(self.python(SEND_IN_ONE_INTERVAL, [self.interval, self.statsd, self.port, datagrams]))

    def request(self, path: str, form: dict[str, str | list[str]] | None = None, **headers: str) -> dict[str, Any]:
        """Ask the web server for a path of graphite-web, or for a whole address; status, body and headers."""
        method = "GET" if form is None else "POST"
        url = self.web + path if path.startswith("/") else path
        sent = self.headers | {name.replace("_", "-"): text for name, text in headers.items()}
        given = [method, url, form, sent, self.authority]
        answer = json.loads(self.python(REQUEST, given))
        answer["headers"] = [(name.lower(), value) for name, value in answer["headers"]]
        return dict(answer)

    def log_in(self, user: str, password: str) -> str:
        """Log in to graphite-web; the cookie of the session, with its attributes."""
        answer = self.request("/account/login", {"username": user, "password": password, "nextPage": "/"}, Cookie="")
        assert answer["status"] == 302, answer
        return next(text for name, text in answer["headers"] if name == "set-cookie" and text.startswith("sessionid="))

    def render(self, target: str, start: str = "-10min") -> dict[str, dict[int, float]]:
        """Series of a target, each as {timestamp: value} without the empty slots."""
        answer = self.request(f"/render?format=json&from={start}&target={target}")
        assert answer["status"] == 200, answer
        return {
            series["target"]: {stamp: value for value, stamp in series["datapoints"] if value is not None}
            for series in json.loads(answer["body"])
        }

    def enabled_units(self) -> dict[str, str]:
        """What the boot starts: "waits" if nobody has started it yet, "runs", or "refuses" where a condition fails."""
        kinds = "service,timer,socket,path"
        listed = self.host.check_output(f"systemctl list-unit-files --state=enabled --type={kinds} --plain --no-legend")
        names = [line.split()[0] for line in listed.splitlines() if "@." not in line.split()[0]]
        properties = "Id,ActiveState,Type,ConditionTimestampMonotonic,ConditionResult"
        shown = self.host.check_output(f"systemctl show --property={properties} {' '.join(names)}").strip()
        units = [dict(line.split("=", 1) for line in part.splitlines()) for part in shown.split("\n\n")]
        return {unit["Id"]: state_of(unit) for unit in units}

    def until(self, what: Callable[[], Any], seconds: float = DEADLINE) -> Any:
        """The first true answer of `what`, asked until the deadline; AssertionError with the last one."""
        end = time.monotonic() + seconds
        while not (answer := what()):
            assert time.monotonic() < end, f"still {answer!r} after {seconds:.0f} s"
            time.sleep(0.5)
        return answer
