"""Journals in a folder: made, read, looked at."""

from graphing.durable.journal import Journal
from graphing.durable.span import Position, Span

END = Position(2**62, 2**62)


def opened(folder, segment_bytes=1000, segment_seconds=1000):
    return Journal(folder / "journal", segment_bytes, segment_seconds)


def payloads(journal, start=None):
    return [record.payload for record in records(journal, start)]


def records(journal, start=None):
    span = Span(start or Position(0, 0), END)
    found = []
    while record := journal.read(span):
        found.append(record)
        span = Span(record.span.end, END)
    return found


def segments(journal):
    return sorted(journal.folder.glob("*.log"))


def written(folder, *sizes, **options):
    """Make a journal with a record of each size, of one line and stamps 100, 101, ...; return it closed."""
    journal = opened(folder, **options)
    for index, size in enumerate(sizes):
        journal.append(bytes([65 + index]) * size, 1, 100 + index)
    journal.sync()
    journal.close()
    return journal
