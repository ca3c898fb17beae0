"""The command `photoworld`: serve the forum, or simulate its visitors."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from photoworld import __version__, db, settings


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if options.command == "serve":
        return _serve()
    return _simulate(options)


def _serve() -> int:
    """Check what can be checked, then become gunicorn: the process keeps its number and its sockets."""
    try:
        configuration = settings.from_environment(os.environ)
        db.create(configuration.database)
    except settings.SettingsError as error:
        return _fail(str(error))
    except db.DatabaseError as error:
        return _fail(f"PHOTOWORLD_DATABASE={error}")
    command = [sys.executable, "-m", "gunicorn", "--config", "python:photoworld.gunicorn_conf"]
    return os.execv(sys.executable, command)  # noqa: S606  - no shell is wanted


def _simulate(options: argparse.Namespace) -> int:
    # Imported here: the server has no use for the memory of an HTTP client.
    from photoworld.simulate import run  # noqa: PLC0415

    logging.getLogger("httpx").setLevel(logging.WARNING)
    return run.main(
        run.Plan(
            url=options.url,
            visitors=options.visitors,
            rate=options.rate,
            period=options.period,
            think=options.think,
            duration=options.duration,
            accounts=options.accounts,
            seed=options.seed,
        )
    )


def _fail(message: str) -> int:
    print(f"photoworld: {message}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="photoworld", description="A small forum for photographs.")
    parser.add_argument("--version", action="version", version=f"photoworld {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="run the forum (settings: PHOTOWORLD_* in the environment)")
    simulate = commands.add_parser("simulate", help="visit the forum like people do")
    add = simulate.add_argument
    add("--url", type=_url, default="http://127.0.0.1:8090", help="http://…, https://… or unix:/path")
    add("--visitors", type=_whole, default=20, metavar="N", help="at most so many at a time (20)")
    add(
        "--rate",
        type=_positive,
        default=0.2,
        metavar="R",
        help="visitors that come per second, on average (0.2)",
    )
    add("--period", type=_positive, default=600.0, metavar="S", help="seconds from peak to peak (600)")
    add("--think", type=_positive, default=2.0, metavar="S", help="seconds between two clicks, on average (2)")
    add("--duration", type=_not_negative, default=0.0, metavar="S", help="seconds until the end; 0: for ever")
    add("--accounts", type=_whole, default=1000, metavar="N", help="accounts that the visitors share (1000)")
    add("--seed", default="1", help="any text; the same text means the same accounts and choices (1)")
    return parser


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://", "unix:/")):
        raise argparse.ArgumentTypeError(f"{text!r} starts with none of http://, https://, unix:/")
    return text.rstrip("/")


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 100000")
    return int(text)


def _positive(text: str) -> float:
    number = _not_negative(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return number


def _not_negative(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return number
