"""Exchanges a whisper file, or takes it away, while carbon goes on writing to it; no point is lost.

carbon opens a file by its name, locks it (WHISPER_LOCK_WRITES), writes and closes it. So a writer may have the old file
open, waiting for our lock, when the name already means the new one. The kernel tells when the last of them is through
(a read lease is only given on a file that nobody has open for writing); what it wrote is carried over before the new
file's lock is given up. Everything happens under names that end in `.new`, which neither carbon nor graphite-web sees;
one that an interrupted run left behind is removed by `clean`.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from graphing.core.polling import poll
from graphing.store import StoreError
from graphing.whisperfile.content import Content, decode, encode
from graphing.whisperfile.library import whisper
from graphing.whisperfile.resize import changes, merged

SUFFIX = ".new"
"""What a file's name ends in while it is written."""

_DEADLINE = 30.0
_PAUSE = 0.001
_PAGE = 4096
_HELD = (errno.EAGAIN, errno.EACCES)
"""Another process has the file locked or open."""


def replace(path: Path, make: Callable[[Content], Content], keep: Path | None = None) -> None:
    """Put `make(content)` in place of the file, with its owner, mode and times; keep the old one at `keep`.

    Raises Broken for a file that is none of whisper's, OSError, StoreError if someone else holds it.
    """
    with _opened(path) as old, _locked(old, path):
        raw = _read(old)
        before = decode(raw)
        new = _write_beside(path, encode(make(before)), os.fstat(old.fileno()))
        try:
            _lock(new, path)
            if keep:
                _keep(path, keep)
            os.replace(new.name, path)
        except BaseException:
            new.close()
            Path(new.name).unlink(missing_ok=True)
            raise
        with new:
            # Those who had the old file open get their turn, and come to their end.
            fcntl.flock(old, fcntl.LOCK_UN)
            _await_writers(old, path)
            after = _read(old)
            if after != raw:
                points = changes(before, decode(after), int(time.time()))
                whisper.file_update_many(new, sorted(points, reverse=True))


def remove_file(path: Path, unless: Callable[[bytes], bool]) -> bytes | None:
    """Remove the file and return what it held when its last writer was through; None if `unless(bytes)` kept it.

    `unless` is asked under the lock, then again if a writer who was late has changed the file: then it is put back,
    into a new one if carbon has created one meanwhile.
    """
    with _opened(path) as old, _locked(old, path):
        raw = _read(old)
        if unless(raw):
            return None
        status = os.fstat(old.fileno())
        path.unlink()
        fcntl.flock(old, fcntl.LOCK_UN)
        _await_writers(old, path)
        after = _read(old)
    if after != raw and unless(after):
        put(path, after, status)
        return None
    return after


def put(path: Path, raw: bytes, status: os.stat_result) -> None:
    """Create the file; where there is one, its own points win and the others are added."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _write_beside(path, raw, status) as new:
        try:
            os.link(new.name, path)
            return
        except FileExistsError:
            pass
        finally:
            Path(new.name).unlink()
    merge(path, decode(raw))


def merge(path: Path, source: Content, keep: Path | None = None) -> None:
    """Add the points of `source` to a file, where it has none."""
    replace(path, lambda own: merged(own, source, int(time.time())), keep)


def read(path: Path) -> bytes:
    """The bytes of a file between two writes."""
    with _opened(path) as file, _locked(file, path):
        return _read(file)


def clean(path: Path) -> None:
    """Remove what an interrupted run left of this file's successor."""
    path.with_name(path.name + SUFFIX).unlink(missing_ok=True)


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keep other tools of this package off the tree; StoreError if one does not come to its end."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _await(
            lambda: _has_locked(descriptor),
            f"{root}: another retention, prune or rename is running; wait for its end and run this again",
        )
        yield
    finally:
        os.close(descriptor)


def check_leases(root: Path) -> None:
    """Raise StoreError unless the file system can tell who has a file open."""
    with tempfile.TemporaryDirectory(prefix=".graphing-", dir=root) as folder:
        path = Path(folder) / "lease"
        path.touch()
        with path.open("rb", buffering=0) as file:
            try:
                _has_no_writer(file)
            except OSError as error:
                raise StoreError(
                    f"{root}: this file system has no leases ({error.strerror}), so nobody can tell when carbon is "
                    "through with a file: move the tree to a local disk"
                ) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    # An overlay (a container's disk) makes another file of one that is opened for writing for the first time.
    os.close(os.open(path, os.O_RDWR | os.O_NOFOLLOW))
    with path.open("rb", buffering=0) as file:
        yield file


@contextlib.contextmanager
def _locked(file: FileIO, path: Path) -> Iterator[None]:
    _lock(file, path)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _lock(file: FileIO, path: Path) -> None:
    _await(
        lambda: _has_locked(file.fileno()),
        f"{path}: another process has kept it locked for {_DEADLINE:.0f} s; `lsof` tells which",
    )


def _await_writers(file: FileIO, path: Path) -> None:
    _await(
        lambda: _has_no_writer(file),
        f"{path}: another process has kept it open for writing for {_DEADLINE:.0f} s; `lsof` tells which",
    )


def _has_no_writer(file: FileIO) -> bool:
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def _has_locked(descriptor: int) -> bool:
    """Lock the file unless another process has; return whether that was done."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


def _await(done: Callable[[], bool], complaint: str) -> None:
    if not poll(done, bool, _DEADLINE, _PAUSE):
        raise StoreError(complaint)


def _read(file: FileIO) -> bytes:
    size = os.fstat(file.fileno()).st_size
    raw = b""
    while part := os.pread(file.fileno(), size - len(raw) + 1, len(raw)):
        raw += part
    return raw


def _write_beside(path: Path, raw: bytes, status: os.stat_result) -> FileIO:
    """A new file beside `path` with these bytes, on the disk, and the owner, mode and times of `status`; open.

    It has holes where it is empty if the old one had.
    """
    clean(path)
    name = path.with_name(path.name + SUFFIX)
    new = name.open("xb+", buffering=0)
    try:
        write_pages(new, raw, is_sparse(status))
        if (os.geteuid(), os.getegid()) != (status.st_uid, status.st_gid):
            os.fchown(new.fileno(), status.st_uid, status.st_gid)
        os.fchmod(new.fileno(), status.st_mode & 0o7777)
        os.utime(new.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(new.fileno())
    except BaseException:
        new.close()
        name.unlink()
        raise
    return new


def is_sparse(status: os.stat_result) -> bool:
    """Whether a file takes less space than its size."""
    return status.st_blocks * 512 < status.st_size


def write_pages(file: FileIO, raw: bytes, sparse: bool) -> None:
    """Write the bytes into an empty file; with `sparse`, pages of zeros take no space."""
    os.ftruncate(file.fileno(), len(raw))
    view = memoryview(raw)
    if not sparse:
        _write(file, view, 0)
        return
    empty = bytes(_PAGE)
    for start in range(0, len(raw), _PAGE):
        if view[start : start + _PAGE] != empty[: len(raw) - start]:
            _write(file, view[start : start + _PAGE], start)


def _write(file: FileIO, view: memoryview, start: int) -> None:
    while view:
        written = os.pwrite(file.fileno(), view, start)
        view, start = view[written:], start + written


def _keep(path: Path, keep: Path) -> None:
    keep.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, keep)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copy2(path, keep)
