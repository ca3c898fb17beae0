"""The command `graphing`: one sub-command per daemon, and those that work on stored series.

Exit codes: 0 for a clean stop or a good configuration, 1 for a failure while running,
2 for a command line or a configuration that can't be used.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from graphing import __version__
from graphing.config import ConfigError
from graphing.log import set_up_logging
from graphing.statsd import server as statsd
from graphing.statsd import tail
from graphing.statsd.settings import Settings, read_settings
from graphing.store import options as store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sub-command named in `arguments` (default: the process's own); return the exit code."""
    options = _parser().parse_args(arguments)
    if options.daemon in store.COMMANDS:
        return int(options.run(options))
    if options.daemon == "statsd" and options.what == "tail":
        return tail.run(options.host, options.port, options.pattern, options.seconds, sys.stdout)
    try:
        settings = read_settings(options.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if options.check:
        print(f"{options.config}: ok")
        return 0
    set_up_logging()
    return statsd.main(settings, options.config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="graphing", description=__doc__.partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"graphing {__version__}")
    daemons = parser.add_subparsers(dest="daemon", required=True, metavar="DAEMON")
    command = daemons.add_parser("statsd", help="aggregate StatsD datagrams and send them to carbon")
    command.add_argument("--config", type=Path, default=Path("/etc/graphing/statsd.toml"), metavar="FILE")
    command.add_argument("--check", action="store_true", help="check the configuration and stop")
    others = command.add_subparsers(dest="what", metavar="WHAT")
    live = others.add_parser("tail", help="show the live buckets of a running aggregator, by its console")
    live.add_argument("pattern", nargs="?", default="", metavar="PATTERN", help="a part of the buckets' names")
    console = Settings().console
    live.add_argument("--host", default=console.host, help=f"where the console listens ({console.host})")
    live.add_argument("--port", type=int, default=console.port, help=f"its port ({console.port})")
    live.add_argument("--seconds", type=float, default=0.0, help="how long to show them (0: until Ctrl-C)")
    store.add_parsers(daemons)
    return parser
