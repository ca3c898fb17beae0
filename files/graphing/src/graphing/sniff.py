"""`graphing sniff`: shows the events and lines that come in, by ngrep, and counts them by bucket.

ngrep takes the packets and chooses those that match. It hands them over in hexadecimal, so that what is counted is what
the aggregator's own parser makes of the very bytes.
"""

import argparse
import contextlib
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

from graphing.statsd.model.protocol import Kind, Malformed, decode, parse_line, read_number

_HEADER = re.compile(rb"([UT]) (\S+ \S+) (\S+) -> (\S+).* #\d+$")
_HEX = slice(2, 52)
"""Where a line of ngrep -x holds its sixteen bytes."""
_SHOWN_BUCKETS = 50
_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


class SniffOptions(NamedTuple):
    """What a person wants to see."""

    pattern: str = ""
    """A regular expression; empty for everything."""
    seconds: float = 0.0
    """0: until Ctrl-C."""
    counts: bool = False
    """At the end, say how often each bucket came."""
    lines: int = 0
    """Show so many lines of the traffic; 0: all."""
    udp_port: int = 8125
    tcp_port: int = 2003
    elsewhere: tuple["Elsewhere", ...] = ()


class Elsewhere(NamedTuple):
    """Another network namespace in which the aggregator takes events."""

    path: str
    address: str
    port: int


class Packet(NamedTuple):
    """One packet that matched."""

    is_event: bool
    """By UDP, for the aggregator; else by TCP, for carbon."""
    when: str
    sender: str
    receiver: str
    payload: bytes


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    command.add_argument("word", nargs="?", default="", metavar="FILTER", help="the same as --filter")
    command.add_argument("--filter", default="", help="a regular expression; only what matches is shown")
    command.add_argument("--seconds", type=float, default=0.0, help="for how long (0: until Ctrl-C)")
    command.add_argument("--count", action="store_true", help="at the end, say how often each bucket came")
    command.add_argument("--lines", type=int, default=0, help="show at most so many lines of the traffic (0: all)")
    command.add_argument("--udp-port", type=int, default=8125, help="where events come in (8125)")
    command.add_argument("--tcp-port", type=int, default=2003, help="where lines for carbon come in (2003)")
    command.add_argument(
        "--elsewhere",
        type=_elsewhere,
        action="append",
        default=[],
        metavar="PATH=ADDRESS:PORT",
        help="a network namespace in which events come in too; left out if PATH is not there",
    )


def _elsewhere(text: str) -> Elsewhere:
    path, _, listen = text.partition("=")
    address, _, port = listen.rpartition(":")
    return Elsewhere(path, address.strip("[]"), int(port))


def read_options(given: argparse.Namespace) -> SniffOptions:
    """Read the arguments."""
    pattern = given.filter or given.word
    there = tuple(each for each in given.elsewhere if Path(each.path).exists())
    return SniffOptions(pattern, given.seconds, given.count, given.lines, given.udp_port, given.tcp_port, there)


def commands(options: SniffOptions) -> list[list[str]]:
    """Return the command for each network namespace: ngrep sees one at a time."""
    ngrep = ["ngrep", "-qtlx", "-d", "any", options.pattern or "."]
    here = [*ngrep, f"udp dst port {options.udp_port} or tcp dst port {options.tcp_port}"]
    # Others listen there too: what is for this aggregator is told by address and port.
    there = [["nsenter", f"--net={each.path}", *ngrep, _for_socket(each)] for each in options.elsewhere]
    return [here, *there]


def _for_socket(where: Elsewhere) -> str:
    packets = f"udp dst port {where.port}"
    return packets if where.address in _ANY else f"{packets} and dst host {where.address}"


def run(options: SniffOptions, out: TextIO) -> int:
    """Show the traffic until its time is over or Ctrl-C; return the exit code."""
    try:
        matches = re.compile(options.pattern).search
    except re.error as error:
        print(f"--filter {options.pattern!r} is no regular expression: {error}", file=sys.stderr)
        return 2
    tally = Tally(matches)
    with contextlib.ExitStack() as running:
        try:
            processes = [_start(command, running) for command in commands(options)]
            _await_begin(processes)
        except OSError as error:
            print(error, file=sys.stderr)
            return 1
        if options.seconds:
            timer = threading.Timer(options.seconds, _interrupt, [processes])
            timer.daemon = True
            timer.start()
        try:
            _show(_packets(processes), options, tally, out)
        except KeyboardInterrupt:
            pass
        except BrokenPipeError:
            return 0
    if options.counts:
        out.write("\n".join(["", *tally.table(), ""]))
    return 0


def _start(command: list[str], running: contextlib.ExitStack) -> "subprocess.Popen[bytes]":
    try:
        process = running.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    except OSError as error:
        raise OSError(f"{command[0]} can't be run: {error.strerror}") from error
    running.callback(process.terminate)
    return process


def _await_begin(processes: "list[subprocess.Popen[bytes]]") -> None:
    """Read up to the last thing that each says before it begins."""
    for process in processes:
        if not any(line.startswith(b"match") for line in _said(process)):
            raise OSError(f"ngrep ended with {process.wait()}: run this as root; --filter must suit ngrep too")


def _said(process: "subprocess.Popen[bytes]") -> Iterable[bytes]:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    return process.stdout


def _interrupt(processes: "list[subprocess.Popen[bytes]]") -> None:
    for process in processes:
        process.send_signal(signal.SIGINT)


def _packets(processes: "list[subprocess.Popen[bytes]]") -> Iterator[Packet]:
    """Return the packets of all of them as they come, until the last ends."""
    come: queue.SimpleQueue[Packet | None] = queue.SimpleQueue()

    def read(process: "subprocess.Popen[bytes]") -> None:
        for packet in packets_of(_said(process)):
            come.put(packet)
        come.put(None)

    for process in processes:
        threading.Thread(target=read, args=[process], daemon=True).start()
    for _ in processes:
        yield from iter(come.get, None)


def _show(packets: Iterable[Packet], options: SniffOptions, tally: "Tally", out: TextIO) -> None:
    shown, full = 0, False
    for packet in packets:
        if options.counts:
            tally.add(packet)
        lines = [f"{packet.when} {packet.sender} -> {packet.receiver}", *_plain_lines(packet.payload)]
        if options.lines and (full or shown + len(lines) > options.lines):
            if not full:
                out.write("... and more\n")
            full = True
            continue
        shown += len(lines)
        out.write("\n".join(lines) + "\n")
        out.flush()


def packets_of(said: Iterable[bytes]) -> Iterator[Packet]:
    """Read what `ngrep -qtx` prints: for each packet a header, then its bytes in hexadecimal."""
    header: re.Match[bytes] | None = None
    payload = bytearray()
    for raw in said:
        line = raw.rstrip(b"\n")
        found = _HEADER.match(line)
        if found:
            if header:
                yield _packet(header, payload)
            header, payload = found, bytearray()
        elif header and line.startswith(b"  "):
            payload += bytes.fromhex(line[_HEX].decode("ascii"))
    if header:
        yield _packet(header, payload)


def _packet(header: re.Match[bytes], payload: bytearray) -> Packet:
    kind, when, sender, receiver = (each.decode("ascii") for each in header.groups())
    return Packet(kind == "U", when, sender, receiver, bytes(payload))


def _plain_lines(payload: bytes) -> list[str]:
    """Return the lines without what could deceive a terminal."""
    text = decode(payload).removesuffix("\n")
    plain = "".join(each if each == "\n" or (each.isascii() and each.isprintable()) else "." for each in text)
    return [f"  {line}" for line in plain.split("\n")]


@dataclass
class _Came:
    """How often one bucket or series came, and what with."""

    kind: str
    times: int = 0
    total: float = 0.0
    """A counter's sum with its sample rates made good; otherwise the last value."""


@dataclass
class Tally:
    """What has come, in the lines that match."""

    matches: Callable[[str], object] = lambda _: True
    datagrams: int = 0
    events: dict[str, _Came] = field(default_factory=dict)
    points: dict[str, _Came] = field(default_factory=dict)
    bad_values: int = 0
    bad_lines: int = 0
    _rest: dict[tuple[str, str], str] = field(default_factory=dict)
    """Of each connection, the line that goes on in its next packet."""

    def add(self, packet: Packet) -> None:
        """Count a packet."""
        text = decode(packet.payload)
        if packet.is_event:
            self.datagrams += 1
            lines = text.split("\n")
        else:
            flow = (packet.sender, packet.receiver)
            *lines, rest = (self._rest.pop(flow, "") + text).split("\n")
            if rest:
                self._rest[flow] = rest
        for line in lines:
            if line and self.matches(line):
                (self._add_event if packet.is_event else self._add_point)(line)

    def _add_event(self, line: str) -> None:
        try:
            metrics = parse_line(line)
        except Malformed:
            self.bad_values += 1
            return
        for metric in metrics:
            came = self.events.setdefault(metric.bucket, _Came(metric.kind))
            came.times += 1
            came.total = came.total + metric.value / metric.rate if metric.kind is Kind.COUNTER else metric.value

    def _add_point(self, line: str) -> None:
        try:
            series, value, _ = line.split()
            number = read_number(value)
        except ValueError:
            self.bad_lines += 1
            return
        came = self.points.setdefault(series, _Came("line"))
        came.times, came.total = came.times + 1, number

    def table(self) -> list[str]:
        """Return how often each bucket and each series came, the busiest first."""
        values = sum(came.times for came in self.events.values())
        lines = sum(came.times for came in self.points.values())
        return [
            f"{self.datagrams} datagrams with {values} values for {len(self.events)} buckets, {self.bad_values} bad",
            *_rows("values", self.events),
            f"{lines} lines for {len(self.points)} series, {self.bad_lines} bad",
            *_rows("lines", self.points),
        ]


def _rows(what: str, found: Mapping[str, _Came]) -> list[str]:
    if not found:
        return []
    busiest = sorted(found.items(), key=lambda item: (-item[1].times, item[0]))
    rows = [f"{what:>8}  {'sum or last':>12}  {'kind':<8}  name"]
    rows += [f"{came.times:>8}  {came.total:>12.6g}  {came.kind:<8}  {name}" for name, came in busiest[:_SHOWN_BUCKETS]]
    left = len(busiest) - _SHOWN_BUCKETS
    return [*rows, f"{'':>8}  and {left} more"] if left > 0 else rows
