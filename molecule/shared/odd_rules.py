r"""Storage rules that are odd, what preflight says of each, and how those that pass are written for carbon.

The one list of expectations for tests/roles/test_carbon_rules.py, which needs no carbon, and for
molecule/default/tests/test_carbon_rules.py, where carbon's own loader reads them.
"""

from __future__ import annotations

import random
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

ROLE = Path(__file__).resolve().parents[2] / "roles/carbon"
LAST = {"name": "default", "pattern": ".*"}
STEP = 10

# A pattern, and whether preflight lets it pass: what passes is read by carbon as it stands here.
PATTERNS = {
    r"\.cpu%$": True,
    "%": True,
    "%%": True,
    "%(pattern)s": True,
    "100%(x": False,  # no regular expression
    "": False,
    " ^a": False,
    "^a ": False,
    "^a\u00a0": False,
    "^a b": True,
    "^a[ ]": True,
    "^a\tb": False,
    "^a\nb": False,
    "^a\r\nb": False,
    "^a\n[b]": False,
    "^a\x0bb": False,
    "^a\x00b": False,
    "^a\x85b": False,
    "^a\u2028b": False,
    "^a\ud800": False,
    r"^a\nb": True,
    "#a": True,
    ";a": True,
    "^a #b": True,
    "^a ;b": True,
    "=a": True,
    ":a": True,
    "a = b": True,
    "a: b": True,
    "[a]": True,
    "[": False,
    "${a}": True,
    "$a": True,
    "^größe\\.": True,
    "^\U0001f600": True,
    "'a'": True,
    '"a"': True,
    "a\\": False,
    "{{ a }}": True,
    "a{99999999999999999999}": False,
    "(" * 3000 + "a" + ")" * 3000: False,
    "a" * 5000: True,
    "(?i)a": True,
    "a|b": True,
}

# A retention whose finest step is 10 s: how carbon is told it, or None where it is refused.
RETENTIONS = {
    "10s:6h,1m:7d": "10s:6h,1m:7d",
    "10s : 6h,1m:7d": "10s:6h,1m:7d",
    " 10s:6h , 1m : 7d ": "10s:6h,1m:7d",
    "10s:6h,\n1m:7d": "10s:6h,1m:7d",
    "10sec:6hours,1min:7days": "10s:6h,1m:7d",
    "10:2160,60:10080": "10s:2160,60s:10080",
    "010s:06h": "10s:6h",
    "10s:7s": None,
    "10s:0": None,
    "0s:6h": None,
    "10S:6h": None,
    "10s:6h,": None,
    "10s:6h:1": None,
    "10s:6h,1m:7d;": None,
    "10.0s:6h": None,
    "1 0s:6h": None,
    "-10s:6h": None,
    "10s:6mon": None,
    "\u0661\u0660s:6h": None,
    "\u00b2s:6h": None,
    "10s:130y": None,
    "1m:130y": None,  # not of this step
    "10s:200y": None,
    "10s:99999999999999999999": None,
    "10s:" + "9" * 5000: None,
    "10s:10s": "10s:10s",
    "10s:1m,1m:1h": "10s:1m,1m:1h",
    "10s:50s,1m:1h": None,
    "10s:7d,1m:6h": None,
    "1m:7d,10s:30d": None,
    "%": None,
    "": None,
}

NAMES = {"a": True, "A": True, "Default": True, "a-b_9": True, "DEFAULT": False, "a b": False, "a]": False, "": False}
NAMES |= {"größe": False, "a\n": False, "#a": False}

FACTORS = {0: True, 1: True, 0.5: True, 1e-7: True, 2: False, -1: False, float("nan"): False, "0.5": False, None: False}

_PIECES = [*"ab%%##;;==::[]()${}|*+?^.\\ \t\n'\"<>!", "%(a)s", "[x]", "\\d", "\\.", "ä", "\u00a0", "(?:", "\r\n"]


def patterns(count: int, seed: int = 1) -> list[str]:
    """Those of the list, and as many again put together by chance, the same for one seed."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    return [*PATTERNS, *("".join(chance.choices(_PIECES, k=chance.randint(1, 8))) for _ in range(count))]


def plugin() -> SimpleNamespace:
    """The role's filters."""
    return SimpleNamespace(**runpy.run_path(str(ROLE / "filter_plugins/carbon_rules.py")))


def schemas(pattern: str = "^a", retentions: str = "10s:6h,1m:7d", name: str = "odd") -> list[dict[str, Any]]:
    """carbon_schemas with one odd rule before the last."""
    return [{"name": name, "pattern": pattern, "retentions": retentions}, {**LAST, "retentions": "10s:1d"}]


def aggregation(pattern: str = "^a", factor: Any = 0.5, name: str = "odd", method: str = "sum") -> list[dict[str, Any]]:
    """carbon_aggregation with one odd rule before the last."""
    odd = {"name": name, "pattern": pattern, "method": method, "x_files_factor": factor}
    return [odd, {**LAST, "method": "average"}]


def that_pass(count: int) -> list[tuple[str, list[dict[str, Any]]]]:
    """All rules made here that preflight lets pass: the template's name, and the value of its variable."""
    rules = plugin()
    odd = patterns(count)
    found = [("schemas", schemas(pattern)) for pattern in odd]
    found += [("schemas", schemas(retentions=retentions)) for retentions in RETENTIONS]
    found += [("schemas", schemas(name=name)) for name in NAMES]
    found += [("aggregation", aggregation(pattern)) for pattern in odd]
    found += [("aggregation", aggregation(factor=factor)) for factor in FACTORS]
    found += [("aggregation", aggregation(name=name)) for name in NAMES]
    found += [("aggregation", aggregation(method=method)) for method in rules.METHODS]
    check = {"schemas": lambda value: rules.schema_problems(value, STEP), "aggregation": rules.aggregation_problems}
    return [(what, value) for what, value in found if not check[what](value)]


def written(what: str, value: list[dict[str, Any]]) -> str:
    """What the role writes for carbon: storage-schemas.conf or storage-aggregation.conf."""
    # As Ansible's module template has it; no HTML.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(plugin().FilterModule().filters())
    template = environment.get_template(f"storage-{what}.conf.j2")
    return template.render({f"carbon_{what}": value, "ansible_managed": "Ansible managed"})


def meant(what: str, value: list[dict[str, Any]]) -> list[list[Any]]:
    """What carbon must make of it: name and pattern of each rule, and its archives, or its factor and method."""
    rules = plugin()
    archives = rules.retention_archives

    def told(rule: dict[str, Any]) -> Any:
        if what == "schemas":
            return [list(archive) for archive in archives(rule["retentions"])]
        return [float(rule.get("x_files_factor", 0)), rule["method"]]

    return [[rule["name"], rule["pattern"], told(rule)] for rule in value]
