"""One visitor's browser: cookies, pages, forms. Says SiteAway when the site does not work."""

from dataclasses import dataclass

import httpx

from photoworld import __version__
from photoworld.simulate import forms

TIMEOUT = 10.0


class SiteAway(Exception):  # noqa: N818  - a state of the site, and not this program's fault
    """The site cannot be reached, or answers with a fault of its own."""


@dataclass(slots=True)
class Tally:
    """What all visitors together did, for the last line of the log."""

    visits: int = 0
    turned_away: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A page as the visitor sees it."""

    url: httpx.URL
    status: int
    contents: forms.Contents

    @property
    def logged_in(self) -> bool:
        """Whether the page offers to log out."""
        return self.contents.form("/logout") is not None


class Browser:
    """Fetches pages with cookies of its own, over connections that all browsers share."""

    def __init__(self, transport: httpx.AsyncBaseTransport, base: str, tally: Tally) -> None:
        self._base = httpx.URL(f"{base}/")
        self._tally = tally
        # Never closed: that would close the transport, which belongs to all. There is nothing else in it.
        self._client = httpx.AsyncClient(
            transport=transport,
            follow_redirects=True,
            timeout=TIMEOUT,
            trust_env=False,
            headers={"User-Agent": f"photoworld-simulate/{__version__}"},
        )

    async def open(self) -> Page:
        """Go to the front page."""
        return await self._send("GET", self._base, None)

    async def follow(self, page: Page, link: str) -> Page:
        """Click on a link of a page."""
        return await self._send("GET", page.url.join(link), None)

    async def submit(self, page: Page, form: forms.Form, **values: str) -> Page:
        """Fill in and send a form of a page."""
        return await self._send("POST", page.url.join(form.action), {**form.fields, **values})

    async def healthy(self) -> None:
        """Return if the site says that it is well, else raise SiteAway."""
        await self._send("GET", self._base.join("healthz"), None)

    async def _send(self, method: str, url: httpx.URL, data: dict[str, str] | None) -> Page:
        try:
            response = await self._client.request(method, url, data=data)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SiteAway(str(error) or type(error).__name__) from error
        self._tally.requests += 1 + len(response.history)
        if response.status_code >= 500:
            raise SiteAway(f"{response.url.path} answers {response.status_code}")
        return Page(response.url, response.status_code, forms.read(response.text))
