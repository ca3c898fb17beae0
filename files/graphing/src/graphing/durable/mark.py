"""How far a journal was delivered, in a small file beside its segments, for the next process."""

import logging
import re
from pathlib import Path
from typing import NamedTuple

from graphing.core.atomic import replacing
from graphing.durable.span import Position

_MARK_VALUES = re.compile(r"(\d{1,18}) (\d{1,18}) (\d{1,18}) (\d{1,18}) (\d{1,12}) (\S+)\n", re.ASCII).fullmatch

_log = logging.getLogger(__name__)


class Mark(NamedTuple):
    """What an earlier process had delivered, for its successor."""

    delivered: Position
    """All before it was delivered."""
    doubtful: Position
    """What was delivered from here on is to be sent again all the same."""
    when: int
    """When that was so, in seconds since 1970."""
    rebooted: bool = False
    """The host was booted since."""


def write_mark(path: Path, mark: Mark) -> None:
    """Replace the file at once, not synced: an older mark only means that lines are sent again. Raises OSError."""
    values = (*mark.delivered, *mark.doubtful, mark.when, _boot_id())
    with replacing(path, mode=0o600, durable=False) as file:
        file.write(f"{' '.join(map(str, values))}\n")


def read_mark(path: Path) -> Mark | None:
    """Return what an earlier process had delivered, or None if the file is missing or damaged."""
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        _log.error("%s can't be read (%s): every line of the journal is sent again", path, error)
        return None
    values = _MARK_VALUES(text)
    if values is None:
        _log.error("%s is damaged: every line of the journal is sent again", path)
        return None
    numbers = list(map(int, values.groups()[:5]))
    return Mark(Position(*numbers[:2]), Position(*numbers[2:4]), numbers[4], rebooted=values[6] != _boot_id())


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or "-"
    except OSError:
        return "-"
