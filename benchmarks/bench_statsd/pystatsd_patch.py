"""pystatsd's server is written for Python 2. These are all the changes that it needs to run on Python 3.

None of them touches how it receives, parses, aggregates or prints.
"""

import re

from bench_statsd.tools import TroubleError

_CHANGES = [
    # Modules that only its transport to Ganglia and its running in the background need.
    ("import gmetric\n", ""),
    (
        "from daemon import Daemon\n",
        "class Daemon(object):\n    def __init__(self, pidfile):\n        pass\n",
    ),
    # Syntax.
    ("except Exception, e:", "except Exception as e:"),
    ("except socket.error, e:", "except socket.error as e:"),
    # It deletes from its dictionaries while it goes through them: Python 2 made a list first.
    ("self.counters.items()", "list(self.counters.items())"),
    ("self.gauges.items()", "list(self.gauges.items())"),
    ("self.timers.items()", "list(self.timers.items())"),
    # Bytes and text.
    ("self.process(data)\n", "self.process(data.decode())\n"),
    ("graphite.sendall(stat_string)", "graphite.sendall(stat_string.encode())"),
    # `/` between whole numbers.
    ("(self.flush_interval / 1000)", "(self.flush_interval // 1000)"),
    ("self.flush_interval / 1000,", "self.flush_interval // 1000,"),
    ("types.IntType", "int"),
]

# In Python 2's print statements, of which some go on in a second line.
_PRINT = re.compile(r"^( *)print ((?:.*\\\n)?.*)$", re.MULTILINE)


def to_python3(source: str) -> str:
    """Return the source of its server with the changes made; raise TroubleError if one does not fit."""
    for old, new in _CHANGES:
        if old not in source:
            raise TroubleError(f"its source is not as expected: no {old.strip()!r}")
        source = source.replace(old, new)
    return _PRINT.sub(r"\1print(\2)", source)
