"""What carbon-c-relay is told to hand on."""

import re

import pytest


@pytest.fixture
def relay(load):
    return load("roles/carbon/filter_plugins/carbon_relay.py")


def as_systemd_reads(text):
    """Undo what systemd undoes: \\xNN is a byte, and of two % or $ one is left."""
    found = bytes(int(code, 16) for code in re.findall(r"\\x([0-9a-f]{2})", text))
    assert len(found) * 4 == len(text)
    return found.replace(b"%%", b"%").replace(b"$$", b"$")


def test_every_byte_of_a_name_that_can_be_shown_is_handed_on(relay):
    given = as_systemd_reads(relay.characters(True))
    never_in_utf8 = {0xC0, 0xC1, *range(0xF5, 0x100)}
    assert set(given) == set(range(0x21, 0x100)) - {0x7F} - never_in_utf8 - set(b".;")
    # A unit with anything else than UTF-8 runs, but systemd tells nobody about it; line breaks mislead who reads.
    assert len(given.decode().splitlines()) == 1


def test_without_the_guard_it_is_what_the_relay_hands_on_by_itself(relay):
    assert as_systemd_reads(relay.characters(False)) == b"-_:#"
