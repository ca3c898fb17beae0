"""Issues numbered metrics on the host until it is told to stop, and writes down what it issued.

Usage: oracle.py ORDER LEDGER, two JSON files (see tests/faults/oracle.py for their keys).

By UDP, events: timer values 0, 1, 2, ... spread over buckets, one in a datagram, so that a bucket's count and sum tell
what is missing or there twice. By TCP, lines for the relay: one point per series and interval, each with a value of its
own. Sends to 127.0.0.1 alone. Stops at SIGTERM or after `seconds`.
"""

import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

TICK = 0.01
SAVE_SECONDS = 1.0
MEASURED = ("graphing", "carbon-cache", "carbon-c-relay")


class Events:
    """Numbers sent to the aggregator."""

    def __init__(self, order):
        self.name, self.buckets, self.rate = order["name"], order["buckets"], order["events_per_second"]
        self.port = order["udp_port"]
        self.number = 0
        self.sent = {str(bucket): [0, 0] for bucket in range(self.buckets)}
        self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, until):
        """Send as many as are due after so many seconds."""
        while self.number < until * self.rate:
            bucket = self.number % self.buckets
            try:
                self.out.sendto(f"{self.name}.e{bucket}:{self.number}|ms".encode(), ("127.0.0.1", self.port))
            except ConnectionRefusedError:
                # Nobody has the port: this one was not accepted, and the kernel says so at the next.
                continue
            self.sent[str(bucket)][0] += 1
            self.sent[str(bucket)][1] += self.number
            self.number += 1


class Lines:
    """Points sent to the relay, each series once in each interval."""

    def __init__(self, order):
        self.name, self.series, self.interval = order["name"], order["lines"], order["interval"]
        self.port = order["tcp_port"]
        self.sent = {}
        self.number = 0
        self.connection = None
        self.due = []
        self.stamp = 0

    def send(self, now):
        """Send what is due; what a broken connection did not take is sent on the next one."""
        stamp = int(now) - int(now) % self.interval
        if stamp != self.stamp:
            self.stamp = stamp
            # Spread over the first half of the interval, so that none is late for it.
            self.due += [(stamp + random.uniform(0, self.interval / 2), series, stamp) for series in range(self.series)]
            self.due.sort()
        while self.due and self.due[0][0] <= now:
            _, series, due = self.due[0]
            if not self.write(f"{self.name}.l{series} {self.number} {due}\n".encode()):
                return
            self.due.pop(0)
            self.sent.setdefault(f"l{series}", {})[str(due)] = self.number
            self.number += 1

    def write(self, line):
        """Write a line; whether the connection took it."""
        try:
            if self.connection is None:
                self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=5)
            self.connection.sendall(line)
        except OSError:
            self.connection = None
            return False
        return True


def memory():
    """Resident bytes of the services that a metric passes."""
    total = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if (folder / "comm").read_text().strip() in MEASURED:
                    total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return total


def main():
    """Issue until the time is over."""
    order = json.loads(Path(sys.argv[1]).read_text())
    ledger = Path(sys.argv[2])
    random.seed(order["seed"])
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    events, lines = Events(order), Lines(order)
    began, saved, peak = time.time(), 0.0, 0
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < order["seconds"]:
        events.send(elapsed)
        lines.send(time.time())
        if elapsed - saved >= SAVE_SECONDS or stopped:
            saved = elapsed
            peak = max(peak, memory())
            written = {"began": began, "ended": time.time(), "events": events.sent, "lines": lines.sent, "peak": peak}
            temporary = ledger.with_suffix(".new")
            with temporary.open("w") as file:
                json.dump({**written, "final": bool(stopped)}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(ledger)
        if stopped:
            return
        time.sleep(TICK)
    sys.exit("the oracle was never told to stop")


main()
