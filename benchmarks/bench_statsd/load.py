"""The load, and the sink that stands for carbon."""

import json
import subprocess
from dataclasses import dataclass

from bench_statsd.processes import end
from bench_statsd.tools import LOADGEN, QUEUE, SINK, TroubleError

# Bytes in a datagram: as many whole lines as fit, or one line for 0.
SINGLE = 0
FILLED = 1400

# Datagrams a second that the generator sends with ease; above it the kernel gets many at a time.
_MOST_SINGLY = 150_000
# A new bucket costs a server more than one it knows.
_TOUCHES_PER_SECOND = 30_000


@dataclass(frozen=True)
class Sent:
    """What the generator has sent, and the sum of its counters."""

    metrics: int
    datagrams: int
    counted: int
    seconds: float


@dataclass(frozen=True)
class Load:
    """Traffic: 80 % counters, 15 % timers, 5 % gauges."""

    rate: float
    seconds: float
    buckets: int
    size: int = FILLED
    seed: int = 1

    def send_to(self, port: int) -> Sent:
        """Send it all."""
        metrics = max(1, round(self.rate * self.seconds))
        options = [f"-r{self.rate:.0f}", f"-n{metrics}", f"-k{self.buckets}", f"-m{self.size}", f"-s{self.seed}"]
        if self.size == SINGLE and self.rate > _MOST_SINGLY:
            options.append("-g")
        return _generate(port, options, self.seconds)


def touch(port: int, buckets: int) -> Sent:
    """Send one value to each of so many buckets."""
    options = ["-w", f"-r{_TOUCHES_PER_SECOND}", f"-k{buckets}", f"-m{FILLED}"]
    return _generate(port, options, buckets / _TOUCHES_PER_SECOND)


def _generate(port: int, options: list[str], seconds: float) -> Sent:
    command = [str(LOADGEN), f"-p{port}", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds * 5 + 30, check=False)
    except subprocess.TimeoutExpired:
        raise TroubleError("the load generator took too long") from None
    if done.returncode:
        raise TroubleError(f"the load generator failed: {done.stderr.strip()}")
    return Sent(**json.loads(done.stdout))


@dataclass(frozen=True)
class Received:
    """What has reached the sink since it started; `idle` seconds have passed since then, -1 if nothing ever came."""

    lines: int
    sum: float
    idle: float


class Sink:
    """A process that takes carbon's lines and adds up the counters among them."""

    def __init__(self, port: int, prefix: str, suffix: str) -> None:
        self._process = subprocess.Popen(
            [str(SINK), str(port), prefix, suffix],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self) -> Received:
        """Return what it has received so far."""
        asked, answered = self._process.stdin, self._process.stdout
        if asked is None or answered is None:
            raise TroubleError("the sink has no pipes")
        try:
            asked.write("?\n")
            asked.flush()
            return Received(**json.loads(answered.readline()))
        except (OSError, ValueError):
            raise TroubleError("the sink has ended") from None

    def close(self) -> None:
        """End it."""
        end(self._process)


@dataclass(frozen=True)
class Queue:
    """What was seen of a receive queue."""

    longest_ms: list[float]
    """Of each window: the longest time in which nothing was taken from it while something waited."""
    most_bytes: int
    drops: int


def watch_queue(port: int, seconds: float, window: float, load: Load) -> tuple[Queue, Sent]:
    """Send a load, and watch the receive queue for so long, in windows of so many seconds."""
    command = [str(QUEUE), str(port), f"{seconds}", f"{window}"]
    watcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        if watcher.stdout is None:
            raise TroubleError("the watcher has no pipe")
        # Its first line says that it looks.
        watcher.stdout.readline()
        sent = load.send_to(port)
        seen, _ = watcher.communicate(timeout=seconds + 30)
        return Queue(**json.loads(seen)), sent
    finally:
        end(watcher)
