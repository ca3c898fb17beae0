"""Values of YAML as values of TOML, and what the aggregator itself would refuse of a file made of them."""

import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "files/graphing/src"))
from graphing.core.config import ConfigError
from graphing.statsd.settings import check_settings


def statsd_toml(value: object) -> str:
    """Return one value, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {statsd_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(statsd_toml, value)) + "]"
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    # TOML knows no pairs of surrogates, and wants DEL escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def statsd_problems(content: str) -> list[str]:
    """What the aggregator would refuse of the content of statsd.toml, a line each; none if it would start."""
    try:
        check_settings(content, Path("statsd.toml"))
    except ConfigError as error:
        return str(error).splitlines()
    return []


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, object]:
        """Return the filters by name."""
        return {"statsd_toml": statsd_toml, "statsd_problems": statsd_problems}
