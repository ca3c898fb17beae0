"""Names and storage rules, as carbon reads them."""

from pathlib import PurePosixPath

import pytest

from graphing.store import StoreError
from graphing.store.names import check_rename, name_of, path_of
from graphing.store.rules import StorageRules

SCHEMAS = """
[short]
pattern = ^test\\.
retentions = 10s:1h

[default]
pattern = .*
retentions = 10s:6h,1m:7d
"""
AGGREGATION = """
[sum]
pattern = \\.count$
xFilesFactor = 0
aggregationMethod = sum

[max]
pattern = \\.(upper|count)$
aggregationMethod = max
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "storage-schemas.conf").write_text(SCHEMAS)
    (tmp_path / "storage-aggregation.conf").write_text(AGGREGATION)
    return tmp_path


def test_the_first_match_decides_in_each_file(folder):
    rules = StorageRules(folder)
    assert rules.layout("test.a.count") == (((10, 360),), "sum", 0.0)
    assert rules.layout("stats.test.a.upper") == (((10, 2160), (60, 10080)), "max", 0.5)
    assert rules.layout("stats.a;host=b")[1:] == ("average", 0.5), "what carbon falls back to"


def test_without_a_rule_a_series_gets_a_week_of_minutes(folder):
    (folder / "storage-schemas.conf").write_text("[a]\npattern = ^a\nretentions = 10s:1h\n")
    assert StorageRules(folder).layout("b").archives == ((60, 10080),)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("storage-schemas.conf", "[a]\npattern = (\nretentions = 10s:1h\n", r"\[a\]: missing \)"),
        ("storage-schemas.conf", "[a]\npattern = .*\nretentions = 10s\n", r"\[a\]: Invalid retention"),
        ("storage-schemas.conf", "[a]\npattern = .*\nretentions = 10s:1h,15s:1d\n", r"\[a\]: Higher precision"),
        ("storage-schemas.conf", "pattern = .*\n", "no section headers"),
        ("storage-aggregation.conf", "[a]\npattern = .*\naggregationMethod = mean\n", "'mean' is not one of average"),
        ("storage-aggregation.conf", "[a]\npattern = .*\nxFilesFactor = 2\n", "2.0 is not between 0 and 1"),
    ],
)
def test_a_wrong_rule_is_named(folder, name, text, complaint):
    (folder / name).write_text(text)
    with pytest.raises(StoreError, match=complaint) as raised:
        StorageRules(folder)
    assert str(raised.value).startswith(f"{folder / name}: ")


def test_a_missing_file_is_named(folder):
    (folder / "storage-schemas.conf").unlink()
    with pytest.raises(StoreError, match=r"storage-schemas\.conf: No such file"):
        StorageRules(folder)


@pytest.mark.parametrize("name", ["a", "stats.web.count"])
def test_a_name_is_a_path(name):
    assert name_of(path_of(name)) == name


def test_a_series_with_tags_lies_under_its_hash():
    """The example of carbon.util.TaggedSeries.encode, whose hash begins with effaae."""
    path = path_of("some.metric;tag1=value2;tag2=value.2")
    assert path.parts[:3] == ("_tagged", "eff", "aae")
    assert name_of(path) is None
    readable = PurePosixPath("_tagged/eff/aae/some_DOT_metric;tag1=value2;tag2=value_DOT_2.wsp")
    assert name_of(readable) == "some.metric;tag1=value2;tag2=value.2"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("stats.*", "a", "without \\*"),
        ("../etc", "a", "is no name"),
        ("stats/a", "a", "is no name"),
        ("a..b", "a", "is no name"),
        ("", "a", "is no name"),
        ("a", "", "is no name"),
        ("a", "../b", "is no name"),
        ("a", "b/c", "is no name"),
        ("a", "b.", "is no name"),
        ("a", "b c", "is no name"),
        ("a", "b" * 300, "is no name"),
        ("a", "a", "are both"),
        ("a", "a.b", "lies inside"),
        ("a;b=c", "a", "with tags"),
        ("_tagged", "a", "belongs to"),
        ("a", "_tagged.b", "belongs to"),
    ],
)
def test_a_rename_to_or_from_what_is_no_name_is_refused(old, new, complaint):
    with pytest.raises(StoreError, match=complaint):
        check_rename(old, new)


def test_a_name_may_get_shorter_or_begin_alike():
    check_rename("stats.web", "stats")
    check_rename("stats.web", "stats.web2")
