"""Dashboards as people write them, to dashboards as graphite-web saves them. Pure functions.

Written: name, minutes (of the past that are shown), refresh (seconds), graphs: title, targets, and optional min, max,
unit, area (none, first, all, stacked), colors. Saved: the `state` that graphite-web's dashboard.js reads and writes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

WIDTH, HEIGHT = 560, 280
# Bytes that the targets of a graph may take in the address of its picture: with all else, nginx takes 32 KiB.
LONGEST = 31_000
# What each key must be: a type, or words of which it is one.
DASHBOARD_KEYS: dict[str, Any] = {"name": str, "minutes": int, "refresh": int, "graphs": list}
GRAPH_KEYS: dict[str, Any] = {
    "title": str,
    "targets": list,
    "min": (int, float),
    "max": (int, float),
    "unit": str,
    "area": ["none", "first", "all", "stacked"],
    "colors": list,
}
_TYPES = {str: "text that is not empty", int: "a whole number above 0", list: "a list that is not empty"}
# Readable on graphite-web's black as well as on white.
COLORS = ["#4fa8e0", "#f0a030", "#5fc26b", "#e0605f", "#b48be0", "#e6d34c", "#6fd6cf", "#c8c8c8"]


def _targets(graph: dict[str, Any]) -> str:
    """Its targets as they stand in an address."""
    return urlencode([("target", target) for target in graph["targets"]])


def dashboard_problems(dashboard: Any) -> list[str]:
    """What is wrong with a written dashboard, as sentences; an empty list when it is right."""
    if not isinstance(dashboard, dict):
        return ["a dashboard is a mapping with name, minutes, refresh and graphs"]
    problems = _key_problems(dashboard, DASHBOARD_KEYS)
    problems += [f"key {key!r} is missing" for key in sorted(set(DASHBOARD_KEYS) - set(dashboard))]
    graphs = dashboard.get("graphs")
    for number, graph in enumerate(graphs if isinstance(graphs, list) else [], start=1):
        problems += [f"graph {number}: {problem}" for problem in _graph_problems(graph)]
    return problems


def _graph_problems(graph: Any) -> list[str]:
    if not isinstance(graph, dict) or not graph.get("title") or not graph.get("targets"):
        return ["needs a title and targets"]
    problems = _key_problems(graph, GRAPH_KEYS)
    for key in ("targets", "colors"):
        values = graph.get(key, [])
        texts = isinstance(values, list) and all(isinstance(value, str) for value in values)
        problems += [] if texts else [f"{key} {values!r} must be a list of text"]
    if not problems:
        wrong = (target for target in graph["targets"] if target.count("(") != target.count(")"))
        problems += [f"target {target!r} has unbalanced brackets" for target in wrong]
        if (size := len(_targets(graph))) > LONGEST:
            problems.append(f"targets of {size} bytes, and an address holds {LONGEST}: draw them in several graphs")
    return problems


def _key_problems(given: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """What is wrong with the keys of a dashboard or a graph, and with the types of their values."""
    problems = [f"unknown key {key!r}" for key in sorted(set(given) - set(known), key=str)]
    for key, wanted in known.items():
        if key in given and (wrong := _wrong(given[key], wanted)):
            problems.append(f"{key} {given[key]!r} must be {wrong}")
    return problems


def _wrong(value: Any, wanted: Any) -> str:
    """What a value must be; empty if it is."""
    if isinstance(wanted, list):
        return "" if value in wanted else f"one of {', '.join(wanted)}"
    fits = isinstance(value, wanted) and not isinstance(value, bool)
    if isinstance(wanted, tuple):
        return "" if fits else "a number"
    return "" if fits and value and (wanted is not int or value > 0) else _TYPES[wanted]


def _graph_parameters(graph: dict[str, Any], minutes: int) -> dict[str, Any]:
    """Parameters of /render for one graph."""
    parameters: dict[str, Any] = {
        "target": graph["targets"],
        "title": graph["title"],
        "from": f"-{minutes}minutes",
        "until": "now",
        "width": str(WIDTH),
        "height": str(HEIGHT),
        "areaMode": graph.get("area", "none"),
        "areaAlpha": "0.5",
        "lineWidth": "2",
        "lineMode": "connected",
        "colorList": ",".join(graph.get("colors", COLORS)),
        "bgcolor": "#16191d",
        "fgcolor": "#d8dce0",
        "majorGridLineColor": "#3a4048",
        "minorGridLineColor": "#262b31",
        "fontSize": "11",
        "yMin": str(graph.get("min", 0)),
        "hideLegend": "false",
    }
    if "max" in graph:
        parameters["yMax"] = str(graph["max"])
    if "unit" in graph:
        parameters["vtitle"] = graph["unit"]
    return parameters


def dashboard_state(dashboard: dict[str, Any]) -> dict[str, Any]:
    """The state that graphite-web saves for a written dashboard."""
    minutes = int(dashboard["minutes"])
    graphs = []
    for graph in dashboard["graphs"]:
        parameters = _graph_parameters(graph, minutes)
        graphs.append([_targets(graph), parameters, f"/render?{urlencode(parameters, doseq=True)}"])
    return {
        "name": dashboard["name"],
        "graphs": graphs,
        "graphSize": {"width": WIDTH, "height": HEIGHT},
        "defaultGraphParams": {
            "from": f"-{minutes}minutes",
            "until": "now",
            "width": str(WIDTH),
            "height": str(HEIGHT),
        },
        "refreshConfig": {"enabled": True, "interval": int(dashboard["refresh"]) * 1000},
        "timeConfig": {
            "type": "relative",
            "relativeStartQuantity": str(minutes),
            "relativeStartUnits": "minutes",
            "relativeUntilQuantity": "",
            "relativeUntilUnits": "now",
            "startDate": "",
            "startTime": "",
            "endDate": "",
            "endTime": "",
        },
    }


class FilterModule:
    """The filters as Ansible finds them."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "graphite_web_dashboard": dashboard_state,
            "graphite_web_dashboard_problems": dashboard_problems,
        }
