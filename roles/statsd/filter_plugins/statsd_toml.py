"""Values of YAML as values of TOML."""

import json
import math


def statsd_toml(value: object) -> str:
    """Return one value, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {statsd_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(statsd_toml, value)) + "]"
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return json.dumps(value)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, object]:
        """Return the filters by name."""
        return {"statsd_toml": statsd_toml}
