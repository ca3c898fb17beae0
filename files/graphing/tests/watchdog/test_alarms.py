"""Alarms go on and off with hysteresis, and the state file carries them to the next process and to the doctor."""

import json
import random

import pytest

from graphing.checks.verdict import State, Verdict
from graphing.watchdog import state
from graphing.watchdog.alarms import Alarm, Alarms
from graphing.watchdog.notify import message

STATES = {".": State.OK, "?": State.UNKNOWN, "w": State.WARN, "x": State.FAIL}


def changes(looks, alarms=None):
    """What happens at each look: + on, - off."""
    alarms = alarms or Alarms()
    happened = ""
    for number, letter in enumerate(looks):
        verdict = Verdict("disk", STATES[letter], f"look {number}", "free some")
        changed = alarms.look([verdict], 1000.0 + number)
        happened += "+" if changed and changed[0].on else "-" if changed else " "
    return happened


@pytest.mark.parametrize(
    ("looks", "happened"),
    [
        ("......", "      "),
        (".x.x.x.x", "        "),
        (".xx", "  +"),
        (".ww", "  +"),
        (".xw..", "  +  "),
        ("xx...", " +  -"),
        ("xx..x...", " +     -"),
        ("xx.x.x.x...", " +        -"),
        ("xxxxxxx", " +     "),
        ("x?x", "  +"),
        ("xx.?.?.", " +    -"),
        ("????", "    "),
        ("xx...xx...", " +  - +  -"),
    ],
)
def test_two_bad_looks_are_an_alarm_and_three_good_ones_its_end(looks, happened):
    assert changes(looks) == happened


def test_on_and_off_alternate_whatever_comes():
    for seed in range(200):
        looks = "".join(random.Random(seed).choices(".?wx", k=60))
        sent = changes(looks).replace(" ", "")
        assert "++" not in sent, looks
        assert "--" not in sent, looks
        assert not sent.startswith("-"), looks


def test_a_check_that_is_no_longer_made_goes_off():
    alarms = Alarms([Alarm("certificate", on=True, since=5.0, state=State.WARN)])
    sent = [alarm for _ in range(3) for alarm in alarms.look([], 10.0)]
    assert [(alarm.check, alarm.on) for alarm in sent] == [("certificate", False)]


def test_the_alarm_keeps_when_and_why():
    alarms = Alarms()
    changes("xxx", alarms)
    alarm = alarms.by_check["disk"]
    assert (alarm.on, alarm.since, alarm.what, alarm.remedy) == (True, 1001.0, "look 2", "free some")


def test_the_next_process_does_not_tell_again_what_is_on(tmp_path):
    alarms = Alarms()
    changes("xx", alarms)
    file = str(tmp_path / "state.json")
    state.write(file, 1001.0, 20.0, alarms.by_check.values())
    saved = state.read(file)
    assert list(alarms.by_check.values()) == saved.alarms
    assert changes("xx...", Alarms(saved.alarms)) == "    -"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"when": 1}', '{"when": 1, "interval": 1, "alarms": [{"no": 1}]}'])
def test_a_damaged_state_is_none(tmp_path, damage):
    file = tmp_path / "state.json"
    file.write_text(damage)
    assert state.read(str(file)) is None


def test_a_state_that_can_not_be_written_leaves_the_old_one(tmp_path):
    file = tmp_path / "state.json"
    state.write(str(file), 1.0, 20.0, [])
    (tmp_path / "state.json.tmp").mkdir()
    with pytest.raises(OSError, match="directory"):
        state.write(str(file), 2.0, 20.0, [])
    assert json.loads(file.read_text())["when"] == 1.0


ON = Alarm("disk", on=True, since=880.0, state=State.FAIL, what="/w is full", remedy="Free some space.")


@pytest.mark.parametrize(
    ("saved", "expected", "what"),
    [
        (None, State.WARN, "state file cannot be read"),
        (state.Saved(1000.0, 20.0, []), State.OK, "looked 10 s ago; no alarm is on"),
        (state.Saved(879.0, 20.0, []), State.WARN, "last looked 131 s ago"),
        (state.Saved(1000.0, 20.0, [ON, Alarm("clock")]), State.WARN, "alarms are on: disk for 2 min: /w is full"),
    ],
)
def test_the_doctor_judges_the_watchdog(saved, expected, what):
    found = state.judge(saved, 1010.0)
    assert found.state is expected
    assert what in found.what


def test_a_change_is_told_in_a_sentence_and_in_fields():
    sent = message(ON, "graphs")
    assert sent["text"] == "graphs: disk is bad: /w is full -> Free some space."
    assert (sent["alarm"], sent["check"], sent["state"], sent["when"]) == ("on", "disk", "failed", 880.0)
    over = message(Alarm("disk", since=990.0, state=State.OK, what="/w: 40 % used"), "graphs")
    assert (over["alarm"], over["text"]) == ("off", "graphs: disk is well again: /w: 40 % used")
