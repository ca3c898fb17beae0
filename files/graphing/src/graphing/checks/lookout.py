"""All checks in turn, with what must be remembered between two looks: the rounds of the doctor and of the watchdog."""

import os
from dataclasses import replace
from pathlib import Path

from graphing.carboncache import query
from graphing.checks import aggregator, canary, carbon, certificate, clock, disk, drops, refused, services, web
from graphing.checks.canary import Sighting
from graphing.checks.settings import CheckSettings
from graphing.checks.verdict import State, Verdict, in_order
from graphing.core.config import ConfigError
from graphing.statsd.settings import StatsdSettings
from graphing.statsd.settings import read_settings as read_statsd_settings
from graphing.whisperfile.slots import NotWhisper, file_of, newest

_LOCAL = ("127.0.0.1", "localhost", "::1", "0.0.0.0")  # noqa: S104 - compared with, not listened on
_STORE = "the host that keeps the numbers"
_LOOKS = 1000
_REPORT_SECONDS = 900.0
_FILE_SECONDS = 600.0


class Lookout:
    """Looks at this host. A round is `send`, `sightings` (as often as is wanted) and `judge`."""

    def __init__(self, settings: CheckSettings) -> None:
        """Read the aggregator's settings too; raise ConfigError if they can't be used."""
        self._settings = settings
        self._statsd_file = _StatsdFile(settings.statsd.config)
        self._event_trouble = self._line_trouble = ""
        self._canaries = 0
        self._cached: dict[str, dict[str, dict[float, float]]] = {}
        self._cache_troubles: dict[str, str] = {}
        self._counts: dict[str, carbon.CacheCounts] = {}
        self._closed: dict[str, str] = {}
        self._reports: list[aggregator.Report] = []
        self._report_trouble = ""
        self._queues: list[drops.Queue] = []
        self._spaces: dict[int, list[disk.Space]] = {}

    @property
    def interval(self) -> int:
        """Seconds between two flushes: how long a number waits by design."""
        statsd = self._statsd_file.settings
        return max(self._settings.carbon.interval, statsd.statsd.interval if statsd else 0)

    def send(self, now: float) -> None:
        """Send a canary each way. `now`: seconds since 1970, of whole milliseconds, as a canary's value has."""
        statsd = self._statsd_file.read()
        if statsd:
            self._event_trouble = canary.send_event(statsd.statsd.port, now)
            self._canaries += 1
        if self._settings.carbon.port:
            self._line_trouble = canary.send_line("127.0.0.1", self._settings.carbon.port, now)

    def sightings(self, since: float, now: float) -> list[Sighting]:
        """Look along both ways for what was sent at `since` or later."""
        statsd, carbon_here = self._statsd_file.settings, bool(self._settings.carbon.port)
        self._ask_aggregator(statsd, now)
        event = statsd.statsd.naming().gauge(canary.BUCKET) if statsd else ""
        where = self._settings.web.render
        # A page without a store draws what the watchdog of the store sends.
        names = [name for name in (event, canary.LINE if carbon_here or where else "") if name]
        self._ask_caches(names, now)
        rendered, render_trouble = canary.render(where, names) if where and names else ({}, "")

        def sight(check: str, to: str, name: str) -> Sighting:
            filed, trouble = self._filed(name, now)
            return Sighting(
                check,
                to,
                since,
                relay=self._line_trouble,
                caches=self._cache_troubles if carbon_here else None,
                cached=self._in_caches(name),
                closed=next(filter(None, self._closed.values()), ""),
                filed=filed,
                file=str(file_of(Path(self._settings.carbon.whisper), name)),
                file_trouble=trouble,
                rendered=rendered.get(name, 0.0),
                render=render_trouble,
                has_render=bool(where),
            )

        found = []
        if statsd:
            found.append(self._with_aggregator(sight("event", f"{statsd.statsd.port}/udp", event), statsd))
        if carbon_here:
            found.append(sight("line", f"{self._settings.carbon.port}/tcp", canary.LINE))
        elif where:
            # It was sent when that watchdog looked last.
            early = min(since, now - self._settings.watchdog.canary_seconds)
            found.append(replace(sight("line", _STORE, canary.LINE), since=early))
        return found

    def _in_caches(self, name: str) -> float:
        """Return the newest value of a series in the memory of the caches."""
        return max((max(held.get(name, {}).values(), default=0.0) for held in self._cached.values()), default=0.0)

    def _with_aggregator(self, sight: Sighting, statsd: StatsdSettings) -> Sighting:
        socket = self._event_trouble
        if not socket and not self._queues[-1].sockets:
            socket = f"nobody listens on {statsd.statsd.port}/udp"
        relay = sight.relay
        latest = self._reports[-1] if self._reports and not self._report_trouble else None
        if statsd.carbon.host not in _LOCAL or statsd.carbon.port != self._settings.carbon.port:
            relay = latest.failing.get("carbon", "") if latest else ""
        return replace(
            sight,
            socket=socket,
            aggregator=self._report_trouble or self._takes_nothing(),
            relay=relay,
            queued=latest.lines_queued if latest else 0,
        )

    def _takes_nothing(self) -> str:
        """Tell if the aggregator answers but has not received the canary of the look before."""
        if len(self._reports) < 2:
            return ""
        before, after = self._reports[-2:]
        if (
            after.own_canaries > before.own_canaries
            and before.datagrams == after.datagrams
            and after.uptime > before.uptime
        ):
            return "it answers, but receives no datagrams"
        return ""

    def judge(self, sightings: list[Sighting], now: float) -> list[Verdict]:
        """Return what all checks say, what is worst first, and measure what is measured once a round."""
        settings, statsd = self._settings, self._statsd_file.settings
        verdicts = [canary.judge(sight, now) for sight in sightings]
        verdicts.append(self._services())
        if self._statsd_file.trouble:
            remedy = "Run playbooks/site.yml, which writes it."
            verdicts.append(Verdict("aggregator", State.FAIL, self._statsd_file.trouble, remedy))
        elif statsd and statsd.console.http_port:
            verdicts.append(aggregator.judge_ready(self._reports, self._report_trouble))
            verdicts.append(aggregator.judge_data(self._reports, settings.watchdog.silence_seconds))
            reports = [] if self._report_trouble else self._reports
            verdicts += [aggregator.judge_journal(reports), refused.judge(reports[-1].lately if reports else None)]
        if statsd:
            verdicts.append(drops.judge(statsd.statsd.port, self._queues, self._reports))
        for cache in settings.carbon.caches if settings.carbon.port else ():
            counts, closed = self._counts[cache.name], self._closed[cache.name]
            verdicts.append(carbon.judge_size(counts, settings.carbon.cache_points, closed))
            verdicts += [carbon.judge_creates(counts), carbon.judge_refused(counts)]
        verdicts += self._disks(now)
        verdicts.append(clock.judge(clock.measure(), settings.clock.seconds))
        return in_order([*verdicts, *self._web(now)])

    def _web(self, now: float) -> list[Verdict]:
        """Return what people meet first."""
        url, certified = self._settings.web.url, self._settings.certificate
        found = [web.judge(url, *web.measure(url))] if url else []
        if certified.file:
            found.append(certificate.check_file(certified.file, certified.days, now))
        elif url.startswith("https:"):
            pem = web.shown_certificate(url)
            # That nothing is shown is the other check's to tell.
            found += [certificate.check(f"the certificate of {url}", pem, certified.days, now)] if pem else []
        return found

    def _ask_aggregator(self, statsd: StatsdSettings | None, now: float) -> None:
        if statsd is None:
            return
        self._queues = [*self._queues, drops.measure(statsd.statsd.port, now)][-_LOOKS:]
        if not statsd.console.http_port:
            return
        self._report_trouble = ""
        try:
            report = aggregator.measure(statsd.console.http_port, now, self._canaries)
        except aggregator.NoReport as error:
            self._report_trouble = str(error)
            return
        kept = [each for each in self._reports if each.when > now - _REPORT_SECONDS]
        self._reports = [*kept, report][-_LOOKS:]

    def _ask_caches(self, names: list[str], now: float) -> None:
        whisper = self._settings.carbon.whisper
        space = disk.measure(whisper, now)
        for cache in self._settings.carbon.caches if self._settings.carbon.port else ():
            self._cache_troubles[cache.name] = ""
            try:
                asked = [*names, *carbon.series(cache.name)]
                self._cached[cache.name] = query.ask(cache.query_port, asked)
            except query.NoAnswer as error:
                self._cache_troubles[cache.name] = str(error)
                self._cached[cache.name] = {}
            counts = carbon.measure(cache.name, Path(whisper), self._cached[cache.name], now)
            free, reserve = space.free if space else 0, self._settings.carbon.disk_reserve if space else 0
            self._counts[cache.name] = counts
            self._closed[cache.name] = carbon.shut(counts, free, reserve, now)

    def _filed(self, name: str, now: float) -> tuple[float, str]:
        """Return the newest value of a series on disk, and why it can't be read."""
        if not name or not self._settings.carbon.port:
            return 0.0, ""
        path = file_of(Path(self._settings.carbon.whisper), name)
        try:
            return max(newest(path, now - _FILE_SECONDS, now + self.interval).values(), default=0.0), ""
        except OSError as error:
            return 0.0, f"{path}: {error.strerror}"
        except NotWhisper as error:
            return 0.0, str(error)

    def _services(self) -> Verdict:
        target = self._settings.services.target
        try:
            return services.judge(target, services.measure(target))
        except services.NoSystemd as error:
            return Verdict("services", State.UNKNOWN, f"systemd can't be asked: {error}")

    def _disks(self, now: float) -> list[Verdict]:
        limits, verdicts, judged = self._settings.disk, [], set()
        for path in limits.paths:
            space = disk.measure(path, now)
            device = os.stat(path).st_dev if space else 0
            if space and device not in judged:
                judged.add(device)
                self._spaces[device] = disk.thinned([*self._spaces.get(device, []), space])
                reserve = self._settings.carbon.disk_reserve if path == self._settings.carbon.whisper else 0
                verdicts.append(disk.judge(self._spaces[device], limits.full_percent, limits.hours, reserve))
        return verdicts


class _StatsdFile:
    """The aggregator's settings, read again when the file changes; while it is bad, those before are used."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._seen: tuple[int, int] = (0, 0)
        self.settings: StatsdSettings | None = None
        self.trouble = ""
        self.read()
        if self.trouble and self._path:
            # There is nothing to go by.
            self.settings = read_statsd_settings(self._path)

    def read(self) -> StatsdSettings | None:
        """Return the settings, None if there is no aggregator here."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
            version = (found.st_mtime_ns, found.st_ino)
            if version != self._seen:
                self.settings, self.trouble = read_statsd_settings(self._path), ""
                self._seen = version
        except (OSError, ConfigError) as error:
            self.trouble = f"{self._path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return self.settings
