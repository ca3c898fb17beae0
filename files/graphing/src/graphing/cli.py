"""The command `graphing`: one sub-command per daemon, and those of the people who look after a server.

Exit codes: 0 for a clean stop or a good configuration, 1 for a failure while running,
2 for a command line or a configuration that can't be used. `doctor` has its own meaning for 1 and 2.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from graphing import __version__, doctor, sniff
from graphing.backup import options as backup
from graphing.checks.settings import read_settings as read_checks
from graphing.checks.verdict import KINDS
from graphing.core.config import ConfigError
from graphing.core.log import set_up_logging
from graphing.statsd import server as statsd
from graphing.statsd.admin import tail
from graphing.statsd.settings import StatsdSettings, read_settings
from graphing.store import options as store
from graphing.watchdog import server as watchdog

_LONGEST_WAIT = 86_400


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sub-command named in `arguments` (default: the process's own); return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="graphing", description=__doc__.partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"graphing {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_statsd(commands)
    _add_doctor(commands)
    _add_watchdog(commands)
    _add_sniff(commands)
    store.add_parsers(commands)
    backup.add_parser(commands)
    return parser


_Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add_statsd(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("statsd", help="aggregate StatsD datagrams and send them to carbon")
    command.add_argument("--config", type=Path, default=Path("/etc/graphing/statsd.toml"), metavar="FILE")
    command.add_argument("--check", action="store_true", help="check the configuration and stop")
    command.set_defaults(run=_run_statsd)
    others = command.add_subparsers(metavar="WHAT")
    live = others.add_parser("tail", help="show the live buckets of a running aggregator, by its console")
    live.add_argument("pattern", nargs="?", default="", metavar="PATTERN", help="a part of the buckets' names")
    console = StatsdSettings().console
    live.add_argument("--host", default=console.host, help=f"where the console listens ({console.host})")
    live.add_argument("--port", type=int, default=console.port, help=f"its port ({console.port})")
    live.add_argument("--seconds", type=float, default=0.0, help="how long to show them (0: until Ctrl-C)")
    live.set_defaults(run=lambda found: tail.run(found.host, found.port, found.pattern, found.seconds, sys.stdout))


def _run_statsd(options: argparse.Namespace) -> int:
    settings = read_settings(options.config)
    if options.check:
        return _good(options.config)
    set_up_logging()
    return statsd.main(settings, options.config)


def _add_doctor(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "doctor",
        help="follow a number through this host and say what is wrong",
        description="Follows a number through this host and says what is wrong. Run it as root. "
        "Exit status: 0 all well, 1 warnings alone, 2 something failed, or it could not look.",
    )
    command.add_argument("--config", type=Path, default=Path("/etc/graphing/checks.toml"), metavar="FILE")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    command.add_argument(
        "--only",
        action="append",
        default=[],
        choices=sorted(KINDS),
        metavar="CHECK",
        help=f"look at this alone (repeatable): {', '.join(sorted(KINDS))}",
    )
    command.add_argument(
        "--wait", type=_wait_seconds, default=0.0, metavar="SECONDS", help="look again for so long until all is well"
    )
    command.set_defaults(
        run=lambda found: doctor.run(read_checks(found.config), found.json, sys.stdout, found.only, found.wait)
    )


def _wait_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {_LONGEST_WAIT}")
    return seconds


def _add_watchdog(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("watchdog", help="look at this host again and again, and say when something changes")
    command.add_argument("--config", type=Path, default=Path("/etc/graphing/checks.toml"), metavar="FILE")
    command.add_argument("--check", action="store_true", help="check the configuration and stop")
    command.set_defaults(run=_run_watchdog)


def _run_watchdog(options: argparse.Namespace) -> int:
    settings = read_checks(options.config)
    if options.check:
        return _good(options.config)
    set_up_logging()
    return watchdog.main(settings)


def _add_sniff(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("sniff", help="show the events and lines that come in, by ngrep, and count them")
    sniff.add_arguments(command)
    command.set_defaults(run=lambda found: sniff.run(sniff.read_options(found), sys.stdout))


def _good(config: Path) -> int:
    print(f"{config}: ok")
    return 0
