"""carbon as its configuration describes it, and what its caches hold that is not on disk yet."""

import configparser
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from graphing.carboncache.query import CacheClient
from graphing.core.polling import poll
from graphing.store import StoreError

_TIMEOUT = 10.0
DEADLINE = 60.0
"""Seconds that a `settle` lasts at most."""
_PAUSE = 0.2
_QUIET = 2.0
"""So long nothing is said of a wait."""
_MARK_SECONDS = 1.0
_NAMES_AT_ONCE = 1000


class CarbonConfig:
    """What /etc/carbon/carbon.conf says. Raises StoreError for what it lacks."""

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        """Read it. `say` is told what a wait is for, if it lasts."""
        self.folder = folder
        self._say = say
        self._path = folder / "carbon.conf"
        self._caches: dict[str, CacheClient] = {}
        self._parser = configparser.ConfigParser(interpolation=None)
        try:
            with self._path.open(encoding="utf-8") as lines:
                self._parser.read_file(lines)
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}; run playbooks/site.yml, which writes it") from error
        except (configparser.Error, UnicodeDecodeError) as error:
            raise StoreError(f"{self._path}: {' '.join(str(error).split())}") from error

    def setting(self, key: str, instance: str = "", default: str = "") -> str:
        """A setting of one cache, or of all of them."""
        for section in (f"cache:{instance}", "cache"):
            if self._parser.has_option(section, key):
                return self._parser.get(section, key)
        return default

    @property
    def root(self) -> Path:
        """The directory of the whisper files."""
        found = self.setting("LOCAL_DATA_DIR")
        if not found:
            raise StoreError(f"{self._path}: [cache] has no LOCAL_DATA_DIR; run playbooks/site.yml, which writes it")
        return Path(found)

    @property
    def instances(self) -> list[str]:
        """The names of the caches; one without a name is called by its host alone."""
        return [section.partition(":")[2] for section in self._parser.sections() if section.startswith("cache:")]

    def check_locks(self) -> None:
        """Raise StoreError unless carbon locks the files that it writes to."""
        if self.setting("WHISPER_LOCK_WRITES").lower() != "true":
            raise StoreError(
                f"{self._path}: WHISPER_LOCK_WRITES is not True, so carbon could write to a file while it is "
                "exchanged; run playbooks/site.yml, which sets it, first"
            )

    def waiting(self, names: Iterable[str]) -> set[str]:
        """Those of the series of which a cache holds points that it has not written yet."""
        wanted = list(names)
        found: set[str] = set()
        for instance in self.instances:
            for start in range(0, len(wanted), _NAMES_AT_ONCE):
                held = self._points(instance, wanted[start : start + _NAMES_AT_ONCE])
                found |= {name for name, points in held.items() if points}
        return found

    def settle(self, names: Iterable[str]) -> set[str]:
        """Wait until the caches have written all points of the series; those that still get new ones are returned.

        What carbon has taken out of its memory and not yet written is told by nothing. Its writer does one series after
        the other, so that is done as soon as anything else was written later: one of its own metrics, of which one is
        sent for that, as it makes its own only at each interval.
        """
        wanted = list(names)
        wait = _Wait(self._say)
        while left := self.waiting(wanted):
            if wait.is_over(f"carbon has written what it holds of {len(left):,} series"):
                return left
        asked = time.time()
        for instance in self.instances:
            self._await_a_write(instance, asked, wait)
        return self.waiting(wanted)

    def watch(self, look: Callable[[], set[str]], seconds: float) -> set[str]:
        """Look again and again for that many seconds; return the first thing that is seen, or nothing."""
        self._say(f"watching for {seconds:.0f} s whether points still come")
        return poll(look, bool, seconds, _PAUSE)

    def _await_a_write(self, instance: str, since: float, wait: "_Wait") -> None:
        own = self.root / self.setting("CARBON_METRIC_PREFIX", instance, "carbon") / "agents"
        marked = -_MARK_SECONDS
        while not any(path.stat().st_mtime > since for path in own.glob(f"*-{instance}/**/*.wsp")):
            if wait.is_over(f"carbon-cache {instance} has written what it took out of its memory"):
                raise StoreError(
                    f"carbon-cache {instance} has written none of its own metrics to {own} for {DEADLINE:.0f} s: "
                    f"see journalctl -u carbon-cache@{instance}"
                )
            if time.monotonic() - marked >= _MARK_SECONDS:
                marked = time.monotonic()
                self._mark(instance)

    def _mark(self, instance: str) -> None:
        """Send a cache one of its own metrics. Raises StoreError if it takes no points."""
        port = self.setting("LINE_RECEIVER_PORT", instance)
        if not port:
            return
        prefix = self.setting("CARBON_METRIC_PREFIX", instance, "carbon")
        host = socket.gethostname().replace(".", "_")
        line = f"{prefix}.agents.{host}-{instance}.settled 1 {int(time.time())}\n"
        try:
            with socket.create_connection(("127.0.0.1", int(port)), _TIMEOUT) as peer:
                peer.sendall(line.encode())
        except (OSError, ValueError) as error:
            raise StoreError(
                f"carbon-cache {instance} accepts no points on 127.0.0.1 port {port} ({error}), so what it holds is "
                "not written: `graphing doctor` says why; then run this again"
            ) from error

    def _points(self, instance: str, names: list[str]) -> dict[str, dict[float, float]]:
        """What a cache holds of some series. Raises StoreError if it can't be asked."""
        port = self.setting("CACHE_QUERY_PORT", instance)
        try:
            if instance not in self._caches:
                self._caches[instance] = CacheClient(int(port), timeout=_TIMEOUT)
            return self._caches[instance].points(names)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"carbon-cache {instance} does not answer on 127.0.0.1 port {port} ({error}): "
                f"systemctl start carbon-cache@{instance}, then run this again"
            ) from error


class _Wait:
    """A wait of bounded length, of which something is said if it lasts."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._began = time.monotonic()
        self._said = ""

    def is_over(self, what: str) -> bool:
        """Wait a moment, and tell whether it has lasted too long; `what` it is for, behind `until`."""
        passed = time.monotonic() - self._began
        if passed > DEADLINE:
            return True
        if passed > _QUIET and what != self._said:
            self._said = what
            self._say(f"waiting until {what}, at most {DEADLINE:.0f} s")
        time.sleep(_PAUSE)
        return False


class NoCarbon:
    """Stands for carbon where none writes to the files: a copy of a tree."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_locks(self) -> None:
        """Nobody writes, so nobody must lock."""

    def waiting(self, names: Iterable[str]) -> set[str]:
        """No cache, no points in it."""
        return set()

    def settle(self, names: Iterable[str]) -> set[str]:
        """The same."""
        return set()

    def watch(self, look: Callable[[], set[str]], seconds: float) -> set[str]:
        """Nobody sends."""
        return set()
