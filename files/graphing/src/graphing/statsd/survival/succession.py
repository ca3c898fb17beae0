"""From one process to the next: the state file of a clean stop, or the log of datagrams of a crash.

Both may be there, when a process died between two steps of its stop or its start. A state has a key; the log
says from which state it went on. So either the log holds all that the state does, or the state is the newer one.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from graphing.statsd.model.partial import SOCKET_DROPS
from graphing.statsd.model.reference import Interval
from graphing.statsd.survival import datagram_log, state
from graphing.statsd.survival.datagram_log import DatagramLog, Recovered

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Ended:
    """An interval that is over and may not have been flushed."""

    end: int
    seconds: int
    interval: Interval
    counted: dict[str, int]


@dataclass(slots=True)
class Inheritance:
    """What the process before left."""

    ended: list[Ended] = field(default_factory=list)
    """Oldest first."""
    end: int = 0
    """When the interval in progress ends or ended, in seconds since 1970; 0 if there is none."""
    seconds: int = 0
    """Its length."""
    interval: Interval = field(default_factory=Interval)
    counted: dict[str, int] = field(default_factory=dict)
    lines: bytes = b""
    """Received in that interval and not in it yet, newline-joined."""
    packets: int = 0
    kernel_drops: int = 0
    unsent: list[str] = field(default_factory=list)
    """Lines for carbon."""
    key: str = ""
    """Of the state that it comes from or went on from."""


def find(state_file: str, log_file: str) -> Inheritance | None:
    """Return what there is to take over, None if there is nothing. Deletes nothing."""
    saved = state.load(Path(state_file)) if state_file else None
    recovered = _recover(Path(log_file)) if log_file else None
    if saved and recovered and recovered.origin == saved.key:
        saved = None
    if saved:
        return Inheritance(
            end=saved.interval_end,
            seconds=saved.seconds,
            interval=saved.interval,
            counted=saved.counted,
            kernel_drops=saved.kernel_drops,
            unsent=saved.lines,
            key=saved.key,
        )
    return _from_log(recovered) if recovered else None


def _recover(path: Path) -> Recovered | None:
    try:
        return datagram_log.recover(path)
    except Exception as error:
        aside = path.with_name(f"{path.name}.corrupt")
        _log.error("%s can't be used (%r): set aside as %s, starting without it", path, error, aside)
        try:
            path.replace(aside)
        except OSError as failure:
            _log.error("%s can't be renamed: %s", path, failure.strerror)
        return None


def _from_log(recovered: Recovered) -> Inheritance:
    period = recovered.period
    return Inheritance(
        ended=[
            Ended(ended.end, ended.seconds, partial.interval, partial.counted) for ended, partial in recovered.unflushed
        ],
        end=period.end if period else 0,
        seconds=period.seconds if period else 0,
        interval=recovered.partial.interval,
        counted=recovered.partial.counted,
        lines=recovered.lines,
        packets=recovered.packets,
        kernel_drops=_socket_drops(recovered),
        key=recovered.origin,
    )


def _socket_drops(recovered: Recovered) -> int:
    """Return what the process that died had last seen of the kernel's count; 0 if it had not looked."""
    newest_first = [recovered.partial, *(ended for _, ended in reversed(recovered.unflushed))]
    return next((partial.counted[SOCKET_DROPS] for partial in newest_first if SOCKET_DROPS in partial.counted), 0)


def open_log(path: str, key: str) -> DatagramLog:
    """Return a new log at `path`, or one in memory alone if there can't be one there."""
    if not path:
        return DatagramLog(None)
    try:
        return DatagramLog(Path(path), key)
    except OSError as error:
        trouble = f"{path} can't be made ({error.strerror})"
        _log.error("%s: a crash of this process will lose an interval", trouble)
        return DatagramLog(None, trouble=trouble)


def settle(state_file: str) -> None:
    """Delete the state file: the log has what it held."""
    if not state_file:
        return
    path = Path(state_file)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.error("%s can't be removed (%s): without a log, the next start would count it again", path, error.strerror)
