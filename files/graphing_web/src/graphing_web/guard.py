"""Who may change something in graphite-web, who may look, and where its redirects may lead.

Stands behind Django's sessions. graphite-web itself takes events, tags, short links and temporary dashboards from
anybody, deletes dashboards by GET, and sends people wherever the address of its login and logout says.

What did not come through nginx came through the application's socket, which only root and nginx can open: it passes.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponseRedirect, JsonResponse, response
from django.utils.http import url_has_allowed_host_and_scheme

# Views that change something, by their names in graphite-web's urls.py; `events` does unless it is asked by GET.
WRITES = {
    "account_update",
    "composer_mygraph",
    "dashboard_create_temporary",
    "dashboard_delete",
    "dashboard_delete_template",
    "dashboard_email",
    "dashboard_save",
    "dashboard_save_template",
    "delSeries",
    "metrics_set_metadata",
    "shorten",
    "tagMultiSeries",
    "tagSeries",
}
LONGEST = 32_000  # bytes of an address; role nginx takes 32 KiB
# Debian 13's Django answers 400 where a redirect of more than 16 KiB is due, as that of a short link to a large graph.
response.MAX_URL_REDIRECT_LENGTH = 2 * LONGEST
# What people need before they have logged in.
LOGINS = {"account_login", "dashboard_login", "dashboard_logout", "account_logout", "admin:login"}


def writes(request: Any) -> bool:
    """Tell whether the request may change something."""
    view = request.resolver_match.view_name
    return view in WRITES or (view == "events" and request.method not in ("GET", "HEAD"))


def from_own_page(request: Any) -> bool:
    """Tell whether a browser sent it from a page of this site, as far as can be told.

    Session cookies are SameSite=Lax: only what another site has people open, by GET, comes with one. The site's own
    scripts say X-Requested-With when they use GET, which other sites cannot.
    """
    return bool(request.method == "POST" or request.headers.get("X-Requested-With") == "XMLHttpRequest")


def login_address(page: str) -> str:
    """Return where to log in and be led to the page, or to the first one if nginx would find that too long."""
    wanted = quote(page)
    return f"{settings.LOGIN_URL}?nextPage={wanted if len(wanted) < LONGEST else '/'}"


def refusal(request: Any) -> Any:
    """Return the answer to a request that is not allowed, or None."""
    view = request.resolver_match.view_name
    if writes(request):
        if not request.user.is_authenticated:
            return JsonResponse({"error": "Log in to change something."}, status=403)
        if not from_own_page(request):
            return JsonResponse({"error": "To change something takes a POST, or a script of this site."}, status=403)
    elif settings.LOGIN_TO_READ and not request.user.is_authenticated and view not in LOGINS:
        if "text/html" not in request.headers.get("Accept", ""):
            return JsonResponse({"error": "Log in to look."}, status=401)
        return HttpResponseRedirect(login_address(request.get_full_path()))
    return None


class Guard:
    """The middleware."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Answer, but never with a redirect to another site."""
        answer = self.get_response(request)
        target = answer.headers.get("Location")
        if target and not url_has_allowed_host_and_scheme(target, {request.get_host()}):
            return HttpResponseRedirect("/")
        return answer

    def process_view(self, request: Any, view: object, arguments: object, named: object) -> Any:
        """Refuse what is not allowed, before the view sees it."""
        return refusal(request) if "X-Forwarded-For" in request.headers else None
