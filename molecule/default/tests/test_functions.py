"""Every function of graphite-web over gaps: it draws, or says why it cannot (docs/graphs.md lists which)."""

import json
import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/graphs.md"

SERIES = """
import json, pathlib, shutil, sys, time, whisper
directory = pathlib.Path("/var/lib/graphite/whisper/gaps")
directory.mkdir()
now = int(time.time()) // 10 * 10
for name, values in json.load(sys.stdin).items():
    path = str(directory / f"{name}.wsp")
    whisper.create(path, [(10, 2160), (60, 10080)])
    points = [(now - 10 * ago, value) for ago, value in enumerate(reversed(values), start=1) if value is not None]
    if points:
        whisper.update_many(path, points)
"""

CALL = """
import http.client, json, socket, sys, urllib.parse
asked = json.load(sys.stdin)
class Own(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/graphite-web.sock")
def answer(targets, kind):
    form = {"target": targets, "from": "-25min", "format": kind, "noCache": "1"}
    connection = Own("localhost", timeout=60)
    connection.request("POST", "/render", urllib.parse.urlencode(form, doseq=True),
                       {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode("utf-8", "replace")[:300]
failed = {}
for targets, kind in asked:
    if answer(targets, kind)[0] != 200:
        failed |= {target: said for target in targets if (said := answer([target], kind))[0] != 200}
print(json.dumps(failed))
"""
"""Asks for targets in groups, and for each alone where a group fails; those that do, with status and words."""

GAPS = {
    "rising": [None if n % 7 in {0, 3, 4} or 50 < n < 80 or n < 5 or n > 140 else float(n) for n in range(145)],
    "falling": [None if n % 5 == 0 else float(-n) for n in range(145)],
    "flat": [None if n % 4 == 0 else 0.0 for n in range(145)],
    "single": [3.0 if n == 90 else None for n in range(145)],
    "none": [None],
}
PLAUSIBLE = {
    **{"aggFunc": "sum", "aggOrSeriesFunc": "sum", "any": "10", "boolean": "true", "date": "-20min", "float": "5"},
    **{"integer": "2", "interval": "5min", "intOrInterval": "5min", "intOrInf": "3", "node": "1", "nodeOrTag": "1"},
    **{"tag": "name", "string": "x"},
}
"""What to give for each type of parameter."""

SPECIAL = {
    ("applyByNode", "templateFunction"): "sumSeries(%.*)",
    ("reduce", "reduceFunction"): "asPercent",
    ("reduceSeries", "reduceFunction"): "asPercent",
    ("useSeriesAbove", "search"): "^(.*)$",
    ("useSeriesAbove", "replace"): r"\1",
    ("integralByInterval", "intervalUnit"): "1min",
    ("color", "theColor"): "red",
    ("threshold", "color"): "red",
    ("verticalLine", "color"): "red",
    ("cactiStyle", "units"): "b",
    ("seriesByTag", "tagExpressions"): "name=gaps.rising",
}


def values(function, parameter, series):
    """What may be given for a parameter, as it is written in a target."""
    if parameter["type"] in {"seriesList", "seriesLists"}:
        return [series]
    offered = [value for value in parameter.get("options") or [] if value is not None]
    offered = offered or [SPECIAL.get((function, parameter["name"])) or PLAUSIBLE[parameter["type"]]]
    words = [str(value).lower() if isinstance(value, bool) else str(value) for value in offered]
    return [word if re.fullmatch(r"-?[\d.]+|true|false", word) else f"'{word}'" for word in words]


def calls(choices, needed):
    """Arguments: what must be given, then one more at a time; of each all of its choices, of the others the first."""
    found = []
    for count in range(needed, len(choices) + 1):
        first = [choice[0] for choice in choices[:count]]
        found += [[*first[:n], word, *first[n + 1 :]] for n in range(count) for word in choices[n]] or [first]
    return found


def asked(function, parameters):
    """Groups of targets, each with the format: all that may be chosen over gaps, less over no points and no series."""
    needed = max((n for n, parameter in enumerate(parameters, start=1) if parameter.get("required")), default=0)

    def targets(series, most):
        choices = [values(function, parameter, series)[:most] for parameter in parameters]
        return sorted({f"{function}({','.join(words)})" for words in calls(choices, needed)})

    return [
        (targets("gaps.*", None), "json"),
        (targets("gaps.*", 1) + targets("gaps.none", 1), "svg"),
        (targets("gaps.none", 1) + targets("gaps.nothing", 1), "json"),
    ]


@pytest.fixture(scope="module")
def gaps(host):
    """Series with gaps below gaps.*, and one without a point."""
    host.check_output(f"printf %s '{json.dumps(GAPS)}' | python3 -c '{SERIES}'")
    yield
    host.check_output("rm -r /var/lib/graphite/whisper/gaps")


def test_every_function_draws_over_gaps_or_is_listed(site, gaps):
    functions = json.loads(site.request("/functions/")["body"])
    assert len(functions) > 140
    groups = [group for name, function in sorted(functions.items()) for group in asked(name, function["params"])]
    failed = {}
    # What goes with a command is bounded.
    for start in range(0, len(groups), 100):
        failed |= json.loads(site.python(CALL, groups[start : start + 100]))
    assert {target: said for target, said in failed.items() if said[0] != 400} == {}
    listed = re.findall(r"^\| `.*?\|", DOCUMENT.read_text().partition("## Not repaired")[2], re.MULTILINE)
    names = set(re.findall(r"`(\w+)`", " ".join(listed)))
    broken = {target: said for target, (_, said) in failed.items() if " cannot draw this: " in said}
    assert {target: said for target, said in broken.items() if target.partition("(")[0] not in names} == {}


@pytest.mark.parametrize(
    ("target", "drawn"),
    [
        # 1 in 10 s where two points are neighbours; without the bound graphite-web's own draws the same.
        ("perSecond(gaps.rising,1000)", {"perSecond(gaps.rising)": {0.1}}),
        ("nonNegativeDerivative(gaps.rising,1000)", {"nonNegativeDerivative(gaps.rising)": {1.0}}),
        ("useSeriesAbove(gaps.*,100,'rising','falling')", {"gaps.falling"}),
        ("averageOutsidePercentile(gaps.*,90)", {"gaps.falling", "gaps.rising"}),
        ("removeBetweenPercentile(gaps.*,60)", {"gaps.falling", "gaps.rising", "gaps.flat", "gaps.single"}),
    ],
)
def test_what_is_mended_draws_what_there_is(site, gaps, target, drawn):
    series = site.render(target, "-25min")
    assert (
        set(series) == set(drawn)
        if isinstance(drawn, set)
        else {name: set(points.values()) for name, points in series.items()} == drawn
    )


def test_a_function_that_fails_says_its_name_and_why(site, gaps):
    answer = site.request("/render?target=areaBetween(gaps.rising)&format=json")
    assert answer["status"] == 400
    assert answer["body"].startswith("areaBetween cannot draw this: AssertionError: areaBetween series argument")
