"""The carbon for which the guard was written, and whether the one that is here is made like it.

For another Debian this file is what changes.
"""

import sys
from typing import Any

CARBON = "carbon 1.1.7 and 1.1.10"
DEBIAN = "Debian 12 or 13"

USED = [
    ("cache", "_MetricCache.drain_metric", {"choose_item", "pop"}),
    ("database", "WhisperDatabase.create", {"whisper", "create"}),
    ("writer", "writeCachedDataPoints", {"drain_metric", "exists", "create", "write", "CREATE_BUCKET"}),
    ("protocols", "MetricLineReceiver.lineReceived", {"metricReceived"}),
    ("protocols", "MetricReceiver.connectionLost", {"ConnectionDone", "connectedMetricReceiverProtocols"}),
    ("protocols", "CarbonService.startService", {"_port", "listeningPorts"}),
    ("protocols", "CarbonService.stopService", {"_port", "stopListening"}),
    ("instrumentation", "recordMetrics", {"MetricCache"}),
    ("instrumentation", "cache_record", {"store"}),
]
"""Modules and functions of carbon's, with the names that each must use for the guard to be asked."""


def expect(**modules: Any) -> None:
    """Refuse to start with a carbon that would go past the guard."""
    for module, name, used in USED:
        found: Any = modules[module]
        for part in name.split("."):
            found = getattr(found, part, None)
        code = getattr(found, "__code__", None)
        if code is None or not used <= set(code.co_names):
            raise SystemExit(
                f"{sys.argv[0]}: {modules[module].__name__}.{name} is not as in {CARBON}, for which this "
                "was written. Unguarded, carbon loses points where a disk is full, so it is not started. "
                f"Install graphite-carbon of {DEBIAN}, or set carbon_guard: false."
            )
    if modules["cache"].MetricCache().strategy is None:
        raise SystemExit(f"{sys.argv[0]}: CACHE_WRITE_STRATEGY in carbon.conf must be timesorted, sorted or max.")
