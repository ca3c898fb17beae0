"""More series than there were."""

import json

import pytest
from site_under_test import GRAPHING_PYTHON
from verdict import CONSOLE, WHISPER

SERIES = 100_000
SECONDS = 60

NEW_SERIES = """
import json, socket, sys, time
name, count, seconds = json.load(sys.stdin)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
start = time.monotonic()
for first in range(0, count, 50):
    time.sleep(max(0.0, start + seconds * first / count - time.monotonic()))
    lines = "\\n".join(f"{name}.new.s{number}:{number}|g" for number in range(first, first + 50))
    out.sendto(lines.encode(), ("127.0.0.1", 8125))
"""

LATENESS = """
import json, ssl, sys, time, urllib.request
from pathlib import Path
from graphing.whisperfile.slots import newest as slots
web, authority, target, path, seconds = json.load(sys.stdin)
trust = ssl.create_default_context(cafile=authority) if web.startswith("https:") else None
worst = {"render": 0.0, "disk": 0.0}
end = time.monotonic() + seconds
def newest_in_file():
    now = time.time()
    return max(slots(Path(path), now - 3600, now))
while time.monotonic() < end:
    page = f"{web}/render?format=json&from=-5min&target={target}"
    with urllib.request.urlopen(page, timeout=30, context=trust) as answer:
        points = json.load(answer)[0]["datapoints"]
    newest = max(stamp for value, stamp in points if value is not None)
    worst["render"] = max(worst["render"], time.time() - newest - 10)
    worst["disk"] = max(worst["disk"], time.time() - newest_in_file() - 10)
    time.sleep(1)
print(json.dumps(worst))
"""
"""How many seconds after its due time a point of a series was there, at worst: by /render, and in the file."""


@pytest.fixture
def forgotten(trial):
    """A host that forgets the new series afterwards."""
    yield
    trial.site.python(CONSOLE, f"delgauges {trial.name}.new.*")
    # Carbon may still have some to create.
    forget = f"rm -rf {WHISPER}/stats/{trial.name.replace('.', '/')}/new"
    trial.site.until(lambda: trial.site.host.run(forget).rc == 0, seconds=300)


@pytest.mark.busy
@pytest.mark.row("R15", "100,000 new series in a minute")
@pytest.mark.usefixtures("forgotten")
def test_r15_many_series(trial):
    site = trial.site
    folder = f"{WHISPER}/stats/{trial.name.replace('.', '/')}"
    series = f"stats.{trial.name}.e0.count"
    with trial.oracle() as oracle:
        site.until(lambda: site.host.file(f"{folder}/e0/count.wsp").exists)
        given = json.dumps([f"{trial.name}", SERIES, SECONDS])
        site.host.check_output(
            "systemd-run --quiet --collect --unit=graphing-new-series sh -c %s",
            f"printf %s '{given}' | python3 -c '{NEW_SERIES}'",
        )
        file = f"{folder}/e0/count.wsp"
        asked = [site.web, site.authority, series, file, SECONDS + 60]
        late = json.loads(site.python(LATENESS, asked, GRAPHING_PYTHON))
    trial.result.at_risk = (
        f"{SERIES:,} new series; a point of an old one was at most {late['render']:.0f} s late on the page, "
        f"{late['disk']:.0f} s in its file"
    )
    assert late["render"] < 30
    trial.conclude(oracle.ledger, also=SERIES)
    created = files(site, folder)
    refused = site.render("statsd.refused.count", "-5min")["statsd.refused.count"].values()
    assert created + sum(refused) == SERIES, f"{created:,} series, and {sum(refused):,} refused"


def files(site, folder):
    """How many of the new series have a file."""
    return int(site.host.check_output(f"find {folder}/new -name '*.wsp' | wc -l"))
