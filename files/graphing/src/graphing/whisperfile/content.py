"""A whisper file as data: its layout and, archive by archive, the number in each slot.

Pure: bytes to `Content` and back. The format is whisper's own (a header, then for each archive a ring of points of
12 bytes); its constants are taken from the library.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

from graphing.whisperfile.library import whisper

POINT_BYTES: int = whisper.pointSize

Slots = Mapping[int, float]
"""Start of a slot in seconds since 1970, a multiple of the archive's step, to its number."""


class Broken(ValueError):  # noqa: N818 - it is the file that is broken
    """Bytes that are no whisper file; `str()` is the reason."""


class Archive(NamedTuple):
    """A ring of `points` slots of `step` seconds each."""

    step: int
    points: int

    @property
    def seconds(self) -> int:
        """How far it reaches back."""
        return self.step * self.points

    def begin(self, now: int) -> int:
        """Start of the oldest slot that a reader sees at `now`; whisper leaves out the one that runs out."""
        return now - self.seconds - (now - self.seconds) % self.step + self.step


class Layout(NamedTuple):
    """What is decided when a series is created: archives from fine to coarse, and how one makes the next."""

    archives: tuple[Archive, ...]
    method: str
    x_files_factor: float

    @property
    def bytes(self) -> int:
        """The size of the file."""
        header = whisper.metadataSize + whisper.archiveInfoSize * len(self.archives)
        return int(header + POINT_BYTES * sum(archive.points for archive in self.archives))

    @property
    def seconds(self) -> int:
        """How far the coarsest archive reaches back."""
        return self.archives[-1].seconds

    def __str__(self) -> str:
        return ",".join(f"{_duration(step)}:{_duration(step * points)}" for step, points in self.archives)


class Content(NamedTuple):
    """A layout and the slots of each of its archives, in their order."""

    layout: Layout
    slots: tuple[Slots, ...]


def decode_layout(raw: bytes) -> Layout:
    """The layout of a file that begins with `raw` (a few hundred bytes do). Raises Broken."""
    try:
        kind, longest, factor, count = struct.unpack_from(whisper.metadataFormat, raw)
        method = whisper.aggregationTypeToMethod[kind]
        size = struct.calcsize(whisper.archiveInfoFormat)
        infos = [
            struct.unpack_from(whisper.archiveInfoFormat, raw, whisper.metadataSize + size * n) for n in range(count)
        ]
    except (struct.error, KeyError):
        raise Broken("its header is not whisper's") from None
    archives = tuple(Archive(step, points) for _, step, points in infos)
    layout = Layout(archives, method, factor)
    if not archives or not 0 <= factor <= 1 or not all(map(all, archives)) or longest != archives[-1].seconds:
        raise Broken("its header is not whisper's")
    try:
        whisper.validateArchiveList([*archives])
    except whisper.InvalidConfiguration as error:
        raise Broken(f"its header is not whisper's: {error}") from None
    offset = layout.bytes - POINT_BYTES * sum(points for _, points in archives)
    for (found, _, points), archive in zip(infos, archives, strict=True):
        if found != offset or archive.points != points:
            raise Broken("its archives are not where whisper puts them")
        offset += POINT_BYTES * points
    return layout


def decode(raw: bytes) -> Content:
    """The content of a whole file, with slots of any age. Raises Broken."""
    layout = decode_layout(raw)
    if len(raw) != layout.bytes:
        raise Broken(f"it has {len(raw)} bytes and its header promises {layout.bytes}")
    slots = []
    end = layout.bytes - POINT_BYTES * sum(archive.points for archive in layout.archives)
    for archive in layout.archives:
        start, end = end, end + POINT_BYTES * archive.points
        slots.append(_decode_ring(raw[start:end], archive))
    return Content(layout, tuple(slots))


def encode(content: Content) -> bytes:
    """The file that holds `content`; of slots that share a place in the ring the newest stays."""
    layout = content.layout
    header = struct.pack(
        whisper.metadataFormat,
        whisper.aggregationMethodToType[layout.method],
        layout.seconds,
        layout.x_files_factor,
        len(layout.archives),
    )
    offset = len(header) + whisper.archiveInfoSize * len(layout.archives)
    rings = []
    for archive, slots in zip(layout.archives, content.slots, strict=True):
        header += struct.pack(whisper.archiveInfoFormat, offset, archive.step, archive.points)
        rings.append(_encode_ring(slots, archive))
        offset += len(rings[-1])
    return header + b"".join(rings)


def finest_end(layout: Layout) -> int:
    """How many bytes from the file's beginning hold the finest archive."""
    return layout.bytes - POINT_BYTES * sum(archive.points for archive in layout.archives[1:])


def has_since(raw: bytes, layout: Layout, stamp: int) -> bool:
    """Whether the finest archive, in a file that begins with `raw`, has a point at a time or later."""
    points = layout.archives[0].points
    begin = finest_end(layout) - POINT_BYTES * points
    found = struct.unpack_from("!" + whisper.pointFormat[1:] * points, raw, begin)
    return bool(max(found[::2]) >= stamp)


def same(one: Layout, other: Layout) -> bool:
    """Whether two layouts are the same file header: the factor is kept with 32 bits."""
    return one[:2] == other[:2] and struct.pack("!f", one.x_files_factor) == struct.pack("!f", other.x_files_factor)


def newest(content: Content) -> int | None:
    """When the newest point came, in seconds since 1970; None without one.

    By its slot in the finest archive; a point that only a coarser one holds counts as the last of its slot.
    """
    found: int | None = None
    for place, (archive, slots) in enumerate(zip(content.layout.archives, content.slots, strict=True)):
        top = max(slots, default=0)
        if top and (found is None or top > found):
            found = top + archive.step - 1 if place else top
    return found


def _decode_ring(raw: bytes, archive: Archive) -> dict[int, float]:
    points = struct.iter_unpack(whisper.pointFormat, raw)
    base = struct.unpack_from(whisper.longFormat, raw)[0]
    if not base:
        # To whisper, an archive is empty until its first place is taken.
        return {}
    return {
        stamp: value
        for place, (stamp, value) in enumerate(points)
        if stamp and not stamp % archive.step and (stamp - base) // archive.step % archive.points == place
    }


def _encode_ring(slots: Slots, archive: Archive) -> bytes:
    ring = bytearray(POINT_BYTES * archive.points)
    # In the order of time: the newest of two with the same place is written last. The first place must be taken.
    base = max(slots, default=0)
    for stamp in sorted(slots):
        place = (stamp - base) // archive.step % archive.points
        struct.pack_into(whisper.pointFormat, ring, POINT_BYTES * place, stamp, slots[stamp])
    return bytes(ring)


def _duration(seconds: int) -> str:
    for unit, factor in (("y", 31536000), ("w", 604800), ("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % factor == 0:
            return f"{seconds // factor}{unit}"
    return f"{seconds}s"
