"""Between carbon's cache and its files: which series is written next, and what becomes of a write that fails."""

import os
import time
from collections.abc import Callable
from typing import Any

from carbon_guard.complaints import Complaints
from carbon_guard.counted import Counted
from carbon_guard.disk import WHOLE_DISK, Disk
from carbon_guard.whisper_files import damage

STOP_SECONDS = 240.0
"""For how long a stop writes what the cache holds; the unit's timeout is longer."""


class Store:
    """What is between carbon's cache and its files: which series is next, and what becomes of a write that fails.

    Its methods take the place of those of the cache, of its strategy and of the database; the writer's thread calls
    them.
    """

    def __init__(self, cache: Any, database: Any, disk: Disk, counted: Counted, complain: Complaints) -> None:
        self.cache, self._database, self.disk = cache, database, disk
        self._counted, self._complain = counted, complain
        self._choose, self._drain = cache.strategy.choose_item, cache.drain_metric
        self._exists, self._create, self._write = database.exists, database.create, database.write
        self._taken: tuple[str | None, Any] = (None, [])
        self._sizes: set[int] = set()
        """Sizes that whole files have; there are as many as retentions."""
        self.may_create: Callable[[], bool] = lambda: True
        self.waiting = 0
        """New series that were left in the cache since this was last set to 0."""

    def put(self) -> None:
        """Take the place of carbon's own methods."""
        self.cache.strategy.choose_item, self.cache.drain_metric = self.choose_item, self.drain_metric
        self._database.exists, self._database.create, self._database.write = self.exists, self.create, self.write

    def choose_item(self) -> str | None:
        """Return the series to write next; None if none may be written. The cache is locked meanwhile."""
        if not self.disk.may_write():
            return None
        waiting = 0
        for _ in range(len(self.cache)):
            metric: str | None = self._choose()
            if metric is None or self.exists(metric) or self.may_create():
                return metric
            waiting += 1
        self.waiting = waiting
        return None

    def drain_metric(self) -> tuple[str | None, Any]:
        """Take a series out of the cache, and remember it in case that it must go back."""
        self._taken = self._drain()
        return self._taken

    def exists(self, metric: str) -> bool:
        """Tell whether a series has a file; one that is not whole is set aside."""
        path = self._database.getFilesystemPath(metric)
        try:
            size = os.stat(path).st_size
        except (OSError, ValueError):
            return bool(self._exists(metric))
        return size in self._sizes or self._is_whole(path, size)

    def create(self, metric: str, *rest: Any) -> None:
        """Create the file of a series."""
        try:
            # Carbon goes on when this fails, and then fails with another error than that.
            os.makedirs(os.path.dirname(self._database.getFilesystemPath(metric)), exist_ok=True)
            self._create(metric, *rest)
        except Exception as error:
            self._failed(error)
            raise

    def write(self, metric: str, points: Any) -> None:
        """Write points to the file of a series."""
        try:
            self._write(metric, points)
        except FileNotFoundError:
            # Removed since it was looked for; the next time it is made.
            self._put_back()
            raise
        except OSError as error:
            self._failed(error)
            raise
        except Exception as error:
            path = self._database.getFilesystemPath(metric)
            if self._is_whole(path, os.path.getsize(path)):
                self._failed(error)
            else:
                self._put_back()
            raise
        self.disk.took()

    def _is_whole(self, path: str, size: int) -> bool:
        """Tell whether a file is whole, or cannot be set aside."""
        try:
            broken = damage(path)
        except OSError:
            # The write will tell.
            return True
        if broken:
            return not self._set_aside(path, broken)
        self._sizes.add(size)
        return True

    def _put_back(self) -> None:
        """Put into the cache again what was taken last, except where something newer is there."""
        metric, points = self._taken
        with self.cache.lock:
            held = self.cache[metric]
            for timestamp, value in points:
                if timestamp not in held:
                    held[timestamp] = value
                    self.cache.size += 1
        self._counted.points_kept += len(points)

    def _failed(self, error: Exception) -> None:
        metric, points = self._taken
        if isinstance(error, OSError) and error.errno in WHOLE_DISK:
            self._put_back()
            self.disk.refused()
            self._complain("disk", f"the disk refused a write ({error.strerror}); the points wait in the cache")
        else:
            self._counted.points_lost += len(points)
            self._complain("lost", f"{len(points)} points of {metric} are lost: {error!r}")

    def _set_aside(self, path: str, why: str) -> bool:
        """Rename a broken file; return whether that could be done."""
        aside = f"{path}.corrupt"
        try:
            os.replace(path, aside)
        except OSError as error:
            self._complain("aside", f"{path} is broken ({why}) and cannot be set aside: {error.strerror}")
            return False
        self._counted.files_corrupt += 1
        # Each is named: somebody may want to know what was in it.
        self._complain(path, f"{path} is broken ({why}): set aside as {aside}; its series begins anew")
        return True


def write_rest(store: Store, write: Callable[[], None], say: Callable[[str], None]) -> None:
    """Write what the cache still holds when all else has ended."""
    end = time.monotonic() + STOP_SECONDS
    while store.cache and store.disk.may_write() and time.monotonic() < end:
        write()
        if store.cache:
            # What is left may not be created yet.
            time.sleep(0.1)
    if store.cache:
        say(f"guard: {store.cache.size} points could not be written before the end; the aggregator sends its own again")
