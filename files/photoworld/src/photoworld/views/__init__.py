"""The pages of the forum. A route's endpoint name is also its name on the graphs: `request.ENDPOINT`."""

from flask import Flask

from photoworld.views import health, members, threads


def register(app: Flask) -> None:
    """Add every route."""
    app.add_url_rule("/", "front", threads.front)
    app.add_url_rule("/threads/new", "new_thread", threads.new_thread, methods=["GET", "POST"])
    number = "<int(max=9223372036854775807):thread_id>"
    app.add_url_rule(f"/threads/{number}", "thread", threads.thread)
    app.add_url_rule(f"/threads/{number}/reply", "reply", threads.reply, methods=["POST"])
    app.add_url_rule("/signup", "signup", members.signup, methods=["GET", "POST"])
    app.add_url_rule("/login", "login", members.login, methods=["GET", "POST"])
    app.add_url_rule("/logout", "logout", members.logout, methods=["POST"])
    app.add_url_rule("/healthz", "healthz", health.healthz)
