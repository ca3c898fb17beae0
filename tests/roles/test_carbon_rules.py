"""Retentions and rules of carbon: what is refused before a host changes."""

import configparser

import odd_rules
import pytest
import whisper
from hypothesis import given
from hypothesis import strategies as st

from graphing.store.rules import StorageRules

GOOD = "10s:6h,1m:7d,10m:90d,1h:5y"


@pytest.fixture(scope="session")
def rules(load):
    return load("roles/carbon/filter_plugins/carbon_rules.py")


def schema(name="default", pattern=".*", retentions=GOOD):
    return {"name": name, "pattern": pattern, "retentions": retentions}


def test_a_retention_is_steps_and_points(rules):
    assert rules.retention_archives(GOOD) == [(10, 2160), (60, 10080), (600, 12960), (3600, 43800)]
    assert rules.retention_archives("60:1440") == [(60, 1440)], "bare numbers: seconds per point, points"
    assert rules.retention_step(GOOD) == 10


def test_the_cost_of_a_series_is_what_the_documentation_says(rules):
    assert round(rules.retention_bytes(GOOD) / 1e6, 2) == 0.83
    assert round(rules.retention_bytes("10s:6h,1m:7d,10m:5y") / 1e6, 1) == 3.3


def test_what_whisper_creates_has_that_size(rules, tmp_path):
    whisper.create(str(tmp_path / "a.wsp"), rules.retention_archives("10s:1h,1m:1d"))
    assert (tmp_path / "a.wsp").stat().st_size == rules.retention_bytes("10s:1h,1m:1d")


def test_the_methods_are_those_of_whisper(rules):
    """carbon does not start with another."""
    assert set(rules.METHODS) == set(whisper.aggregationMethods)


def test_the_disk_of_a_number_of_series_is_that_of_the_largest_schema_with_a_margin(rules):
    small, large = schema("small", "^a", "1m:7d"), schema()
    assert rules.store_gib([small, large], 10000) == rules.store_gib([large], 10000) == 10
    assert rules.store_gib([large], 10000) * 2**30 > 10000 * rules.retention_bytes(GOOD)
    assert rules.store_gib([small], 1) == 1, "a volume is a whole GiB at least"


@pytest.mark.parametrize(
    ("retentions", "complaint"),
    [
        ("", "not STEP:LENGTH"),
        ("10s", "not STEP:LENGTH"),
        ("10x:6h", "'10x' is not a duration"),
        ("0s:6h", "'0s' is not a duration"),
        ("1m:7d,10s:30d", "from fine to coarse"),
        ("10s:6h,15s:7d", "multiple of the one before"),
        ("10s:7d,1m:6h", "reach further back"),
        ("10s:30s,1m:7d", "enough points"),
    ],
)
def test_a_wrong_retention_is_explained(rules, retentions, complaint):
    problems = rules.retention_problems(retentions)
    assert len(problems) == 1
    assert complaint in problems[0]


def test_the_default_rules_are_right(rules):
    assert rules.retention_problems(GOOD) == []
    assert rules.schema_problems([schema()], 10) == []


@pytest.mark.parametrize(
    ("schemas", "complaint"),
    [
        ([], "last rule must match everything"),
        ([schema(pattern="^stats")], "last rule must match everything"),
        ([schema("a", "("), schema()], "a: pattern '(' is not a regular expression"),
        ([schema("a b", "^a"), schema()], "'a b': a rule's name"),
        ([schema("a", "^a"), schema("a", "^b"), schema()], "a: the name stands twice"),
        ([schema("a", ".*"), schema("b", "^b")], "b: pattern '^b' is never reached: rule a"),
        ([schema("a", r"^stats\."), schema("b", r"^stats\.web\."), schema()], "b: pattern"),
        ([schema("a", "^a"), schema("b", "^a"), schema()], "b: pattern '^a' is never reached"),
        ([schema(retentions="1m:7d")], "must equal the flush interval of 10s"),
        ([schema(retentions="1m")], "default: retentions '1m': '1m' is not STEP:LENGTH"),
    ],
)
def test_a_wrong_schema_is_named(rules, schemas, complaint):
    assert any(complaint in problem for problem in rules.schema_problems(schemas, 10))


@pytest.mark.parametrize(
    ("first", "second"),
    [("^ab", "^ab*"), ("^a", "^ab|^c"), (r"\.count$", r"\.lower$"), (r"^stats\.web\.", r"^stats\.")],
)
def test_rules_that_can_both_be_reached_are_let_pass(rules, first, second):
    assert rules.schema_problems([schema("a", first), schema("b", second), schema()], 10) == []


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"method": "mean"}, "x: method 'mean' is not one of average"),
        ({"method": "sum", "x_files_factor": 2}, "x: x_files_factor 2 is not between 0 and 1"),
        ({"method": "sum", "x_files_factor": True}, "x_files_factor True"),
    ],
)
def test_a_wrong_aggregation_is_named(rules, rule, complaint):
    problems = rules.aggregation_problems([{"name": "x", "pattern": ".*", **rule}])
    assert len(problems) == 1
    assert complaint in problems[0]


@pytest.mark.parametrize(("pattern", "passes"), odd_rules.PATTERNS.items())
def test_an_odd_pattern_passes_or_is_named_with_what_to_write(rules, pattern, passes):
    for problems in (
        rules.schema_problems(odd_rules.schemas(pattern), 10),
        rules.aggregation_problems(odd_rules.aggregation(pattern)),
    ):
        assert problems == [] if passes else len(problems) == 1 and problems[0].startswith(f"odd: pattern {pattern!r} ")


@pytest.mark.parametrize(("retentions", "told"), odd_rules.RETENTIONS.items())
def test_an_odd_retention_is_written_as_carbon_reads_it_or_is_refused(rules, retentions, told):
    problems = rules.schema_problems(odd_rules.schemas(retentions=retentions), 10)
    assert (problems == []) == (told is not None)
    if told is not None:
        assert rules.retention_written(retentions) == told
        assert rules.retention_archives(told) == rules.retention_archives(retentions)
        assert rules.retention_archives(told) == [whisper.parseRetentionDef(part) for part in told.split(",")]


@pytest.mark.parametrize(("name", "passes"), odd_rules.NAMES.items())
def test_an_odd_name_passes_or_is_named(rules, name, passes):
    assert (rules.schema_problems(odd_rules.schemas(name=name), 10) == []) == passes
    assert (rules.aggregation_problems(odd_rules.aggregation(name=name)) == []) == passes


@pytest.mark.parametrize(("factor", "passes"), odd_rules.FACTORS.items())
def test_an_odd_share_passes_or_is_named(rules, factor, passes):
    problems = rules.aggregation_problems(odd_rules.aggregation(factor=factor))
    assert problems == [] if passes else f"odd: x_files_factor {factor!r} is not between" in problems[0]


def test_the_last_rule_is_no_rule_without_a_pattern(rules):
    """carbon skips it, and falls back to one of its own."""
    assert rules.schema_problems([schema(pattern="")], 10)


@given(pattern=st.one_of(st.text(max_size=20), st.text("ab%#;=:[]()$ \\\t\n\r", max_size=12)))
def test_every_pattern_that_passes_is_read_back_as_it_was(rules, tmp_path_factory, pattern):
    """By the project's own reader; carbon's own does it on hosts (molecule/default/tests/test_carbon_rules.py)."""
    schemas, aggregation = odd_rules.schemas(pattern), odd_rules.aggregation(pattern)
    if rules.schema_problems(schemas, 10):
        return
    folder = tmp_path_factory.mktemp("carbon", numbered=True)
    (folder / "storage-schemas.conf").write_text(odd_rules.written("schemas", schemas), encoding="utf-8")
    (folder / "storage-aggregation.conf").write_text(odd_rules.written("aggregation", aggregation), encoding="utf-8")
    for name in ("storage-schemas.conf", "storage-aggregation.conf"):
        parser = configparser.ConfigParser()
        parser.read(folder / name, encoding="utf-8")
        assert parser.sections() == ["odd", "default"]
        assert parser["odd"]["pattern"] == pattern
    assert StorageRules(folder).layout("abc").archives
