"""Inputs that fuzzing found interesting, or that once failed: see fuzz/README.md."""

import sys

import pytest
from support import PACKAGE

from graphing.statsd.engine.compiled import is_available

FUZZ = PACKAGE / "fuzz"
INPUTS = sorted((FUZZ / "corpus").iterdir())

sys.path.insert(0, str(FUZZ))

pytestmark = pytest.mark.skipif(not is_available(), reason="the compiled engine is not built: bin/twin")


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_input(path):
    from fuzz_engines import run  # noqa: PLC0415 - needs the compiled engine

    run(path.read_bytes())
