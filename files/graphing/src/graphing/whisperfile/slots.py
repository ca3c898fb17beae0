"""The newest points of a whisper file, read from its finest archive. Changes nothing, needs no other module.

The layout is whisper's: a header (aggregation, retention, xFilesFactor, number of archives), then offset, step and
points of each archive; an archive is a ring of (time, value) whose first slot gives the time of all others.
"""

import struct
from pathlib import Path

_HEADER = struct.Struct(">LLfL")
_ARCHIVE = struct.Struct(">LLL")
_POINT = struct.Struct(">Ld")
_MOST_POINTS = 10_000


class NotWhisper(ValueError):  # noqa: N818 - a state of the file
    """The file is no whisper file, or cut short."""


def file_of(whisper: Path, series: str) -> Path:
    """Return where a series without tags lies."""
    return whisper.joinpath(*series.split(".")).with_suffix(".wsp") if series else whisper


def newest(path: Path, since: float, until: float) -> dict[float, float]:
    """Return {time: value} of the slots from `since` to `until`, in seconds since 1970.

    Raises OSError if the file can't be read, NotWhisper if it makes no sense.
    """
    with path.open("rb") as file:
        try:
            file.seek(_HEADER.size)
            offset, step, points = _ARCHIVE.unpack(file.read(_ARCHIVE.size))
            file.seek(offset)
            base = _POINT.unpack(file.read(_POINT.size))[0]
            first, last = int(since) // step * step, int(until) // step * step
            count = min(points, (last - first) // step + 1, _MOST_POINTS)
            found = {}
            for stamp in range(last - (count - 1) * step, last + 1, step):
                file.seek(offset + (stamp - base) // step % points * _POINT.size)
                at, value = _POINT.unpack(file.read(_POINT.size))
                # Another time there is a slot that was not written in this round of the ring.
                if base and at == stamp:
                    found[at] = value
        except (struct.error, ZeroDivisionError) as error:
            raise NotWhisper(f"{path} is no whole whisper file") from error
    return found
