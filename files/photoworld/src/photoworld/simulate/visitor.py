"""What one visitor does from arriving to leaving. Decides; the browser does the talking."""

import random
import re
from collections.abc import Awaitable, Callable

from photoworld.simulate import words
from photoworld.simulate.browser import Browser, Page

WANTS_TO_LOG_IN = 0.5
MISTYPES = 0.15
LEAVES_AFTER_THREAD = 0.25
TURNS_THE_PAGE = 0.2
REPLIES = 0.35
STARTS_A_THREAD = 0.15
LOGS_OUT = 0.6

_THREAD_LINK = re.compile(r"/threads/[0-9]+$")

Think = Callable[[], Awaitable[None]]


class Leaves(Exception):  # noqa: N818  - what visitors do
    """The visitor goes away in the middle of things; raised by `think`."""


class Visitor:
    """Somebody with a browser, perhaps an account, and random interests."""

    def __init__(self, browser: Browser, account: words.Account | None, think: Think, choose: random.Random) -> None:
        self._browser, self._account, self._think, self._choose = browser, account, think, choose
        self.is_member = False
        """Whether the account is known to exist. Set it for somebody who has been here; true after entering."""

    async def visit(self) -> None:
        """Arrive, look around, perhaps say something, and leave."""
        page = await self._browser.open()
        await self._think()
        if self._account and self._likely(WANTS_TO_LOG_IN):
            page = await self._enter(page, self._account)
        if page.logged_in and (self._likely(STARTS_A_THREAD) or not _threads_of(page)):
            page = await self._start_thread(page)
        page = await self._read(page)
        if page.logged_in and self._likely(LOGS_OUT):
            await self._send(page, "/logout")

    async def _enter(self, page: Page, account: words.Account) -> Page:
        """Sign up the first time, log in from then on, or if the name was there already."""
        name, password = account.name, account.password
        if not self.is_member:
            page = await self._click(page, "/signup")
            page = await self._send(page, "/signup", name=name, password=password)
        if not page.logged_in:
            page = await self._click(page, "/login")
            if self._likely(MISTYPES):
                page = await self._send(page, "/login", name=name, password=password[:-1])
            page = await self._send(page, "/login", name=name, password=password)
        self.is_member = page.logged_in
        return page if page.logged_in else await self._browser.open()

    async def _start_thread(self, page: Page) -> Page:
        page = await self._click(page, "/threads/new")
        body = words.remarks(self._choose)
        await self._send(page, "/threads/new", title=words.title(self._choose), body=body)
        return await self._browser.open()

    async def _read(self, page: Page) -> Page:
        """Read threads, the upper ones of the page rather than the lower, until interest fades."""
        while threads := _threads_of(page):
            if self._likely(TURNS_THE_PAGE) and (older := _next_page_of(page)):
                page = await self._browser.follow(page, older)
                await self._think()
                threads = _threads_of(page) or threads
            choice = int(len(threads) * self._choose.random() ** 2)
            page = await self._browser.follow(page, threads[choice])
            await self._think()
            if self._likely(REPLIES):
                page = await self._send(page, "/reply", body=words.remarks(self._choose))
            if self._likely(LEAVES_AFTER_THREAD):
                break
            page = await self._browser.open()
            await self._think()
        return page

    async def _click(self, page: Page, ending: str) -> Page:
        """Follow a link if the page has it."""
        link = page.contents.link(ending)
        if link is None:
            return page
        page = await self._browser.follow(page, link)
        await self._think()
        return page

    async def _send(self, page: Page, ending: str, **values: str) -> Page:
        """Send a form if the page has it."""
        form = page.contents.form(ending)
        if form is None:
            return page
        page = await self._browser.submit(page, form, **values)
        await self._think()
        return page

    def _likely(self, chance: float) -> bool:
        return self._choose.random() < chance


def _threads_of(page: Page) -> list[str]:
    return [link for link in page.contents.links if _THREAD_LINK.search(link)]


def _next_page_of(page: Page) -> str | None:
    """Return the link to the older threads: of the two that turn the page it is the last."""
    return next((link for link in reversed(page.contents.links) if "?page=" in link), None)
