"""A whisper file as data: its layout and, archive by archive, the number in each slot. Pure: bytes and back."""

from collections.abc import Mapping
from typing import NamedTuple

from graphing.whisperfile.layout import POINT, Archive, Broken, Layout, decode_layout, encode_layout

Slots = Mapping[int, float]
"""Start of a slot in seconds since 1970, a multiple of the archive's step, to its number."""


class Content(NamedTuple):
    """A layout and the slots of each of its archives, in their order."""

    layout: Layout
    slots: tuple[Slots, ...]


def decode(raw: bytes) -> Content:
    """The content of a whole file, with slots of any age. Raises Broken."""
    layout = decode_layout(raw)
    if len(raw) != layout.bytes:
        raise Broken(f"it has {len(raw)} bytes and its header promises {layout.bytes}")
    rings = (raw[layout.offset(place) : layout.offset(place + 1)] for place in range(len(layout.archives)))
    slots = tuple(_decode_ring(ring, archive) for ring, archive in zip(rings, layout.archives, strict=True))
    return Content(layout, slots)


def encode(content: Content) -> bytes:
    """The file that holds `content`; of slots that share a place in the ring the newest stays."""
    layout = content.layout
    rings = map(_encode_ring, content.slots, layout.archives)
    return encode_layout(layout) + b"".join(rings)


def finest_end(layout: Layout) -> int:
    """How many bytes from the file's beginning hold the finest archive."""
    return layout.offset(1)


def has_since(raw: bytes, layout: Layout, stamp: int) -> bool:
    """Whether the finest archive, in a file that begins with `raw`, has a point at a time or later."""
    finest = raw[layout.offset(0) : layout.offset(1)]
    return any(found >= stamp for found, _ in POINT.iter_unpack(finest))


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
    base = POINT.unpack_from(raw)[0]
    if not base:
        # To whisper, an archive is empty until its first place is taken.
        return {}
    return {
        stamp: value
        for place, (stamp, value) in enumerate(POINT.iter_unpack(raw))
        if stamp and not stamp % archive.step and archive.place(stamp, base) == place
    }


def _encode_ring(slots: Slots, archive: Archive) -> bytes:
    ring = bytearray(archive.bytes)
    # In the order of time: the newest of two with the same place is written last. The first place must be taken.
    base = max(slots, default=0)
    for stamp in sorted(slots):
        POINT.pack_into(ring, POINT.size * archive.place(stamp, base), stamp, slots[stamp])
    return bytes(ring)
