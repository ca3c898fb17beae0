"""Watches every request and response: how long, which outcome, who. The numbers go to metrics.py."""

import re
import secrets
import time

from flask import Flask, Response, g, request, session

from photoworld import context, presence

VISITOR_COOKIE = "visitor"
VISITOR_SECONDS = 365 * 24 * 3600
NOT_VISITS = frozenset({"static", "healthz"})
"""Endpoints that are asked by machines, or beside a page: they make nobody a visitor."""

_VISITOR = re.compile(r"[0-9a-f]{32}")


def watch(app: Flask) -> None:
    """Measure every request; call this before anything else that handles requests."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.started = time.perf_counter()
    if request.endpoint in NOT_VISITS:
        return
    given = request.cookies.get(VISITOR_COOKIE, "")
    g.visitor = given if _VISITOR.fullmatch(given) else secrets.token_hex(16)
    if "id" not in session:
        session["id"] = secrets.token_hex(16)
    presence.seen(context.database(), session["id"], time.time())


def _end(response: Response) -> Response:
    metrics = context.metrics()
    if "visitor" in g:
        metrics.visitor(g.visitor)
        if request.cookies.get(VISITOR_COOKIE) != g.visitor:
            response.set_cookie(
                VISITOR_COOKIE,
                g.visitor,
                max_age=VISITOR_SECONDS,
                httponly=True,
                samesite="Lax",
                secure=request.is_secure,
            )
    milliseconds = (time.perf_counter() - g.started) * 1000
    metrics.request(request.endpoint or "unmatched", milliseconds, response.status_code)
    return response
