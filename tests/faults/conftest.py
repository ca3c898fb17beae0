"""The rows of the reliability scoreboard: each a fault, numbered metrics through it, and what must hold.

    python -m pytest tests/faults --ansible-inventory=INVENTORY --hosts=ansible://HOST
        [-m smoke] [-k r04] [--seeds N] [--write-docs]

`make test-faults` makes a host and runs them all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule/shared"))

import site_under_test
from report import Result, write_docs
from shared_conftest import inventory, pytest_runtest_makereport, site
from site_under_test import Site
from trial import Trial
from verdict import RECOVERY

__all__ = ["inventory", "pytest_runtest_makereport", "site"]

RESULTS: list[Result] = []
SENDERS = ("photoworld-visitors.service", "photoworld.service", "photoworld.socket")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what a run of the rows may be given."""
    group = parser.getgroup("faults")
    group.addoption("--seeds", type=int, default=5, help="how often each row runs, each time another way (5)")
    group.addoption("--write-docs", action="store_true", help="write the figures to docs/reliability.md")
    group.addoption("--recovery", type=float, default=RECOVERY, help="seconds that a recovery may take (60)")
    group.addoption("--web", default=None, help="where the web server answers on the host (http://127.0.0.1:80)")


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers."""
    config.addinivalue_line("markers", "faults: a row of the reliability scoreboard; needs a graphing server")
    config.addinivalue_line("markers", "smoke: one of the six rows that every test run includes")
    config.addinivalue_line("markers", "row(number, title): which row a test is")
    if config.getoption("web"):
        Site.web = config.getoption("web")
    site_under_test.DEADLINE = max(site_under_test.DEADLINE, config.getoption("recovery"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each row with each seed."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("seeds")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all rows."""
    for item in items:
        if item.get_closest_marker("row"):
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def trial(
    request: pytest.FixtureRequest, site: Site, calm: None, seed: int, capsys: pytest.CaptureFixture[str]
) -> Iterator[Trial]:
    """One row with one seed; its result is printed and kept when it is over."""
    number, title = request.node.get_closest_marker("row").args
    result = Result(number, title, seed, f"make test-faults ROWS=r{int(number[1:]):02}")
    trial = Trial(site, result, request.config.getoption("recovery"))
    failed = request.session.testsfailed
    yield trial
    result.passed = request.session.testsfailed == failed and bool(result.at_risk)
    RESULTS.append(result)
    with capsys.disabled():
        print(f"\n{result}")
    assert result.at_risk, "nothing was at risk: the run proves nothing"


@pytest.fixture
def calm(host: Any, site: Site) -> Iterator[None]:
    """A host on which nobody else sends events, so that the aggregator's counters are the oracle's alone."""
    senders = [unit for unit in SENDERS if host.service(unit).is_running]
    host.check_output("systemctl stop " + " ".join(senders) if senders else "true")
    began = time.time()

    def silent() -> bool:
        points = site.render("statsd.packets.count", "-1min").get("statsd.packets.count", {})
        after = [value for stamp, value in points.items() if stamp > began + site.interval]
        return bool(after) and after[-1] == 0

    if senders:
        site.until(silent)
    yield
    host.check_output("systemctl start " + " ".join(reversed(senders)) if senders else "true")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table if asked to."""
    if RESULTS and session.config.getoption("write_docs"):
        write_docs(RESULTS, session.config.stash[SYSTEM])


SYSTEM = pytest.StashKey[str]()


@pytest.fixture(autouse=True)
def system(request: pytest.FixtureRequest, host: Any) -> None:
    """Remember what the rows run on."""
    if SYSTEM not in request.config.stash:
        about = host.system_info
        cores = host.check_output("nproc")
        request.config.stash[SYSTEM] = f"{about.distribution} {about.release}, {cores} cores"
