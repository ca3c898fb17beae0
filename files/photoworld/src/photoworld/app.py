"""The application factory: puts the parts together into one WSGI application."""

import logging
import os
import sqlite3
from datetime import UTC, datetime

from flask import Flask, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from photoworld import context, db, instrument, security, settings, views
from photoworld.metrics import Metrics

_log = logging.getLogger(__name__)


def create_app(configuration: settings.Settings | None = None) -> Flask:
    """Return the forum, its database created if need be; settings come from the environment unless given."""
    configuration = configuration or settings.from_environment(os.environ)
    db.create(configuration.database)
    app = Flask(__name__)
    app.config.update(SECRET_KEY=configuration.secret_key, SEND_FILE_MAX_AGE_DEFAULT=3600)
    app.jinja_env.filters["moment"] = _moment
    app.jinja_env.filters["iso"] = _iso
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    context.attach(
        app,
        configuration,
        Metrics(configuration.statsd_host, configuration.statsd_port, configuration.statsd_prefix),
    )
    instrument.watch(app)
    security.protect(app)
    views.register(app)
    app.register_error_handler(HTTPException, _refuse)
    app.register_error_handler(sqlite3.OperationalError, _unavailable)
    if configuration.behind_proxy:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]  # as Flask documents it
    return app


def _refuse(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    page = render_template("error.html", title=error.name, message=error.description, plain=status >= 500)
    headers = [(name, value) for name, value in error.get_headers() if name != "Content-Type"]
    return page, status, headers


def _unavailable(error: sqlite3.OperationalError) -> ResponseReturnValue:
    _log.error("the database does not answer: %s", error)
    message = "The forum is busy or its database is away. Please try again in a moment."
    page = render_template("error.html", title="Try again", message=message, plain=True)
    return page, 503, {"Retry-After": "5"}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%-d %b %Y, %H:%M")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
