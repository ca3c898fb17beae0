"""A number on its way: where it stops, and what is said of it."""

from dataclasses import replace

import pytest
from checks_support import FAIL, NOW, OK, WARN

from graphing.checks import canary
from graphing.checks.canary import Sighting

THERE = Sighting(
    "event",
    "8125/udp",
    since=NOW,
    caches={"a": "", "b": ""},
    cached=0.0,
    filed=NOW,
    file="/w/x.wsp",
    rendered=NOW,
)
NOT_YET = replace(THERE, filed=NOW - 20, rendered=NOW - 20)


def test_a_number_that_came_through_is_well():
    found = canary.judge(THERE, NOW + 11)
    assert found.state is OK
    assert found.what == "a number sent to 8125/udp is in the graph, 11 s after it was sent"
    assert not found.remedy


REFUSED = "port 7102: Connection refused"


@pytest.mark.parametrize(
    ("seen", "hop", "remedy"),
    [
        ({"socket": "nobody listens on 8125/udp"}, "socket: nobody listens", "statsd.socket"),
        ({"aggregator": "no /statusz on port 8127"}, "aggregator: no /statusz", "systemctl restart statsd"),
        ({"relay": "nobody takes lines"}, "relay: nobody takes lines", "carbon-c-relay"),
        ({"caches": {"a": "", "b": REFUSED}}, f"carbon: carbon-cache@b: {REFUSED}", "restart carbon-cache@b"),
        ({"queued": 40}, "aggregator: 40 of its lines wait", "journalctl"),
        ({}, "relay: the relay received the number", "carbon-c-relay"),
        ({"cached": NOW}, "file: carbon holds it in memory and has not written it to /w/x.wsp", "df -h"),
        ({"cached": NOW, "file_trouble": "/w/x.wsp: Permission denied"}, "file: /w/x.wsp: Permission", "df -h"),
        ({"filed": NOW}, "render: the number is in the file", "graphite-web"),
        ({"filed": NOW, "render": "/render answers 502"}, "render: /render answers 502", "graphite-web"),
    ],
)
def test_a_number_that_stops_is_followed_to_its_hop(seen, hop, remedy):
    found = canary.judge(replace(NOT_YET, **seen), NOW + 30)
    assert found.state is FAIL
    assert found.what.startswith(f"a number sent to 8125/udp stops at {hop}")
    assert remedy in found.remedy


def test_a_number_that_a_store_elsewhere_has_not_got_stops_there():
    elsewhere = replace(NOT_YET, caches=None, filed=0.0)
    found = canary.judge(elsewhere, NOW + 30)
    assert (found.state, found.what.partition(" stops at ")[2].partition(":")[0]) == (FAIL, "store")
    assert (
        "stops at render: /render answers 502"
        in canary.judge(replace(elsewhere, render="/render answers 502"), NOW).what
    )


def test_the_first_hop_that_is_closed_counts():
    everything = replace(NOT_YET, relay="relay", aggregator="aggregator", render="render", caches={"a": "carbon"})
    assert " stops at aggregator: " in canary.judge(everything, NOW).what
    assert " stops at carbon: " in canary.judge(replace(everything, relay="", aggregator=""), NOW).what


CLOSED = "its disk has 100 MiB left, and carbon keeps 1 GiB in reserve (carbon_disk_reserve)"


@pytest.mark.parametrize(
    ("seen", "stop"),
    [
        ({}, "stops at carbon: it accepts no points: "),
        ({"queued": 40}, "stops at carbon: it accepts no points: "),
        (
            {"cached": NOW, "rendered": NOW},
            "not on disk: carbon holds it in memory and has not written it to /w/x.wsp: ",
        ),
        (
            {"cached": NOW, "rendered": NOW, "file_trouble": "/w/x.wsp: No such file"},
            "has not written it to /w/x.wsp: ",
        ),
    ],
)
def test_a_closed_door_is_named_with_its_cause_and_not_the_relay(seen, stop):
    sight = replace(NOT_YET, closed=CLOSED, **seen)
    found = canary.judge(sight, NOW + 30)
    assert found.is_bad
    assert f"{stop}{CLOSED}" in found.what
    assert "relay" not in found.what + found.remedy
    assert "systemctl restart" not in found.remedy
    assert "Free space" in found.remedy
    assert canary.broken(sight), "waiting is of no use"


def test_what_is_in_memory_alone_is_a_warning():
    found = canary.judge(replace(THERE, filed=NOW - 90, cached=NOW), NOW + 60)
    assert found.state is WARN
    assert "in the graph, but not on disk: carbon holds it in memory" in found.what


def test_a_closed_side_door_does_not_matter_to_a_number_that_came_through():
    assert canary.judge(replace(THERE, aggregator="no /statusz"), NOW).state is OK


@pytest.mark.parametrize(
    ("seen", "arrives"),
    [
        ({"has_render": False}, True),
        ({"has_render": False, "filed": 0.0, "cached": NOW}, False),
        ({"has_render": False, "caches": None, "filed": 0.0}, True),
        ({"has_render": False, "caches": None, "filed": 0.0, "relay": "refused"}, False),
        ({"caches": None, "filed": 0.0}, True),
        ({"caches": None, "filed": 0.0, "rendered": 0.0}, False),
    ],
)
def test_a_host_that_has_only_a_part_of_the_way_judges_that_part(seen, arrives):
    sight = replace(THERE, **seen)
    assert canary.arrived(sight) is arrives
    assert (canary.judge(sight, NOW).state is OK) is arrives
