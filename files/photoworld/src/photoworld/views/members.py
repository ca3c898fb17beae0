"""Signing up, logging in and logging out."""

import time

from flask import redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from photoworld import accounts, context, presence, security
from photoworld.text import Refused


def signup() -> ResponseReturnValue:
    """Make somebody a member. They are logged in at once, which counts as a sign-up, not as a log-in."""
    if security.is_safe(request):
        return render_template("signup.html", limits=accounts)
    name, password = request.form.get("name", ""), request.form.get("password", "")
    try:
        member = accounts.sign_up(context.database(), name, password, time.time())
    except Refused as refused:
        status = 409 if isinstance(refused, accounts.NameTaken) else 400
        return render_template("signup.html", limits=accounts, error=str(refused), name=name), status
    context.metrics().count("signups")
    return _welcome(member)


def login() -> ResponseReturnValue:
    """Let a member in."""
    if security.is_safe(request):
        return render_template("login.html", limits=accounts)
    name, password = request.form.get("name", ""), request.form.get("password", "")
    member = accounts.log_in(context.database(), name, password)
    if member is None:
        context.metrics().count("logins_failed")
        message = "This name and password do not belong together."
        return render_template("login.html", limits=accounts, error=message, name=name), 403
    context.metrics().count("logins")
    return _welcome(member)


def logout() -> ResponseReturnValue:
    """Let a member go."""
    presence.gone(context.database(), session["id"])
    session.clear()
    return redirect(url_for("front"), 303)


def _welcome(member: accounts.Member) -> ResponseReturnValue:
    security.forget_csrf_token()
    session["member"] = member.id
    return redirect(url_for("front"), 303)
