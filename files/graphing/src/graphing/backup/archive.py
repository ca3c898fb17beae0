"""An archive as a stream of tar, with its manifest at the end; and whether files are as a manifest says."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TypedDict

MANIFEST = "manifest.json"
_BUFFER = 1 << 20


class Entry(TypedDict):
    """What the manifest says of a file."""

    sha256: str
    size: int


class Stream:
    """A tar stream of members, and what the manifest is to say of them."""

    def __init__(self, out: IO[bytes], began: int) -> None:
        """Begin; `began` is the date of all members, in seconds since 1970."""
        self._tar = tarfile.open(  # noqa: SIM115 - `end` closes it
            fileobj=out, mode="w|", bufsize=_BUFFER, format=tarfile.PAX_FORMAT
        )
        self.began = began
        self.files: dict[str, Entry] = {}

    def add(self, name: str, content: bytes, mode: int = 0o600) -> None:
        """Add a member."""
        self.files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        self._put(name, content, mode)

    def end(self, about: Mapping[str, Any]) -> None:
        """Add the manifest, the last member: `about`, and the files."""
        self._put(MANIFEST, json.dumps({**about, "files": self.files}, indent=1).encode(), 0o600)
        self._tar.close()

    def _put(self, name: str, content: bytes, mode: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(content), mode, self.began
        self._tar.addfile(member, io.BytesIO(content))


def faults(folder: Path, files: Mapping[str, Entry]) -> Iterator[str]:
    """What in a folder is not as the files of a manifest say."""
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != wanted["size"]:
            yield f"{name} has {path.stat().st_size} bytes instead of {wanted['size']}"
        else:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != wanted["sha256"]:
                    yield f"{name} has another SHA-256"
