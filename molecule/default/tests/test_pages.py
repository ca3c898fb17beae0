"""What a person sees: the pages, their files, and dashboards on which every graph has something to draw."""

import json
from urllib.parse import quote

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
