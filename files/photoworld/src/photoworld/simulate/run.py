"""Lets visitors come and go until told to stop, and waits patiently while the site is away."""

import asyncio
import logging
import random
import signal
import time
from dataclasses import dataclass

import httpx

from photoworld.simulate import wave, words
from photoworld.simulate.browser import Browser, SiteAway, Tally
from photoworld.simulate.visitor import Leaves, Visitor

LONGEST_BACKOFF = 30.0
FAREWELL = 3.0
"""Seconds that the requests under way get at the end."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much traffic to make, and where."""

    url: str
    visitors: int
    rate: float
    period: float
    think: float
    duration: float
    accounts: int
    seed: str


def main(plan: Plan) -> int:
    """Simulate until the duration is over or a signal asks to end."""
    asyncio.run(_Simulation(plan).run())
    return 0


class _Simulation:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stop = asyncio.Event()
        self._away: str | None = None
        self._tally = Tally()
        self._accounts_in_use: set[int] = set()
        self._members: set[int] = set()
        self._choose = random.Random(plan.seed)  # noqa: S311  - traffic, not secrets
        socket_path = plan.url.removeprefix("unix:") if plan.url.startswith("unix:") else None
        self._base = "http://photoworld" if socket_path else plan.url
        self._transport = httpx.AsyncHTTPTransport(
            verify=self._base.startswith("https:"),
            uds=socket_path,
            # Shorter than the server's, so that no request is sent into a connection that is just closing.
            limits=httpx.Limits(max_connections=plan.visitors, keepalive_expiry=2),
        )

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self._plan.duration:
            loop.call_later(self._plan.duration, self._stop.set)
        _log.info("visiting %s", self._plan.url)
        guests: set[asyncio.Task[None]] = set()
        await self._receive(guests)
        if guests:
            _, late = await asyncio.wait(guests, timeout=FAREWELL)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._transport.aclose()
        tally = self._tally
        _log.info("%d visits, %d requests, %d visitors turned away", tally.visits, tally.requests, tally.turned_away)

    async def _receive(self, guests: set[asyncio.Task[None]]) -> None:
        """Let visitors in as they arrive; nobody comes while the site is away."""
        plan = self._plan
        arrival = time.time()
        while not self._stop.is_set():
            if self._away is not None:
                await self._wait_for_site()
                arrival = time.time()
            arrival = wave.next_arrival(arrival, plan.rate, plan.period, self._choose)
            await self._pause(arrival - time.time())
            if self._stop.is_set() or self._away is not None:
                continue
            if len(guests) >= plan.visitors:
                self._tally.turned_away += 1
                continue
            task = asyncio.create_task(self._visit(self._tally.visits))
            self._tally.visits += 1
            guests.add(task)
            task.add_done_callback(guests.discard)

    async def _visit(self, number: int) -> None:
        plan = self._plan
        choose = random.Random(f"{plan.seed}/{number}")  # noqa: S311  - traffic, not secrets
        # Nobody is here twice: who finds the account in use stays a stranger this time.
        account_number = choose.randrange(plan.accounts)
        account = None
        if account_number not in self._accounts_in_use:
            self._accounts_in_use.add(account_number)
            account = words.account(plan.seed, account_number)

        async def think() -> None:
            await self._pause(choose.expovariate(1 / plan.think))
            if self._stop.is_set() or self._away is not None:
                raise Leaves

        visitor = Visitor(Browser(self._transport, self._base, self._tally), account, think, choose)
        visitor.is_member = account_number in self._members
        try:
            await visitor.visit()
        except SiteAway as reason:
            self._site_is_away(str(reason))
        except Leaves:
            pass
        finally:
            if account:
                self._accounts_in_use.discard(account_number)
                if visitor.is_member:
                    self._members.add(account_number)

    def _site_is_away(self, reason: str) -> None:
        if self._away is None and not self._stop.is_set():
            _log.warning("the site is away: %s", reason)
            self._away = reason

    async def _wait_for_site(self) -> None:
        browser = Browser(self._transport, self._base, self._tally)
        delay = 1.0
        while not self._stop.is_set():
            await self._pause(delay)
            try:
                await browser.healthy()
            except SiteAway:
                delay = min(delay * 2, LONGEST_BACKOFF)
                continue
            _log.warning("the site is back")
            self._away = None
            return

    async def _pause(self, seconds: float) -> None:
        """Sleep, but wake up at once when it is time to stop."""
        if seconds > 0 and not self._stop.is_set():
            try:
                await asyncio.wait_for(self._stop.wait(), seconds)
            except TimeoutError:
                return
