"""A worker that a query has made large gives its memory back by ending."""

from types import SimpleNamespace

import pytest

from graphing_web import gunicorn_conf


@pytest.mark.parametrize(("mib", "goes_on"), [(256, True), (257, False)])
def test_a_large_worker_ends_after_its_request(monkeypatch: pytest.MonkeyPatch, mib: int, goes_on: bool) -> None:
    monkeypatch.setattr(gunicorn_conf, "resident_mib", lambda: mib)
    worker = SimpleNamespace(alive=True)
    gunicorn_conf.post_request(worker, None, None, None)
    assert worker.alive is goes_on


def test_the_memory_of_a_process_is_known() -> None:
    assert 1 < gunicorn_conf.resident_mib() < 10_000
