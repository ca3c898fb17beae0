"""The newest points of a whisper file, read from its finest archive, a few bytes at a time. Changes nothing."""

import struct
from pathlib import Path

from graphing.whisperfile.layout import ARCHIVE, HEADER, POINT, Archive

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
            file.seek(HEADER.size)
            offset, step, points = ARCHIVE.unpack(file.read(ARCHIVE.size))
            archive = Archive(step, points)
            file.seek(offset)
            base = POINT.unpack(file.read(POINT.size))[0]
            first, last = int(since) // step * step, int(until) // step * step
            count = min(points, (last - first) // step + 1, _MOST_POINTS)
            found = {}
            for stamp in range(last - (count - 1) * step, last + 1, step):
                file.seek(offset + archive.place(stamp, base) * POINT.size)
                at, value = POINT.unpack(file.read(POINT.size))
                # Another time there is a slot that was not written in this round of the ring.
                if base and at == stamp:
                    found[at] = value
        except (struct.error, ZeroDivisionError) as error:
            raise NotWhisper(f"{path} is no whole whisper file") from error
    return found
