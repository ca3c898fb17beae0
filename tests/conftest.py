"""Plugins of roles, loaded as the files they are."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import patient  # noqa: F401 - for its profile of Hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def load() -> Callable[[str], ModuleType]:
    def load_file(path: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load_file
