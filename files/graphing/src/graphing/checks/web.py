"""Whether the web server lets people in, and the certificate that it shows them."""

import ssl
import urllib.parse
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from graphing.checks.verdict import State, Verdict

_CHECK = "web"
_TIMEOUT = 5.0


def judge(url: str, code: int, trouble: str) -> Verdict:
    """Tell of the answer to a request for the first page, its code of HTTP, whether people can see anything."""
    if trouble:
        remedy = "systemctl restart nginx; journalctl -n 30 -u nginx"
        return Verdict(_CHECK, State.FAIL, f"{url}: {trouble}", remedy)
    if code >= 500:
        remedy = "systemctl restart graphite-web; journalctl -n 30 -u graphite-web"
        return Verdict(_CHECK, State.FAIL, f"{url} answers {code}", remedy)
    return Verdict(_CHECK, State.OK, f"{url} answers")


def measure(url: str) -> tuple[int, str]:
    """Ask for the first page; return the code of HTTP, or 0 and why there is none.

    The certificate may be for a name that people type, and is not compared with this one.
    """
    found = urllib.parse.urlsplit(url)
    connection = (
        HTTPSConnection(found.netloc, timeout=_TIMEOUT, context=_any_certificate())
        if found.scheme == "https"
        else HTTPConnection(found.netloc, timeout=_TIMEOUT)
    )
    try:
        connection.request("GET", f"{found.path or '/'}")
        return connection.getresponse().status, ""
    except (OSError, ValueError, HTTPException) as error:
        return 0, str(getattr(error, "strerror", None) or error)
    finally:
        connection.close()


def shown_certificate(url: str) -> str | None:
    """Return the certificate that an https address shows, as PEM; None if it shows none."""
    found = urllib.parse.urlsplit(url)
    try:
        return ssl.get_server_certificate((found.hostname or "", found.port or 443), timeout=_TIMEOUT)
    except (OSError, ValueError):
        return None


def _any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
