"""The memory in front of a journal."""

import errno
import os

import pytest
from journal_support import opened, payloads, records

from graphing.durable.span import Position, Span
from graphing.durable.spool import Spool


def test_a_spool_without_a_journal_keeps_records_until_they_are_not_needed():
    spool = Spool(None)
    for index in range(5):
        spool.add(b"%d" % index, 10, 100 + index)
    kept = [record.span for record in spool.in_memory()]
    spool.write()
    spool.sync()
    assert spool.read(Span(Position(0, 0), spool.end)).payload == b"0"
    assert spool.position_at(103) == kept[3].start
    spool.keep([kept[1]], kept[3].start)
    assert [record.payload for record in spool.in_memory()] == [b"1", b"3", b"4"]
    assert spool.drop_oldest(20) == [kept[1]]
    assert spool.read(Span(Position(0, 0), spool.end)).payload == b"3"
    assert spool.read(Span(kept[0].start, kept[3].start)) is None


def test_a_spool_goes_back_to_disk_when_there_is_room_again(tmp_path, full_disk):
    spool = Spool(opened(tmp_path))
    spool.add(b"a" * 50, 10, 100)
    spool.write()
    full_disk[0] = 100
    for payload in (b"b", b"c", b"d"):
        spool.add(payload * 50, 10, 100)
    with pytest.raises(OSError, match="No space left"):
        spool.write()
    spool.sync()
    assert [record.payload[:1] for record in spool.in_memory()] == [b"c", b"d"]
    assert [read[:1] for read in payloads(spool)] == [b"a", b"b", b"c", b"d"]
    spool.drop_oldest(10)
    full_disk[0] = None
    spool.write()
    spool.sync()
    assert spool.in_memory() == []
    assert [record.payload[:1] for record in records(spool)] == [b"a", b"b", b"d"]
    assert records(spool)[-1].span.end == spool.end == spool.journal.end
    spool.journal.close()
    journal = opened(tmp_path)
    assert [(record.payload[:1], record.span.start.lines) for record in records(journal)] == [
        (b"a", 0),
        (b"b", 10),
        (b"d", 30),
    ]


def test_a_spool_keeps_what_could_not_be_synced(tmp_path, monkeypatch):
    spool = Spool(opened(tmp_path, segment_bytes=60))

    def fails(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        for payload in (b"a", b"b", b"c"):
            spool.add(payload * 50, 1, 100)
        with pytest.raises(OSError, match="Input/output"):
            spool.write()
    assert [record.payload[:1] for record in spool.in_memory()] == [b"a", b"b", b"c"]
    spool.write()
    spool.sync()
    assert (spool.in_memory(), [read[:1] for read in payloads(spool.journal)]) == ([], [b"a", b"b", b"c"])
