"""Lines for carbon: what a name may be, and how numbers are written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphing.line import BadName, clean_name, format_line, format_number, is_legal_name


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
