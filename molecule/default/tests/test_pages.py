"""What a person sees: the pages, their files, and dashboards on which every graph has something to draw."""

import json
import re
from urllib.parse import quote, urljoin, urlsplit

import pytest


@pytest.mark.parametrize(
    "path",
    ["/", "/dashboard/", "/browser/", "/browser/header/", "/composer/", "/functions/", "/account/login"],
)
def test_the_page_opens(site, path):
    assert site.request(path)["status"] == 200


@pytest.mark.parametrize("path", ["/static/js/dashboard.js", "/static/css/default.css", "/static/admin/css/base.css"])
def test_the_page_has_its_files(site, path):
    answer = site.request(path)
    assert answer["status"] == 200
    assert len(answer["body"]) > 500


FETCH = """
import json, ssl, sys, urllib.error, urllib.request
addresses, headers, authority = json.load(sys.stdin)
trust = ssl.create_default_context(cafile=authority)
def fetch(address):
    try:
        answer = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60, context=trust)
    except urllib.error.HTTPError as error:
        answer = error
    return [answer.status, answer.headers.get_content_type(), answer.read().decode("utf-8", "replace")]
print(json.dumps({address: fetch(address) for address in addresses}))
"""
"""Many addresses at once: status, kind and text of each."""

ASKED = {
    "text/html": r"""<(?:script|img|iframe|frame)\b[^>]*?\ssrc=["']?([^"'\s>]+)|<link\b[^>]*?\shref=["']?([^"'\s>]+)""",
    "text/css": r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""",
    # What styles within scripts get from elsewhere; other addresses there are not fetched by being there.
    "script": r"""@import\s+(?:url\()?["']?((?:https?:)?//[^"')\s;]+)""",
}
"""What makes a browser ask for more, by the kind of a file."""
PAGES = [
    *["/", "/composer/", "/dashboard/", "/dashboard/Photoworld", "/dashboard/nothing", "/browser/", "/browser/header/"],
    *["/account/login", "/account/edit", "/events/", "/functions/", "/version/", "/nothing", "/render?target=sum("],
    *["/admin/", "/admin/auth/user/", "/admin/auth/user/add/", "/admin/events/event/add/", "/admin/nothing/"],
]


def asked_by(address, kind, text):
    """The addresses that a browser asks for because of a file."""
    found = re.findall(ASKED.get(kind, ASKED["script"] if "javascript" in kind else "(?!)"), text)
    links = ["".join(link) if isinstance(link, tuple) else link for link in found]
    return {urljoin(address, link).partition("#")[0] for link in links if not link.startswith("data:")}


def asked_by_all(site, addresses, headers):
    """All that the pages lead a browser to ask for: address to status, kind and text."""
    answers, asked = {}, set(addresses)
    while asked:
        own = sorted(address for address in asked if address.startswith(f"{site.web}/"))
        answers |= {address: [0, "elsewhere", ""] for address in asked}
        answers |= json.loads(site.python(FETCH, [own, headers, site.authority]))
        asked = {link for address in own for link in asked_by(address, *answers[address][1:])} - set(answers)
    return answers


@pytest.mark.parametrize("logged_in", [False, True])
def test_the_pages_ask_for_nothing_that_is_elsewhere_or_missing(site, session, logged_in):
    """What a browser asks for, as read from the pages, their styles and scripts."""
    headers = {"Cookie": session.split(";")[0]} if logged_in else {}
    pages = [site.web + page for page in PAGES]
    answers = asked_by_all(site, pages, headers)
    assert f"{site.web}/static/js/ace/ace.js" in answers
    assert f"{site.web}/static/css/dashboard-default.css" in answers
    assert {urlsplit(address).netloc for address in answers} == {urlsplit(site.web).netloc}
    missing = {address: status for address, (status, *_) in answers.items() if status != 200}
    assert missing.keys() <= set(pages), missing


def test_the_site_has_an_icon(site):
    answer = site.request("/favicon.ico")
    assert answer["status"] == 200
    assert ("content-type", "image/x-icon") in answer["headers"]


def test_the_search_of_the_page_is_on_and_finds(site):
    """Without anything being started by hand: the run ends when these series are there, and lists the names."""
    assert "searchEnabled: 1" in site.request("/composer/")["body"]
    found = site.request("/browser/search", {"query": "photoworld.responses nosuchname"})
    assert found["status"] == 200
    assert any(re.fullmatch(r"stats\.photoworld\.responses\.\w+\.count", name) for name in found["body"].split(","))


@pytest.mark.parametrize("path", ["/whitelist/add", "/composer/send_email", "/dashboard/email", "/nothing"])
def test_what_should_not_be_there_is_not(site, path):
    assert site.request(path)["status"] == 404


@pytest.mark.parametrize("name", ["Photoworld", "Graphing server"])
def test_every_target_of_the_dashboard_draws(site, name):
    state = json.loads(site.request(f"/dashboard/load/{quote(name)}")["body"])["state"]
    assert len(state["graphs"]) >= 6
    for _, parameters, url in state["graphs"]:
        for target in parameters["target"]:
            found = site.until(lambda target=target: site.render(quote(target)))
            assert any(found.values()), f"{parameters['title']}: {target} draws nothing"
        png = site.request(url.replace("&until=now", "&until=now&format=svg"))
        assert (png["status"], "<svg" in png["body"]) == (200, True)


def test_the_forum_opens(site):
    assert "Photoworld" in site.request(f"{site.forum}/")["body"]


def test_visitors_cause_numbers(site):
    """What the graph says has been caused by requests: posts in the forum's database are threads and replies."""
    series = site.until(lambda: site.render("sumSeries(stats.photoworld.{threads,replies}.count)", "-1h"))
    assert sum(sum(points.values()) for points in series.values()) > 0
