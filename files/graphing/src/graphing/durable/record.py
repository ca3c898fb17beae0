"""A record as bytes: a header (lengths, checksums, stamp, number of lines before it) and a payload of lines.

A damaged record is recognised by its checksums; the next whole one is found by its magic.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from graphing.durable.span import Position, Span

MAGIC = b"\x93GJ1"
_BODY = struct.Struct("<4sIIIqQ")
"""Magic, bytes and lines of the payload, its CRC-32, the stamp, lines in all records before."""
_CHECK = struct.Struct("<I")
HEADER_SIZE = _BODY.size + _CHECK.size
_SEARCHED = 1 << 20
"""Bytes that are searched at once for the record after a bad one."""


class Record(NamedTuple):
    """One record: where it is, its stamp (whole seconds since 1970) and its lines."""

    span: Span
    stamp: int
    payload: bytes


class Header(NamedTuple):
    """What stands before a payload: the record's place, its stamp and the CRC-32 of its payload."""

    span: Span
    stamp: int
    crc: int


def record_at(start: Position, payload: bytes, lines: int, stamp: int) -> Record:
    """Return the record of `lines` lines that begins at `start`."""
    end = Position(start.offset + HEADER_SIZE + len(payload), start.lines + lines)
    return Record(Span(start, end), stamp, payload)


def pack(record: Record) -> bytes:
    """Return the header of a record."""
    start = record.span.start
    crc = zlib.crc32(record.payload)
    body = _BODY.pack(MAGIC, len(record.payload), record.span.lines, crc, record.stamp, start.lines)
    return body + _CHECK.pack(_header_crc(body, start.offset))


def unpack(header: bytes, offset: int) -> Header | None:
    """Return the header that was read at `offset`, or None if these bytes are not a valid header."""
    if len(header) < HEADER_SIZE or not header.startswith(MAGIC):
        return None
    if _CHECK.unpack_from(header, _BODY.size)[0] != _header_crc(header[: _BODY.size], offset):
        return None
    _, size, lines, crc, stamp, before = _BODY.unpack_from(header)
    end = Position(offset + HEADER_SIZE + size, before + lines)
    return Header(Span(Position(offset, before), end), stamp, crc)


def _header_crc(body: bytes, offset: int) -> int:
    # Mixed with the offset: what looks like a record at any other place than its own is none.
    return zlib.crc32(body, offset & 0xFFFFFFFF)


def headers(file: int, base: int, offset: int, end: int) -> Iterator[Header]:
    """Yield the good headers from `offset` to `end`; `file` begins at `base`."""
    while offset < end:
        header = unpack(os.pread(file, HEADER_SIZE, offset - base), offset)
        if header is None:
            offset = _next_magic(file, base, offset + 1, end)
            continue
        yield header
        offset = header.span.end.offset


def _next_magic(file: int, base: int, offset: int, end: int) -> int:
    while offset < end:
        block = os.pread(file, _SEARCHED, offset - base)
        found = block.find(MAGIC)
        if found >= 0:
            return min(end, offset + found)
        if len(block) < len(MAGIC):
            break
        # The magic may lie across two blocks.
        offset += len(block) - len(MAGIC) + 1
    return end


def load(file: int, base: int, header: Header) -> Record | None:
    """Return the record of a header, or None if its payload is damaged."""
    start = header.span.start.offset + HEADER_SIZE
    payload = os.pread(file, header.span.end.offset - start, start - base)
    if len(payload) != header.span.end.offset - start or zlib.crc32(payload) != header.crc:
        return None
    return Record(header.span, header.stamp, payload)
