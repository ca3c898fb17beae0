"""Forged forms, cookies and headers: what every request and response must satisfy."""

import hmac
import secrets

from flask import Flask, Request, Response, abort, request, session
from flask.sessions import SecureCookieSessionInterface

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _Sessions(SecureCookieSessionInterface):
    """Flask's signed cookie, marked Secure whenever the visitor came by HTTPS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def protect(app: Flask) -> None:
    """Check the token of every form, and set the headers of every response."""
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=64 * 1024,
        MAX_FORM_MEMORY_SIZE=64 * 1024,
        MAX_FORM_PARTS=20,
    )
    app.session_interface = _Sessions()
    app.before_request(_refuse_forged_forms)
    app.after_request(_add_headers)
    app.jinja_env.globals["csrf_token"] = csrf_token


def csrf_token() -> str:
    """Return the token that the forms of this session carry."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def forget_csrf_token() -> None:
    """Let the session get a new token; called as its rights change."""
    session.pop("csrf", None)


def is_safe(request: Request) -> bool:
    """Whether the request only asks for something."""
    return request.method in ("GET", "HEAD", "OPTIONS")


def _refuse_forged_forms() -> None:
    if is_safe(request):
        return
    expected, given = session.get("csrf", ""), request.form.get("csrf_token", "")
    if not expected or not hmac.compare_digest(expected.encode(), given.encode()):
        abort(403, "This form has expired. Please go back, reload the page and send it again.")


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response
