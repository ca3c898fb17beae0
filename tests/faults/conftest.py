"""The rows of the reliability scoreboard: each a fault, numbered metrics through it, and what must hold.

    python -m pytest tests/faults --ansible-inventory=INVENTORY --hosts=ansible://HOST
        [-m smoke] [-k r04] [--seeds N] [--write-docs]

`make test-faults` makes a host and runs them all.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule/shared"))

import faults
import site_under_test
from report import Alarmed, Result, write_alarms, write_docs
from shared_conftest import inventory, pytest_runtest_logreport, pytest_runtest_makereport, site
from site_under_test import Site
from trial import Trial
from verdict import RECOVERY

__all__ = ["inventory", "pytest_runtest_logreport", "pytest_runtest_makereport", "site"]

RESULTS: list[Result] = []
ALARMED: list[Alarmed] = []
SENDERS = ("photoworld-visitors.service", "photoworld.service", "photoworld.socket", faults.WATCHDOG)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what a run of the rows may be given."""
    group = parser.getgroup("faults")
    group.addoption("--seeds", type=int, default=5, help="how often each row runs, each time another way (5)")
    group.addoption("--write-docs", action="store_true", help="write the figures to docs/reliability.md")
    group.addoption("--recovery", type=float, default=RECOVERY, help="seconds that a recovery may take (60)")


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers."""
    config.addinivalue_line("markers", "faults: a row of the reliability scoreboard; needs a graphing server")
    config.addinivalue_line("markers", "alarms: a fault and the alarms that it turns on")
    config.addinivalue_line("markers", "smoke: one of the six rows of `molecule test -s faults`")
    config.addinivalue_line("markers", "busy: after it the host is busy for a while")
    config.addinivalue_line("markers", "row(number, title): which row a test is")
    site_under_test.DEADLINE = max(site_under_test.DEADLINE, config.getoption("recovery"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each row with each seed."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("seeds")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all rows; the one after which the host is busy for a while comes last."""
    for item in items:
        if item.get_closest_marker("row"):
            item.add_marker(pytest.mark.faults)
    items.sort(key=lambda item: item.get_closest_marker("busy") is not None)


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
def alarmed(capsys: pytest.CaptureFixture[str]) -> Callable[[Alarmed], None]:
    """Print and keep which alarms a fault has turned on."""

    def keep(found: Alarmed) -> None:
        ALARMED.append(found)
        with capsys.disabled():
            print(f"\n{found}")

    return keep


@pytest.fixture
def calm(site: Site) -> Iterator[None]:
    """A host on which nobody else sends events, so that the aggregator's counters are the oracle's alone."""
    senders = [unit for unit in SENDERS if site.host.service(unit).is_running]
    began = time.time()

    def silent() -> bool:
        points = site.render("statsd.packets.count", "-1min").get("statsd.packets.count", {})
        after = [value for stamp, value in points.items() if stamp > began + site.interval]
        return bool(after) and after[-1] == 0

    with contextlib.ExitStack() as stack:
        if senders:
            stack.enter_context(faults.stopped(site, *senders))
            site.until(silent)
        yield


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the tables if asked to."""
    if not session.config.getoption("write_docs"):
        return
    if RESULTS:
        write_docs(RESULTS, session.config.stash[SYSTEM])
    if ALARMED:
        write_alarms(ALARMED, session.config.stash[SYSTEM])


SYSTEM = pytest.StashKey[str]()


@pytest.fixture(autouse=True)
def system(request: pytest.FixtureRequest, host: Any) -> None:
    """Remember what the rows run on."""
    if SYSTEM not in request.config.stash:
        about = host.system_info
        cores = host.check_output("nproc")
        request.config.stash[SYSTEM] = f"{about.distribution} {about.release}, {cores} cores"
