"""Reading, starting and continuing threads."""

import time

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from photoworld import context, forum, security
from photoworld.accounts import Member
from photoworld.text import Refused


def front() -> ResponseReturnValue:
    """List the threads, the newest activity first."""
    threads, paging = forum.front_page(context.database(), _page())
    return render_template("front.html", threads=threads, paging=paging)


def thread(thread_id: int) -> ResponseReturnValue:
    """Show a thread, and count the view."""
    found = forum.find_thread(context.database(), thread_id)
    if found is None:
        abort(404, "This thread does not exist, or no longer does.")
    forum.note_view(context.database(), thread_id)
    context.metrics().count("views")
    return _show(found, _page())


@context.members_only
def new_thread(member: Member) -> ResponseReturnValue:
    """Start a thread with its first post."""
    if security.is_safe(request):
        return render_template("new_thread.html", limits=forum)
    title, body = request.form.get("title", ""), request.form.get("body", "")
    keep = context.settings().keep_threads
    try:
        thread_id = forum.start_thread(context.database(), member.id, title, body, now=time.time(), keep_threads=keep)
    except Refused as refused:
        page = render_template("new_thread.html", limits=forum, error=str(refused), title=title, body=body)
        return page, 400
    context.metrics().count("threads")
    context.metrics().thread_length(1)
    return redirect(url_for("thread", thread_id=thread_id), 303)


@context.members_only
def reply(member: Member, thread_id: int) -> ResponseReturnValue:
    """Add a post to a thread."""
    body = request.form.get("body", "")
    try:
        posts = forum.reply(context.database(), thread_id, member.id, body, time.time())
    except Refused as refused:
        found = forum.find_thread(context.database(), thread_id)
        if found is None:
            abort(404, "This thread does not exist, or no longer does.")
        return _show(found, forum.last_page(found.posts), error=str(refused), body=body), 400
    if posts is None:
        abort(404, "This thread does not exist, or no longer does.")
    context.metrics().count("replies")
    context.metrics().thread_length(posts)
    page = forum.last_page(posts)
    where = {"page": page} if page > 1 else {}
    return redirect(url_for("thread", thread_id=thread_id, **where, _anchor="end"), 303)  # type: ignore[arg-type]


def _show(found: forum.Thread, page: int, error: str = "", body: str = "") -> str:
    posts, paging = forum.posts_of(context.database(), found, page)
    return render_template(
        "thread.html", thread=found, posts=posts, paging=paging, limits=forum, error=error, body=body
    )


def _page() -> int:
    """Return the page that was asked for; anything that is no small number means the first."""
    text = request.args.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
