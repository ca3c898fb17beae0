"""Dashboards: the ones of this repository, and what is refused."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jinja2
import pytest
import yaml

DIRECTORY = Path(__file__).resolve().parents[2] / "files/dashboards"
GIVEN = {
    "statsd_prefix": "stats",
    "photoworld_statsd_prefix": "photoworld",
    "statsd_flush_interval": 10,
    "carbon_interval": 10,
    "host_metrics_name": "here",
}
GRAPH = {"title": "Logins", "targets": ["stats.logins.count"]}


@pytest.fixture(scope="session")
def dashboards(load):
    return load("roles/graphite_web/filter_plugins/dashboards.py")


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.yml")), ids=lambda path: path.stem)
def test_the_dashboards_of_this_repository_are_right(dashboards, path):
    text = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(path.read_text()).render(GIVEN)
    dashboard = yaml.safe_load(text)
    assert dashboards.dashboard_problems(dashboard) == []
    assert len(dashboards.dashboard_state(dashboard)["graphs"]) == len(dashboard["graphs"])


def test_no_dashboard_uses_a_function_that_fails():
    listed = (DIRECTORY.parents[1] / "docs/graphs.md").read_text().partition("## Not repaired")[2]
    names = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| `.*?\|", listed, re.MULTILINE)))
    assert "areaBetween" in names
    used = {name for path in DIRECTORY.glob("*.yml") for name in re.findall(r"(\w+)\(", path.read_text())}
    assert used & set(names) == set()


def test_a_graph_becomes_what_graphite_web_saves(dashboards):
    state = dashboards.dashboard_state(
        {"name": "A", "minutes": 15, "refresh": 10, "graphs": [{**GRAPH, "unit": "n", "max": 9}]}
    )
    (targets, parameters, url) = state["graphs"][0]
    assert targets == "target=stats.logins.count"
    assert (parameters["from"], parameters["vtitle"], parameters["yMin"], parameters["yMax"]) == (
        "-15minutes",
        "n",
        "0",
        "9",
    )
    assert parse_qs(urlsplit(url).query)["target"] == ["stats.logins.count"]
    assert state["refreshConfig"] == {"enabled": True, "interval": 10000}
    assert state["timeConfig"]["relativeStartQuantity"] == "15"


@pytest.mark.parametrize(
    ("dashboard", "complaint"),
    [
        ([], "a dashboard is a mapping"),
        ({"name": "A", "minutes": 1, "refresh": 1}, "key 'graphs' is missing"),
        ({"name": "A", "minutes": 1, "refresh": 1, "graphs": [GRAPH], "hour": 1}, "unknown key 'hour'"),
        ({"name": "A", "minutes": 1, "refresh": 1, "graphs": [{"title": "x"}]}, "graph 1: needs a title and targets"),
        (
            {"name": "A", "minutes": 1, "refresh": 1, "graphs": [{**GRAPH, "colour": 1}]},
            "graph 1: unknown key 'colour'",
        ),
        (
            {"name": "A", "minutes": 1, "refresh": 1, "graphs": [{"title": "x", "targets": ["sum(a"]}]},
            "unbalanced brackets",
        ),
        (
            {"name": "A", "minutes": "15", "refresh": 1, "graphs": [GRAPH]},
            "minutes '15' must be a whole number above 0",
        ),
        ({"name": "A", "minutes": 1, "refresh": 0, "graphs": [GRAPH]}, "refresh 0 must be a whole number above 0"),
        ({"name": 1, "minutes": 1, "refresh": 1, "graphs": [GRAPH]}, "name 1 must be text that is not empty"),
        ({"name": "A", "minutes": 1, "refresh": 1, "graphs": {"a": 1}}, "graphs {'a': 1} must be a list"),
        (
            {"name": "A", "minutes": 1, "refresh": 1, "graphs": [{"title": "x", "targets": "a.b"}]},
            "graph 1: targets 'a.b' must be a list",
        ),
        (
            {"name": "A", "minutes": 1, "refresh": 1, "graphs": [{"title": "x", "targets": [1]}]},
            "graph 1: targets [1] must be a list of text",
        ),
        (
            {"name": "A", "minutes": 1, "refresh": 1, "graphs": [{**GRAPH, "area": "full"}]},
            "area 'full' must be one of",
        ),
        ({"name": "A", "minutes": 1, "refresh": 1, "graphs": [{**GRAPH, "max": "9"}]}, "max '9' must be a number"),
        ({"name": "A", "minutes": 1, "refresh": 1, "graphs": [{**GRAPH, 5: 1}]}, "graph 1: unknown key 5"),
        (
            {"name": "A", "minutes": 1, "refresh": 1, "graphs": [{**GRAPH, "targets": ["stats.logins.count"] * 1200}]},
            "draw them in several graphs",
        ),
    ],
)
def test_a_wrong_dashboard_is_explained(dashboards, dashboard, complaint):
    assert any(complaint in problem for problem in dashboards.dashboard_problems(dashboard))
