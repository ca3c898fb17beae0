"""Both engines for the tests that want them."""

import sys

import patient  # noqa: F401 - for its profile of Hypothesis
import pytest
from programs import no_program_outlives_its_test
from support import TWIN

from graphing.statsd.engine import compiled

sys.path.insert(0, str(TWIN))

__all__ = ["no_program_outlives_its_test"]

ENGINES = ["python", "compiled"]


def pytest_report_header():
    return "" if compiled.is_available() else "no compiled engine: bin/twin needs a C compiler and Python's headers"


@pytest.fixture(params=ENGINES)
def engine_name(request):
    if request.param == "compiled" and not compiled.is_available():
        pytest.skip("the compiled engine is not built: bin/twin")
    return request.param
