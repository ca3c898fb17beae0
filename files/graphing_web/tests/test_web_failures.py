"""What is said when a function of graphite-web fails over what it was given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from graphing_web.failures import DatabaseError, Failures, failed_function

PACKAGES = "/usr/lib/python3/dist-packages/graphite"


def raised(*frames: tuple[str, str], error: str = "TypeError('no points')") -> Exception:
    """An error that went through functions of files, outermost first."""
    scope: dict[str, Any] = {"DatabaseError": DatabaseError}
    inner = f"raise {error}"
    for file, name in reversed(frames):
        exec(compile(f"def {name}():\n    {inner}", f"{PACKAGES}/{file}", "exec"), scope)
        inner = f"{name}()"
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the test's to say
        scope[frames[0][1]]()
    return caught.value


VIEW = ("render/views.py", "renderView")


@pytest.mark.parametrize(
    ("frames", "name"),
    [
        ([VIEW, ("render/functions.py", "highest"), ("render/functions.py", "key")], "highest"),
        ([VIEW, ("render/evaluator.py", "evaluate")], "render"),
        ([VIEW, ("functions/aggfuncs.py", "safe")], "render"),
    ],
)
def test_a_function_that_cannot_draw_is_named(frames: list[tuple[str, str]], name: str) -> None:
    assert failed_function(raised(*frames)) == name


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([VIEW, ("render/datalib.py", "fetchData")], "TypeError()"),
        ([VIEW, ("storage.py", "find")], "TypeError()"),
        ([VIEW, ("render/functions.py", "highest")], "MemoryError()"),
        ([VIEW, ("render/functions.py", "highest")], "OSError()"),
        ([VIEW, ("render/functions.py", "highest")], "DatabaseError()"),
    ],
)
def test_what_is_no_function_s_fault_is_left_to_django(frames: list[tuple[str, str]], error: str) -> None:
    assert failed_function(raised(*frames, error=error)) is None


@pytest.mark.parametrize(("view", "status"), [("render", 400), ("metrics_find", None)])
def test_the_answer_is_400_with_the_name_where_something_is_drawn(view: str, status: int | None) -> None:
    asked = SimpleNamespace(resolver_match=SimpleNamespace(view_name=view))
    answer = Failures(lambda _: None).process_exception(asked, raised(VIEW, ("render/functions.py", "highest")))
    assert (answer and answer.status_code) == status
    if answer:
        assert answer.content == "highest cannot draw this: TypeError: no points\n"


def test_what_is_no_error_stays_as_it_is() -> None:
    assert Failures(lambda asked: asked)("answer") == "answer"
