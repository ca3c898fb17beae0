"""The compiled engine's text: short parts, each saying which others it uses and which fields of the table it writes."""

import re
from pathlib import Path

import pytest

TWIN = Path(__file__).resolve().parents[2] / "files/graphing/twin"
INCLUDED = re.findall(r'^include "(\w+)\.pxi"$', (TWIN / "graphing_twin.pyx").read_text(), re.MULTILINE)
MOST_LINES = 400


def text_of(part: str) -> str:
    return (TWIN / f"{part}.pxi").read_text()


def code_of(part: str) -> str:
    """A part without its docstrings and comments."""
    return re.sub(r"#.*", "", re.sub(r'""".*?"""', "", text_of(part), flags=re.DOTALL))


def words_of(code: str) -> set[str]:
    """The words of a code, but not the attributes."""
    return set(re.findall(r"(?<![.\w])[A-Za-z_]\w*", code))


def defined_by(part: str) -> set[str]:
    code = code_of(part)
    functions = re.findall(r"^cdef .*?(\w+)\(", code, re.MULTILINE)
    types = re.findall(r"^cdef (?:struct|class) (\w+)", code, re.MULTILINE)
    constants = re.findall(r"^(?:    |cdef double )([A-Z_]+) = ", code, re.MULTILINE)
    return {*functions, *types, *constants}


def used_by(part: str, code: str) -> list[str]:
    return [other for other in INCLUDED if other not in {part, "native"} and words_of(code) & defined_by(other)]


def fields_of_the_table() -> dict[str, set[str]]:
    """The table's fields, and the parts that may write each: the one that it stands under, and those of the functions
    that the comment above it names.
    """
    of_function = {function: part for part in INCLUDED for function in defined_by(part)}
    fields, comment, writers = {}, "", set()
    for line in text_of("table").partition("    def ")[0].splitlines():
        if line.startswith("    # "):
            comment += line
        elif line.startswith("    cdef "):
            part = re.findall(r"^    # (\w+): ", comment)
            named = {of_function[word] for word in re.findall(r"`(\w+)`", comment) if word in of_function}
            writers = {*part, *named} if part else writers | named
            fields[re.findall(r"(\w+)(?:\[\w+\])*$", line)[0]] = writers
            comment = ""
    return fields


def test_every_part_is_included_once():
    assert sorted(INCLUDED) == sorted(file.stem for file in TWIN.glob("*.pxi"))


@pytest.mark.parametrize("part", INCLUDED)
def test_a_part_is_short(part):
    assert len(text_of(part).splitlines()) <= MOST_LINES


@pytest.mark.parametrize("part", INCLUDED[1:])
def test_a_part_names_those_that_it_uses_all_of_them_above_it(part):
    # What the table's methods use stands below it.
    code = code_of(part).partition("    def ")[0] if part == "table" else code_of(part)
    (said,) = re.findall(r"^# Uses ([\w, ]+)[.;]", text_of(part), re.MULTILINE)
    used = used_by(part, code)
    assert said.split(", ") == ["native", *used]
    assert set(used) <= set(INCLUDED[: INCLUDED.index(part)])


@pytest.mark.parametrize("field", fields_of_the_table())
def test_a_field_of_the_table_is_written_where_its_comment_says(field):
    target = rf"table\.{field}(?:\[[^\]]*\])*(?:\.\w+)*"
    written = rf"{target}(?:, [\w.]+)* [-+*]?= |(?:reserve|put\w*)\(&{target}|gt_store\({target}|, {target}, .*? = "
    assert {part for part in INCLUDED if re.search(written, code_of(part))} <= fields_of_the_table()[field]
