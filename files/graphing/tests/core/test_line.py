"""Lines for carbon: what a name may be, and how numbers are written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphing.core.line import (
    MAX_NAME,
    BadName,
    clean_name,
    format_line,
    format_number,
    is_legal_name,
    is_legal_series,
    with_tags,
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("photoworld.logins", "photoworld.logins"),
        ("two  words\there", "two_words_here"),
        ("a/b/c", "a-b-c"),
        ("../../etc/passwd", None),
        ("caf\xc3\xa9.visits", "caf.visits"),
        ("a\0b", "ab"),
        ("disk;host=web1", "diskhostweb1"),
        ("constructor", "constructor"),
        ("__proto__", "__proto__"),
        ("", None),
        ("\xff\xfe", None),
        ("a..b", None),
        (".a", None),
        ("a.", None),
        (".", None),
        ("x" * 251, "x" * 251),
        ("x" * 252, None),
        ("a." * 511 + "ab", "a." * 511 + "ab"),
        ("a." * 511 + "abc", None),
    ],
)
def test_a_name_is_cleaned_or_refused(raw, clean):
    if clean is None:
        with pytest.raises(BadName):
            clean_name(raw)
    else:
        assert clean_name(raw) == clean


@given(st.text())
def test_a_clean_name_is_legal_and_stays_as_it_is(raw):
    try:
        name = clean_name(raw)
    except BadName:
        return
    assert is_legal_name(name)
    assert clean_name(name) == name
    assert not {"", ".", ".."} & set(name.split("."))
    assert not set(name) & set("/\0\n\r ;=")


@pytest.mark.parametrize(
    ("tags", "series"),
    [
        ([], "a.b"),
        ([("region", "eu")], "a.b;region=eu"),
        ([("region", "eu"), ("host", "web1")], "a.b;host=web1;region=eu"),
        ([("a", "1"), ("a-b", "1"), ("a.b", "1"), ("a_b", "1")], "a.b;a-b=1;a.b=1;a=1;a_b=1"),
        ([("a", "1"), ("b", "2"), ("a", "3")], "a.b;a=3;b=2"),
        ([("a b", "x y/z")], "a.b;a_b=x_y-z"),
        ([("!^=;a", "~1:2,;\0")], "a.b;a=12"),
        ([("a", "1=2")], "a.b;a=1=2"),
        ([("a", "..")], "a.b;a=.."),
        ([("name", "x")], "a.b;name_=x"),
        ([("a", "x" * 251)], "a.b;a=" + "x" * 251),
    ],
)
def test_tags_are_cleaned_and_sorted(tags, series):
    assert with_tags("a.b", tags) == series
    assert is_legal_series(series)


@pytest.mark.parametrize("tag", [("", "1"), ("\xe9", "1"), ("a", ""), ("a", "~"), ("a", "x" * 252), ("x" * 252, "1")])
def test_a_tag_that_carbon_would_refuse_is_left_out(tag):
    assert with_tags("a.b", [("a", "1"), tag]) == with_tags("a.b", [tag, ("a", "1")]) == "a.b;a=1"


def test_the_longest_tags_are_left_out_of_a_name_that_would_be_too_long():
    tags = [(f"t{number}", "x" * (200 + number)) for number in range(9)]
    assert with_tags("a.b", tags) == with_tags("a.b", tags[:4]) == with_tags("a.b", reversed(tags))
    left = MAX_NAME - len(with_tags("a.b", tags[:4])) - len(";u=")
    assert len(with_tags("a.b", [*tags[:4], ("u", "x" * left)])) == MAX_NAME
    assert with_tags("a.b", [*tags[:4], ("u", "x" * (left + 1))]) == with_tags(
        "a.b", [*tags[:3], ("u", "x" * (left + 1))]
    )
    assert with_tags("a" * 251, [("b", "1")] * 20_000) == "a" * 251 + ";b=1"


@pytest.mark.parametrize(
    "series",
    [
        "", ";a=1", "a;", "a;b", "a;=1", "a;b=", "a;b=1;", "a;b=1;a=1", "a;b=1;b=1", "a;b=1;b=2", "a;name=x",
        "a;b=~1", "a;b=x y", "a;b=x/y", "a;b=" + "x" * 252, "a..b;c=1", "a;b=1\n",
    ],
)  # fmt: skip
def test_other_forms_of_tags_are_not_legal(series):
    assert not is_legal_series(series)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=4))
def test_a_tagged_name_is_legal_and_stays_as_it_is(tags):
    series = with_tags("a.b", tags)
    assert is_legal_series(series)
    name, *found = series.split(";")
    pairs = (tag.partition("=") for tag in found)
    assert with_tags(name, ((key, value) for key, _, value in pairs)) == series


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (3, "3"), (-0.0, "0"), (0.1, "0.1"), (-2.5, "-2.5"), (1e22, "1e+22"), (1e-7, "1e-07")],
)
def test_numbers_are_short(value, text):
    assert format_number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_numbers_are_read_back_exactly(value):
    assert float(format_number(value)) == value


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_no_line_holds_what_is_not_a_finite_number(value):
    with pytest.raises(ValueError, match="finite"):
        format_line("a", value, 1)


def test_a_line_is_name_value_timestamp():
    assert format_line("stats.a.count", 12.0, 1700000000) == "stats.a.count 12 1700000000\n"
