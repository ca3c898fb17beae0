"""`graphing sniff`: what it makes of what ngrep prints."""

import argparse
import io
import subprocess

import pytest

from graphing import sniff
from graphing.sniff import Packet, Tally, packets_of

# Recorded from `ngrep -qtlx -d any . 'udp dst port 48125 or tcp dst port 42003'`.
RECORDED = b"""\
interface: any
filter: ( udp dst port 48125 or tcp dst port 42003 ) and (ip || ip6)
match (JIT): .

U 2026/11/21 17:30:38.843317 127.0.0.1:51614 -> 127.0.0.1:48125 #1
  61 2e 62 3a 31 7c 63 0a    63 2e 64 3a 32 7c 6d 73    a.b:1|c.c.d:2|ms
  0a                                                    .

U 2026/11/21 17:30:38.843342 127.0.0.1:51614 -> 127.0.0.1:48125 #2
  6e 6f 6e 6c 3a 31 7c 63                               nonl:1|c

U 2026/11/21 17:30:38.843353 127.0.0.1:51614 -> 127.0.0.1:48125 #3
  75 6d 6c c3 a4 75 74 3a    31 7c 63 0a 0a             uml..ut:1|c..

T 2026/11/21 17:30:38.844912 127.0.0.1:40374 -> 127.0.0.1:42003 [AP] #6
  78 2e 79 20 31 20 32 0a    78 2e 7a 20 31             x.y 1 2.x.z 1

T 2026/11/21 17:30:39.045102 127.0.0.1:40374 -> 127.0.0.1:42003 [AP] #7
  20 32 0a 6c 61 73 74 20    33 20 34 0a                 2.last 3 4.
"""


@pytest.fixture
def packets():
    return list(packets_of(RECORDED.splitlines(keepends=True)))


def tally(packets, **options):
    made = Tally(**options)
    for packet in packets:
        made.add(packet)
    return made


def test_ngreps_hexadecimal_becomes_the_very_bytes(packets):
    assert [packet.payload for packet in packets] == [
        b"a.b:1|c\nc.d:2|ms\n",
        b"nonl:1|c",
        "umläut:1|c\n\n".encode(),
        b"x.y 1 2\nx.z 1",
        b" 2\nlast 3 4\n",
    ]
    assert [packet.is_event for packet in packets] == [True, True, True, False, False]
    assert packets[0][1:4] == ("2026/11/21 17:30:38.843317", "127.0.0.1:51614", "127.0.0.1:48125")


def test_the_aggregators_parser_counts_by_bucket_and_lines_go_on_in_the_next_packet(packets):
    counted = tally(packets)
    assert {name: came.times for name, came in counted.events.items()} == {"a.b": 1, "c.d": 1, "nonl": 1, "umlut": 1}
    assert {name: came.total for name, came in counted.points.items()} == {"x.y": 1, "x.z": 1, "last": 3}
    assert counted.datagrams == 3
    assert (counted.bad_values, counted.bad_lines) == (0, 0)


def event(*lines):
    return Packet(True, "", "a", "b", "\n".join(lines).encode())


def test_counters_are_added_up_with_their_rates_and_gauges_keep_the_last():
    counted = tally([event("c:1|c", "c:2|c|@0.5", "g:7|g"), event("g:9|g", "c:1|c", "t:1|ms:2|ms", "bad")])
    assert {name: (came.times, came.total) for name, came in counted.events.items()} == {
        "c": (3, 6.0),
        "g": (2, 9.0),
        "t": (2, 2.0),
    }
    assert counted.bad_values == 1
    rows = counted.table()
    assert rows[0] == "2 datagrams with 7 values for 3 buckets, 1 bad"
    assert rows[2].split() == ["3", "6", "counters", "c"]


def test_lines_that_do_not_match_are_not_counted():
    counted = tally([event("logins:1|c", "other:1|c", "bad")], matches=lambda line: "logins" in line)
    assert counted.events.keys() == {"logins"}
    assert counted.bad_values == 0


def test_lines_that_carbon_would_refuse_are_bad():
    packet = Packet(False, "", "a", "b", b"good 1 2\nno value\nnan nan 2\n\nx y 2\n")
    assert (tally([packet]).bad_lines, tally([packet]).points.keys()) == (3, {"good"})


def test_the_busiest_come_first_and_not_endlessly():
    counted = tally([event(*[f"b{number}:1|c" for number in range(60)], "busy:1|c", "busy:1|c")])
    rows = counted.table()
    assert rows[2].split()[-1] == "busy"
    assert "and 11 more" in rows[-2]


def test_a_terminal_is_not_deceived():
    assert sniff._plain_lines(b"a\x1b[2J:1|c\n\xffb:1|c\n") == ["  a.[2J:1|c", "  .b:1|c"]


def test_the_traffic_is_shown_to_a_limit_and_counted_beyond():
    out, tally = io.StringIO(), Tally()
    said = packets_of(RECORDED.splitlines(keepends=True))
    sniff._show(said, sniff.SniffOptions(counts=True, lines=5), tally, out)
    assert out.getvalue().splitlines()[3:] == [
        "2026/11/21 17:30:38.843342 127.0.0.1:51614 -> 127.0.0.1:48125",
        "  nonl:1|c",
        "... and more",
    ]
    assert tally.datagrams == 3


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [([], ""), (["logins"], "logins"), (["--filter", "a b"], "a b"), (["--filter="], "")],
)
def test_the_filter_may_be_an_option_or_a_word(arguments, pattern):
    parser = argparse.ArgumentParser()
    sniff.add_arguments(parser)
    assert sniff.read_options(parser.parse_args(arguments)).pattern == pattern


def test_a_filter_that_is_no_expression_is_refused(capsys):
    assert sniff.run(sniff.SniffOptions("las["), None) == 2
    assert "--filter 'las[' is no regular expression" in capsys.readouterr().err


def test_without_ngrep_it_says_so(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert sniff.run(sniff.SniffOptions(), None) == 1
    assert capsys.readouterr().err == "ngrep can't be run: No such file or directory\n"


def test_each_network_namespace_is_watched_and_there_the_aggregators_own_address_alone(tmp_path):
    there, gone = tmp_path / "net", tmp_path / "gone"
    there.touch()
    parser = argparse.ArgumentParser()
    sniff.add_arguments(parser)
    arguments = ["x", f"--elsewhere={there}=127.0.0.1:18125", f"--elsewhere={gone}=127.0.0.1:1", "--udp-port=8125"]
    here, other = sniff.commands(sniff.read_options(parser.parse_args(arguments)))
    assert here[-2:] == ["x", "udp dst port 8125 or tcp dst port 2003"]
    assert other[:3] == ["nsenter", f"--net={there}", "ngrep"]
    assert other[-2:] == ["x", "udp dst port 18125 and dst host 127.0.0.1"]


def test_packets_of_several_come_until_the_last_has_ended():
    said = [RECORDED.decode(), RECORDED.decode()]
    processes = [subprocess.Popen(["printf", "%s", text], stdout=subprocess.PIPE) for text in said]
    assert len(list(sniff._packets(processes))) == 10
    for process in processes:
        process.communicate()
