"""The oracle: what issues numbered metrics on the host, and the ledger of what it issued.

The issuing itself is on_host/oracle.py, which runs as a systemd unit of its own, so that it outlives a broken
connection between the controller and the host.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from site_under_test import Site

ON_HOST = Path(__file__).parent / "on_host"
# On a disk: the ledger survives a reboot.
FOLDER = "/var/tmp/graphing-oracle"
UNIT = "graphing-oracle"


@dataclass(frozen=True)
class Order:
    """What the oracle is to issue."""

    name: str
    seed: int
    buckets: int = 8
    events_per_second: int = 1000
    lines: int = 40
    """Series that get a line in each interval."""
    seconds: int = 1800
    """When it gives up waiting to be stopped."""
    interval: int = Site.interval
    udp_port: int = 8125
    tcp_port: int = 2003


@dataclass(frozen=True)
class Ledger:
    """What was issued. Every entry is an obligation."""

    name: str
    began: float
    ended: float
    """Seconds since 1970."""
    events: dict[str, tuple[int, int]]
    """Bucket to the number of values sent and their sum."""
    lines: dict[str, dict[int, float]]
    """Series to its points by timestamp."""
    peak: int
    """Most bytes that aggregator, relay and caches held together, looked at once a second."""

    @property
    def event_count(self) -> int:
        """How many events there were."""
        return sum(count for count, _ in self.events.values())

    @property
    def line_count(self) -> int:
        """How many lines there were."""
        return sum(map(len, self.lines.values()))


def by_stamp(points: dict[str, float]) -> dict[int, float]:
    """Points as they come out of JSON, whose keys are text."""
    return {int(stamp): value for stamp, value in points.items()}


class Oracle:
    """Issues numbered metrics on a host: `with Oracle(site, order) as oracle: ...`, then `oracle.ledger`."""

    def __init__(self, site: Site, order: Order) -> None:
        self._site, self._order = site, order
        self.ledger: Ledger | None = None

    def __enter__(self) -> Oracle:
        """Start issuing; return when the first second has been written down."""
        script = (ON_HOST / "oracle.py").read_text()
        check = self._site.host.check_output
        check(f"mkdir -p {FOLDER} && rm -f {FOLDER}/*.json")
        check(f"printf %s {shlex.quote(script)} > {FOLDER}/oracle.py")
        check(f"printf %s {shlex.quote(json.dumps(asdict(self._order)))} > {FOLDER}/order.json")
        check(
            f"systemd-run --quiet --collect --unit={UNIT} --property=TimeoutStopSec=20 "
            f"python3 {FOLDER}/oracle.py {FOLDER}/order.json {FOLDER}/ledger.json"
        )
        self._site.until(lambda: self._site.host.file(f"{FOLDER}/ledger.json").exists)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop issuing and read the ledger."""
        self._site.host.check_output(f"systemctl stop {UNIT} || true")
        self.ledger = self.read()

    def read(self) -> Ledger:
        """What has been written down so far."""
        found: dict[str, Any] = json.loads(self._site.host.check_output(f"cat {FOLDER}/ledger.json"))
        return Ledger(
            self._order.name,
            found["began"],
            found["ended"],
            {bucket: (count, total) for bucket, (count, total) in found["events"].items()},
            {series: by_stamp(points) for series, points in found["lines"].items()},
            found["peak"],
        )
