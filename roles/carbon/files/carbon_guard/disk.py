"""The disk that carbon writes to: how much is free, and whether it took the last write."""

import errno
import os
import time

WHOLE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What a write fails with where the disk, not the file, is at fault."""

RETRY_SECONDS = 5.0
"""After a write that the disk refused."""


class Disk:
    """Whether the disk of a folder can take more. Used by two threads; each sets single values only."""

    def __init__(self, folder: str, reserve: int) -> None:
        self._folder, self.reserve = folder, reserve
        self._short = False
        self._refused = False
        self._retry = 0.0

    def free(self) -> int:
        """Return the bytes that are free."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def may_write(self) -> bool:
        """Tell whether a write may be tried."""
        # A little more than the reserve, to begin again: a door that flaps helps nobody.
        self._short = self.free() < self.reserve * (1.1 if self._short else 1)
        return not self._short and time.monotonic() >= self._retry

    def is_well(self) -> bool:
        """Tell whether writes may be tried and the last one was taken."""
        return self.may_write() and not self._refused

    def refused(self) -> None:
        """Note that it did not take a write."""
        self._refused, self._retry = True, time.monotonic() + RETRY_SECONDS

    def took(self) -> None:
        """Note that it took a write."""
        self._refused = False
