"""What a view needs while it answers one request: settings, metrics, the database, who is asking."""

import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import cast

from flask import Flask, current_app, flash, g, redirect, session, url_for
from flask.typing import ResponseReturnValue

from photoworld import accounts, db
from photoworld.metrics import Metrics
from photoworld.settings import Settings


def attach(app: Flask, settings: Settings, metrics: Metrics) -> None:
    """Hand the settings and metrics to every request, and close its database afterwards."""
    app.extensions["photoworld.settings"] = settings
    app.extensions["photoworld.metrics"] = metrics
    app.teardown_appcontext(_close)
    app.jinja_env.globals["member"] = member


def settings_of(app: Flask) -> Settings:
    """Return the settings that the application was made with."""
    return cast(Settings, app.extensions["photoworld.settings"])


def metrics_of(app: Flask) -> Metrics:
    """Return the metrics that the application reports to."""
    return cast(Metrics, app.extensions["photoworld.metrics"])


def settings() -> Settings:
    """Return the settings."""
    return settings_of(current_app)


def metrics() -> Metrics:
    """Return the metrics."""
    return metrics_of(current_app)


def database() -> sqlite3.Connection:
    """Return the connection of this request, opened at its first use."""
    if "database" not in g:
        g.database = db.connect(settings().database)
    return cast(sqlite3.Connection, g.database)


def member() -> accounts.Member | None:
    """Return who is logged in."""
    if "member" not in g:
        number = session.get("member")
        g.member = accounts.find(database(), number) if isinstance(number, int) else None
    return cast(accounts.Member | None, g.member)


def members_only(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Send everybody else to the log-in page; the view gets the member as its first argument."""

    @wraps(view)
    def wrapped(**arguments: object) -> ResponseReturnValue:
        who = member()
        if who is None:
            flash("Please log in first.")
            return redirect(url_for("login"))
        return view(who, **arguments)

    return wrapped


def _close(_: BaseException | None) -> None:
    connection = g.pop("database", None)
    if connection is not None:
        connection.close()
