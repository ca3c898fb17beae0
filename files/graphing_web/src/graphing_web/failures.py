"""What is said when a function of graphite-web fails over what it was given: status 400 with its name, not 500.

Some of its functions break over gaps, over a series without points or over too few series; docs/graphs.md lists them.
"""

import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from django.db import Error as DatabaseError
from django.http import HttpResponse
from graphite.logger import log

# Where numbers are fetched: what fails there is no fault of the function.
FETCHES = ("render", "datalib.py")


def own_frames(error: BaseException) -> list[tuple[str, str, str]]:
    """Return where in graphite-web the error was, outermost first: directory, file, function."""
    frames = [(PurePath(frame.filename).parts, frame.name) for frame in traceback.extract_tb(error.__traceback__)]
    return [(parts[-2], parts[-1], name) for parts, name in frames if "graphite" in parts[:-1]]


def failed_function(error: BaseException) -> str | None:
    """Return the function of a target that raised the error, or None if something else went wrong than drawing."""
    frames = own_frames(error)
    if isinstance(error, MemoryError | OSError | DatabaseError) or not frames:
        return None
    if frames[-1][:2] == FETCHES or frames[-1][0] not in {"render", "functions"}:
        return None
    return next((name for _, file, name in frames if file == "functions.py"), "render")


class Failures:
    """The middleware."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        """Leave what is no error as it is."""
        return self.get_response(request)

    def process_exception(self, request: Any, error: Exception) -> Any:
        """Return the answer to a target that cannot be drawn; None leaves the error to Django."""
        name = failed_function(error) if request.resolver_match.view_name == "render" else None
        if name is None:
            return None
        said = f"{name} cannot draw this: {type(error).__name__}: {error}"
        log.warning("%s", said)
        return HttpResponse(f"{said}\n", status=400, content_type="text/plain; charset=utf-8")
