"""The parts of the simulated visitors that need no forum."""

import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ports import reserve_port
from programs import DEADLINE

from photoworld import accounts
from photoworld.simulate import forms, wave, words


@given(st.floats(0, 1e9), st.floats(0.001, 1000), st.floats(1, 1e6))
def test_the_rate_swings_around_its_mean(moment, mean, period):
    assert mean * 0.199 <= wave.rate_at(moment, mean, period) <= mean * 1.801


def test_the_rate_is_highest_after_a_quarter_and_lowest_after_three():
    assert [round(wave.rate_at(moment, 10, 600), 6) for moment in (0, 150, 300, 450, 600)] == [
        10,
        18,
        10,
        2,
        10,
    ]


def test_arrivals_follow_the_rate():
    choose, moment, periods = random.Random(1), 0.0, 200
    quarters: Counter[int] = Counter()
    while (moment := wave.next_arrival(moment, 1.0, 100.0, choose)) < periods * 100:
        quarters[int(moment % 100 // 25)] += 1
    # The mean of the sine over a half wave is 2/pi: 1 ± 0.8 * 0.637, in 25 s each.
    for quarter, expected in enumerate((1.509, 1.509, 0.491, 0.491)):
        assert quarters[quarter] / periods / 25 == pytest.approx(expected, rel=0.05)


@given(st.integers(0, 2**32), st.floats(0.01, 100))
def test_arrivals_only_go_forward(seed, mean):
    choose, moment = random.Random(seed), 1000.0
    for _ in range(5):
        following = wave.next_arrival(moment, mean, 600.0, choose)
        assert following > moment
        moment = following


def test_accounts_follow_from_the_seed_and_are_acceptable_to_the_forum():
    first = [words.account("1", number) for number in range(1000)]
    assert first == [words.account("1", number) for number in range(1000)]
    assert len({account.name for account in first}) == 1000
    assert first[0] != words.account("2", 0)
    for account in first:
        assert accounts.NAME_MIN <= len(account.name) <= accounts.NAME_MAX
        assert accounts.PASSWORD_MIN <= len(account.password) <= accounts.PASSWORD_MAX


def test_a_form_is_read_with_its_hidden_fields():
    contents = forms.read(
        '<a href="/threads/1">x</a><form action="/a"><input name="csrf_token" value="a&amp;b">'
        '<textarea name="body"></textarea><button>Go</button></form>'
        '<input name="stray"><form action="/b"></form>'
    )
    assert contents.links == ["/threads/1"]
    assert contents.form("/a") == forms.Form("/a", {"csrf_token": "a&b", "body": ""})
    assert contents.form("/b") == forms.Form("/b", {})
    assert contents.form("/c") is None
    assert contents.link("/1") == "/threads/1"


@given(st.text())
def test_no_page_is_too_strange_to_read(text):
    forms.read(text)
    forms.read(f"<form action='{text}'><input name={text}><a href={text}")


class _Faulty(BaseHTTPRequestHandler):
    """Well by its own account, and yet every page is a fault."""

    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 502)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_visitors_wait_for_a_site_that_is_away_and_end_when_told():
    port = reserve_port()
    command = [sys.executable, "-m", "photoworld", "simulate", "--url", f"http://127.0.0.1:{port}"]
    with subprocess.Popen([*command, "--rate", "200"], stderr=subprocess.PIPE, text=True) as process:
        give_up = threading.Timer(DEADLINE, process.kill)
        give_up.start()
        assert process.stderr.readline() == f"visiting http://127.0.0.1:{port}\n"
        assert process.stderr.readline().startswith("the site is away: ")
        server = ThreadingHTTPServer(("127.0.0.1", port), _Faulty)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert process.stderr.readline() == "the site is back\n"
        assert process.stderr.readline() == "the site is away: / answers 502\n"
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        give_up.cancel()
        server.shutdown()
        server.server_close()
    assert process.returncode == 0
    assert rest.splitlines()[-1].endswith("visitors turned away")
    assert "Traceback" not in rest
