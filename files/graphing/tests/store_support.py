"""Whisper files made by the whisper library itself, and read by it."""

import time
from pathlib import Path

import whisper

from graphing.whisperfile.content import decode
from graphing.whisperfile.layout import Archive, Layout

NOW = 1_700_000_000


def layout(*archives, method="average", factor=0.0):
    return Layout(tuple(Archive(*archive) for archive in archives), method, factor)


def create(path, kept, points=(), now=None):
    """A file that the library wrote: (timestamp, number) one after the other, as carbon does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whisper.create(str(path), [tuple(archive) for archive in kept.archives], kept.x_files_factor, kept.method)
    for stamp, value in sorted(points):
        whisper.update(str(path), value, stamp, now=max(stamp, now or 0) if now is None else now)
    return path


def content(path):
    return decode(path.read_bytes())


def seen(path, step, now=None):
    """What a reader sees of one archive: {timestamp: number}."""
    now = now or int(time.time())
    reach = next(a["retention"] for a in whisper.info(str(path))["archives"] if a["secondsPerPoint"] == step)
    (start, end, step), values = whisper.fetch(str(path), now - reach, now, now=now, archiveToSelect=step)
    return {stamp: value for stamp, value in zip(range(start, end, step), values, strict=True) if value is not None}


def tree(root):
    return sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if path.is_file())
