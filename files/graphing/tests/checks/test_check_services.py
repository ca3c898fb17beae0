"""Units that must run."""

import pytest
from checks_support import FAIL, OK

from graphing.checks import services
from graphing.checks.services import Unit

RUNNING = [Unit("statsd.service", "active", "running"), Unit("statsd.socket", "active", "running")]


@pytest.mark.parametrize("how", [("failed", "failed"), ("inactive", "dead"), ("activating", "auto-restart")])
def test_a_service_that_does_not_run_is_named(how):
    found = services.judge("graphing.target", [*RUNNING, Unit("carbon-cache@a.service", *how)])
    assert found.state is FAIL
    assert found.what == f"carbon-cache@a.service is {how[0]} ({how[1]})"
    assert found.remedy.startswith("systemctl start carbon-cache@a.service;")


def test_services_that_run_are_counted():
    assert services.judge("graphing.target", RUNNING).what == "2 units of graphing.target are running"
    assert services.judge("graphing.target", [Unit("a.service", "reloading", "reload")]).state is OK
    assert services.judge("graphing.target", []).state is FAIL
