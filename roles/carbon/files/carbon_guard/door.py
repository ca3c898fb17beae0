"""Where points come in: carbon's listeners, its connections and the lines on them."""

import math
import select
import time
from collections.abc import Callable
from typing import Any

from carbon_guard.complaints import Complaints
from carbon_guard.counted import Counted
from carbon_guard.lines import LONGEST_LINE, Point, Refused, parse

TELL_SECONDS = 60.0
"""How far apart watchers are told that lines may be lost: each time, minutes of them come again."""

LAST_READ_SECONDS = 2.0
"""For how long a stop reads what one sender has sent."""


class Door:
    """The listeners and connections by which points come in. Used by the reactor's thread."""

    def __init__(self, protocols: Any, state: Any, call_later: Callable[..., Any]) -> None:
        self._state, self._call_later = state, call_later
        self._services: list[Any] = []
        self.is_open = True
        self._told = -math.inf
        self._telling = False
        self._start = protocols.CarbonService.startService
        stop = protocols.CarbonService.stopService
        lost = protocols.MetricReceiver.connectionLost

        def start_service(service: Any) -> None:
            self._services.append(service)
            if self.is_open:
                self._start(service)

        def stop_service(service: Any) -> None:
            if self.is_open:
                stop(service)

        def connection_lost(receiver: Any, reason: Any) -> None:
            lost(receiver, reason)
            if has_sent(receiver) and not reason.check(protocols.ConnectionDone):
                self._tell_soon()

        protocols.MetricReceiver.connectionLost = connection_lost
        protocols.CarbonService.startService = start_service
        protocols.CarbonService.stopService = stop_service

    def close(self) -> None:
        """Take no connection any more, and read none: what was sent on one is kept by the kernel."""
        self.is_open = False
        for service in self._services:
            self._state.listeningPorts.remove(service._port)
            service._port.stopListening()
        for receiver in list(self._state.connectedMetricReceiverProtocols):
            if has_sent(receiver):
                receiver.transport.pauseProducing()
        self._tell()

    def open(self) -> None:
        """Take connections again, and read those that are left."""
        self.is_open = True
        for service in self._services:
            self._start(service)
        if not self._state.metricReceiversPaused:
            for receiver in self._state.connectedMetricReceiverProtocols:
                receiver.transport.resumeProducing()

    def leave(self) -> None:
        """Read what has come, and break every connection: a sender that is told so keeps what it sends next."""
        if self.is_open:
            for service in self._services:
                self._state.listeningPorts.remove(service._port)
                service._port.stopListening()
        # Nobody needs to be told: all are.
        self._telling = True
        for receiver in list(self._state.connectedMetricReceiverProtocols):
            if self.is_open:
                read_rest(receiver.transport)
            receiver.transport.abortConnection()
        self.is_open = False

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            self._call_later(max(0.0, self._told + TELL_SECONDS - time.monotonic()), self._tell)

    def _tell(self) -> None:
        """End the connections of those who only watch."""
        self._telling, self._told = False, time.monotonic()
        for receiver in list(self._state.connectedMetricReceiverProtocols):
            if not has_sent(receiver):
                receiver.transport.loseConnection()


def read_rest(transport: Any) -> None:
    """Read what a sender has sent already."""
    end = time.monotonic() + LAST_READ_SECONDS
    while select.select([transport], [], [], 0)[0] and time.monotonic() < end:
        if transport.doRead() is not None:
            return


def has_sent(receiver: Any) -> bool:
    """Tell whether a line has come on a connection; on one that is watched only, none ever does."""
    return getattr(receiver, "has_sent_lines", False)


def guard_lines(receiver: Any, check: Callable[[Point], None], counted: Counted, complain: Complaints) -> None:
    """Let a receiver refuse lines without an end of its connection; `check` raises Refused."""

    def line_received(self: Any, line: bytes) -> None:
        self.has_sent_lines = True
        try:
            point = parse(line)
            check(point)
        except Refused as refused:
            name = f"refused_{refused.kind}"
            setattr(counted, name, getattr(counted, name) + 1)
            complain(name, f"line from {self.peerName} refused, {refused}: {line[:200]!r}")
            return
        self.metricReceived(point.metric, (point.timestamp, point.value))

    receiver.lineReceived = line_received
    # Beyond this the connection ends, as nothing is known of what it sends; what is shorter is for `parse` to refuse.
    receiver.MAX_LENGTH = 64 * LONGEST_LINE
