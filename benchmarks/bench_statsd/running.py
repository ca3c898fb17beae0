"""A server while it runs, with the sink that it sends to."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench_statsd.kernel import look_at
from bench_statsd.load import Load, Received, Sent, Sink, touch
from bench_statsd.peers import Place, Server
from bench_statsd.ports import reserve_port
from bench_statsd.processes import cpu_seconds, end, resident_mib
from bench_statsd.tools import RUN, TroubleError, tmpfs_folder

_START_SECONDS = 20
# A flush is over when the sink has received nothing for so long.
_QUIET = 0.4
# Time for a flush to arrive, beyond the interval.
_SLACK = 2.0
_LONGEST_FLUSH = 60.0
# What was lost on the way to a server would be new to it in the measurement.
_TOUCHES = 3


@dataclass(frozen=True)
class Trial:
    """What a load has cost a server, its flush included, and the share of the load that was lost."""

    rate: float
    reached: float
    loss: float
    cpu_seconds: float
    metrics: int
    caught_up: bool
    lines: int
    """Sent to Graphite meanwhile."""

    @property
    def cost(self) -> float:
        """Return CPU seconds per million metrics that were received; infinite if none was."""
        return self.cost_beyond(0.0)

    @property
    def lines_a_metric(self) -> float:
        """Return how many lines were sent to Graphite for each metric, zeros of silent buckets among them."""
        return self.lines / self.metrics

    def cost_beyond(self, idle: float) -> float:
        """Return the same without the CPU seconds that the server would have taken with nothing to do."""
        received = self.metrics * (1 - self.loss)
        return max(0.0, self.cpu_seconds - idle) / received * 1e6 if received > 0 else float("inf")


class Running:
    """A server that has been started."""

    def __init__(self, server: Server, place: Place, process: "subprocess.Popen[str]", sink: Sink | None) -> None:
        self.server = server
        self.port = place.udp
        self._interval = place.interval
        self._process = process
        self._sink = sink
        self._expected = 0.0

    def touch(self, buckets: int) -> bool:
        """Make it know so many buckets, and wait until it has flushed them; tell whether it got them all."""
        for _ in range(_TOUCHES):
            drops = look_at(self.port).drops
            self._after(touch(self.port, buckets))
            if look_at(self.port).drops == drops:
                return True
        return False

    def trial(self, load: Load) -> Trial:
        """Send a load and wait until the flush of all of it is over.

        It begins when the flush before is over, so that exactly one flush falls into it if the load is
        shorter than the interval.
        """
        drops, cpu, start = look_at(self.port).drops, self.cpu_seconds(), time.monotonic()
        before = self._received()
        sent = load.send_to(self.port)
        caught_up = self.catches_up()
        if self._sink is None:
            # Nothing tells when it has flushed: count the time that it takes the others.
            time.sleep(max(0.0, start + max(self._interval, load.seconds) + _QUIET - time.monotonic()))
            loss, lines = (look_at(self.port).drops - drops) / sent.datagrams, 0
        else:
            self._after(sent)
            received = self._received()
            loss = max(0.0, 1 - (received.sum - before.sum) / sent.counted) if sent.counted else 0.0
            lines = received.lines - before.lines
        reached, spent = sent.metrics / sent.seconds, self.cpu_seconds() - cpu
        return Trial(load.rate, reached, loss, spent, sent.metrics, caught_up, lines)

    def idle(self) -> float:
        """Return the CPU seconds of an interval in which nothing comes, with its flush. Call it after a flush."""
        before = self.cpu_seconds()
        time.sleep(self._interval)
        return self.cpu_seconds() - before

    def resident_mib(self) -> float:
        """Return its memory."""
        return resident_mib(self._process.pid)

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken so far; raise TroubleError if it has ended."""
        if self._process.poll() is not None:
            raise TroubleError(f"it has ended with {self._process.returncode}")
        return cpu_seconds(self._process.pid)

    def _received(self) -> Received:
        return self._sink.ask() if self._sink else Received(0, 0.0, -1.0)

    def catches_up(self) -> bool:
        """Whether it empties its receive queue within half a second after the load's end."""
        for _ in range(50):
            if look_at(self.port).queued == 0:
                return True
            time.sleep(0.01)
        return False

    def _after(self, sent: Sent) -> None:
        """Wait until all that was sent has been flushed, or a flush has passed that did not have it all."""
        if self._sink is None:
            # Nothing tells when it has flushed.
            time.sleep(_SLACK)
            return
        self._expected += sent.counted
        start = time.monotonic()
        while (passed := time.monotonic() - start) < _LONGEST_FLUSH + 2 * self._interval:
            received = self._sink.ask()
            quiet = received.idle > _QUIET
            if quiet and received.sum >= self._expected - 0.5:
                return
            if quiet and passed > self._interval + _SLACK and look_at(self.port).queued == 0:
                break
            if self._process.poll() is not None:
                raise TroubleError(f"it has ended with {self._process.returncode}")
            time.sleep(0.05)
        self._expected = self._received().sum


@contextmanager
def running(server: Server, interval: int, buckets: int = 1000) -> Iterator[Running]:
    """Start a server, and end it and its sink at the end."""
    folder = RUN / server.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        memory = Path(stack.enter_context(tmpfs_folder()))
        place = Place(folder, memory, reserve_port(), reserve_port(), reserve_port(), interval, buckets)
        sink = None
        if server.counters:
            sink = stack.enter_context(closing(Sink(place.carbon, *server.counters)))
            sink.ask()
        log = stack.enter_context((folder / "output").open("w"))
        process = subprocess.Popen(
            server.command(place),
            cwd=server.folder or folder,
            env={**os.environ, **server.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        stack.callback(end, process)
        _wait_for_socket(process, place)
        yield Running(server, place, process, sink)


def _wait_for_socket(process: "subprocess.Popen[str]", place: Place) -> None:
    start = time.monotonic()
    while not look_at(place.udp).sockets:
        if process.poll() is not None or time.monotonic() - start > _START_SECONDS:
            said = (place.folder / "output").read_text(errors="replace").strip().splitlines()
            raise TroubleError(f"it did not start: {said[-1] if said else 'it said nothing'}")
        time.sleep(0.05)
