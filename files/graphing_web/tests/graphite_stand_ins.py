"""Stand-ins for Django and graphite-web, which come with Debian: as much of them as these tests need.

How the package does with the real ones is seen on a host (molecule/default: test_security_web.py, test_functions.py,
side_effect.yml).
"""

from __future__ import annotations

import contextlib
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit


class Answer(SimpleNamespace):
    """What a view gives back."""

    def __init__(self, content: Any = "", status: int = 200, **headers: str) -> None:
        super().__init__(content=content, status_code=status, headers=dict(headers))


class Redirect(Answer):
    """An answer that sends a browser elsewhere."""

    def __init__(self, address: str) -> None:
        super().__init__(status=302, Location=address)


class Refusal(Answer):
    """An answer in JSON."""

    def __init__(self, content: Any, status: int = 200) -> None:
        super().__init__(json.dumps(content), status)


class DatabaseError(Exception):
    """Django's."""


class Rows(list[Any]):
    """The rows of a table; `objects` of a model."""

    def filter(self, **wanted: str) -> Rows:
        return Rows(row for row in self if all(getattr(row, name) == value for name, value in wanted.items()))

    def first(self) -> Any:
        return self[0] if self else None


def stand_in(name: str, **content: Any) -> None:
    """Make a module, and the packages that it lies in."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        path = ".".join(parts[:length])
        module = sys.modules.setdefault(path, ModuleType(path))
        if length > 1:
            setattr(sys.modules[".".join(parts[: length - 1])], parts[length - 1], module)
    sys.modules[name].__dict__.update(content)


def delta(value: float, previous: float | None, maximum: float | None, minimum: float | None) -> Any:
    """Compare a step with its bounds, as graphite-web does; a gap cannot be compared."""
    return (value - (previous or 0), value) if value > (minimum or 0) else (None, None)


def points(series: list[Any], *_: object) -> list[Any]:
    """Return what a function of graphite-web was given, without a look at it."""
    return series


stand_in("django", setup=lambda: None)
stand_in("django.conf", settings=SimpleNamespace(LOGIN_URL="/account/login", LOGIN_TO_READ=False))
stand_in("django.core.management", call_command=lambda *_, **__: None)
stand_in(
    "django.db",
    Error=DatabaseError,
    connection=None,
    transaction=SimpleNamespace(atomic=contextlib.nullcontext),
)
stand_in("django.db.migrations.executor", MigrationExecutor=None)
stand_in(
    "django.http",
    HttpResponse=lambda content, status, content_type: Answer(content, status, content_type=content_type),
    HttpResponseRedirect=Redirect,
    JsonResponse=Refusal,
    response=SimpleNamespace(),
)
stand_in("django.utils.http", url_has_allowed_host_and_scheme=lambda url, hosts: urlsplit(url).netloc in {"", *hosts})
stand_in("django.contrib.auth.hashers", check_password=lambda password, stored: stored == f"hash of {password}")
stand_in("django.contrib.auth.models", User=None)
stand_in("graphite.logger", log=SimpleNamespace(warning=lambda *_: None))
stand_in("graphite.dashboard.models", Dashboard=None)
stand_in(
    "graphite.render.functions",
    _nonNegativeDelta=delta,
    _getPercentile=lambda column, percent: sorted(value for value in column if value is not None)[
        -1 if percent > 50 else 0
    ],
    averageOutsidePercentile=lambda _context, series, _n: series,
    removeBetweenPercentile=points,
    useSeriesAbove=lambda _context, series, *_: series,
)
