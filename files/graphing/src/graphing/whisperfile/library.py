"""The `whisper` module of Debian (python3-whisper), which a virtual environment does not see by itself.

The one place that imports it; everybody else says `from graphing.whisperfile.library import whisper`.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from typing import Any

_DEBIAN = "/usr/lib/python3/dist-packages"


class LibraryMissing(ImportError):  # noqa: N818 - what is missing
    """There is no module `whisper`; `str()` says what to install."""


def _load() -> Any:
    try:
        return importlib.import_module("whisper")
    except ImportError:
        # Last, so that it hides nothing.
        sys.path.append(_DEBIAN)
    try:
        return importlib.import_module("whisper")
    except ImportError as error:
        raise LibraryMissing(
            f"the Python module whisper is neither beside this program nor in {_DEBIAN}: install python3-whisper"
        ) from error


whisper = _load()


@contextlib.contextmanager
def locking() -> Iterator[None]:
    """Have the library lock the files that it writes to, as carbon does."""
    before, whisper.LOCK = whisper.LOCK, True
    try:
        yield
    finally:
        whisper.LOCK = before
