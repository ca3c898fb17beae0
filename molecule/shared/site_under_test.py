"""What the tests do to a graphing server: send to it, ask it, look at its files. All of it runs on the host itself."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from typing import Any

DEADLINE = 60.0  # seconds; a wait ends as soon as its condition holds

SEND_IN_ONE_INTERVAL = """
import json, socket, sys, time
interval, datagrams = json.load(sys.stdin)
# All datagrams fall into one flush interval, or the numbers would spread over two.
while time.time() % interval > interval / 2:
    time.sleep(0.05)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for datagram in datagrams:
    out.sendto(datagram.encode("latin-1"), ("127.0.0.1", 8125))
now = time.time()
print(int(now - now % interval) + interval)
"""

REQUEST = """
import json, sys, urllib.error, urllib.parse, urllib.request
method, url, form, headers = json.load(sys.stdin)
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
data = urllib.parse.urlencode(form).encode() if form is not None else None
request = urllib.request.Request(url, data=data, headers=headers, method=method)
try:
    answer = urllib.request.build_opener(Stay()).open(request, timeout=30)
except urllib.error.HTTPError as error:
    answer = error
body = answer.read().decode("utf-8", "replace")
print(json.dumps({"status": answer.status, "body": body, "headers": answer.headers.items()}))
"""


class Site:
    """A graphing server under test."""

    interval = 10
    web = "http://127.0.0.1:80"

    def __init__(self, host: Any) -> None:
        """Wrap a testinfra host."""
        self.host = host

    def python(self, script: str, given: Any = None) -> str:
        """Run a script on the host with JSON on its stdin; its output."""
        command = f"printf %s {shlex.quote(json.dumps(given))} | python3 -c {shlex.quote(script)}"
        return str(self.host.check_output(command))

    def send(self, *datagrams: str) -> int:
        """Send datagrams within one flush interval; the timestamp that their numbers get."""
        return int(self.python(SEND_IN_ONE_INTERVAL, [self.interval, datagrams]))

    def request(self, path: str, form: dict[str, str] | None = None, **headers: str) -> dict[str, Any]:
        """Ask the web server; status, body and headers."""
        method = "GET" if form is None else "POST"
        given = [
            method,
            self.web + path,
            form,
            {name.replace("_", "-"): text for name, text in headers.items()},
        ]
        answer = json.loads(self.python(REQUEST, given))
        answer["headers"] = [(name.lower(), value) for name, value in answer["headers"]]
        return dict(answer)

    def render(self, target: str, start: str = "-10min") -> dict[str, dict[int, float]]:
        """Series of a target, each as {timestamp: value} without the empty slots."""
        answer = self.request(f"/render?format=json&from={start}&target={target}")
        assert answer["status"] == 200, answer
        return {
            series["target"]: {stamp: value for value, stamp in series["datapoints"] if value is not None}
            for series in json.loads(answer["body"])
        }

    def until(self, what: Callable[[], Any], seconds: float = DEADLINE) -> Any:
        """The first true answer of `what`, asked until the deadline; AssertionError with the last one."""
        end = time.monotonic() + seconds
        while not (answer := what()):
            assert time.monotonic() < end, f"still {answer!r} after {seconds:.0f} s"
            time.sleep(0.5)
        return answer
