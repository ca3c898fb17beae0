"""What every scenario's tests need (each links to this file), and the journal of the host when one fails."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from site_under_test import Site

FAILED = Path(__file__).resolve().parents[2] / ".cache/molecule/failed"
"""What failed, a line for each test: Molecule's own last words follow the tests' and fill a screen."""

LOGIN = os.environ.get("SITE_LOGIN", "")


@pytest.fixture
def site(host: Any) -> Site:
    """The graphing server under test, by a person who is logged in where one must be."""
    found = Site(host)
    if LOGIN and not Site.headers:
        user, _, password = LOGIN.partition(":")
        Site.headers = {"Cookie": found.log_in(user, password)}
    return found


@pytest.fixture(scope="session")
def inventory(request: pytest.FixtureRequest) -> Path:
    """The inventory that the tests were given, for playbooks that a test runs."""
    return Path(request.config.option.ansible_inventory)


@pytest.fixture
def session(host: Any, site: Site, inventory: Path) -> str:
    """The cookie of the superuser's session."""
    secret = inventory / "secrets" / host.check_output("hostname") / "graphite_web_admin_password"
    return site.log_in("admin", secret.read_text().strip())


@pytest.fixture(scope="session")
def dropped_on_purpose() -> Counter[str]:
    """Datagrams that a test has had the kernel drop, by the host's name: no others may be missing."""
    return Counter()


@pytest.fixture
def updates_per_second(host: Any) -> Iterator[Callable[[int], None]]:
    """Set how fast carbon-cache writes: with a few points a second, its cache stays full."""
    config = "/etc/carbon/carbon.conf"
    host.check_output(f"cp --preserve {config} {config}.before")

    def change(number: int) -> None:
        host.check_output(f"sed -i 's/^MAX_UPDATES_PER_SECOND = .*/MAX_UPDATES_PER_SECOND = {number}/' {config}")

    yield change
    host.check_output(f"mv {config}.before {config}")
    host.check_output("systemctl kill --signal=KILL carbon-cache@a")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the journal of the host to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's result of a hook wrapper
    if report.when == "call" and report.failed and isinstance(item, pytest.Function) and "host" in item.funcargs:
        host: Any = item.funcargs["host"]
        journal = host.run("journalctl --no-pager -n 60 -p info -o short-precise")
        report.sections.append(("journal of the host", journal.stdout))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what failed where `make test` shows it in the end."""
    if not report.failed:
        return
    why = getattr(getattr(report.longrepr, "reprcrash", None), "message", str(report.longrepr)).partition("\n")[0]
    FAILED.parent.mkdir(parents=True, exist_ok=True)
    with FAILED.open("a") as failed:
        scenario = os.environ.get("MOLECULE_SCENARIO_NAME", "faults")
        failed.write(f"{scenario} {report.nodeid} ({report.when}): {why[:300]}\n")
