"""The configuration file: defaults, and messages that say what to do."""

import tomllib
from dataclasses import asdict

import pytest
from support import PACKAGE

from graphing import __version__
from graphing.cli import main
from graphing.core.config import ConfigError
from graphing.statsd.settings import StatsdSettings, read_settings

EXAMPLE = PACKAGE / "statsd.example.toml"


def complaints(tmp_path, content):
    path = tmp_path / "statsd.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    return str(caught.value).replace(str(path), "FILE").splitlines()


def test_an_empty_file_gives_the_defaults(tmp_path):
    (tmp_path / "empty.toml").touch()
    assert read_settings(tmp_path / "empty.toml") == StatsdSettings()


def test_the_example_holds_every_key_with_its_default():
    assert read_settings(EXAMPLE) == StatsdSettings()
    written = tomllib.loads(EXAMPLE.read_text())
    known = asdict(StatsdSettings())
    assert {table: set(keys) for table, keys in written.items()} == {table: set(keys) for table, keys in known.items()}


def test_values_reach_the_settings(tmp_path):
    path = tmp_path / "statsd.toml"
    path.write_text(
        '[statsd]\ninterval = 60\npercentiles = [99.9, -10]\nprefix = ""\nstate_file = ""\n'
        'delete_idle = ["gauges"]\n[carbon]\nhost = "::1"\n'
    )
    settings = read_settings(path)
    assert settings.statsd.interval == 60
    assert settings.statsd.percentiles == (99.9, -10)
    assert settings.statsd.delete_idle == ("gauges",)
    assert settings.carbon.host == "::1"


def test_all_mistakes_are_named_at_once_with_file_key_value_and_remedy(tmp_path):
    content = '[statsd]\nport = 99999\nintervall = 5\nnamespace = "x"\n[carbon]\nport = true\n[carbn]\n'
    assert complaints(tmp_path, content) == [
        "FILE: carbn = {}: unknown key; did you mean carbon?",
        "FILE: carbon.port = true: must be a whole number from 1 to 65535",
        "FILE: statsd.intervall = 5: unknown key; did you mean statsd.interval?",
        'FILE: statsd.namespace = \'x\': must be one of "plain", "etsy", "legacy"',
        "FILE: statsd.port = 99999: must be a whole number from 1 to 65535",
    ]


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("interval = 0", "from 1 to 3600"),
        ("interval = 3601", "from 1 to 3600"),
        ("interval = 10.0", "whole number"),
        ("port = 0", "from 1 to 65535"),
        ("percentiles = 90", "must be a list"),
        ("percentiles = [0]", "between -100 and 100"),
        ("percentiles = [100]", "between -100 and 100"),
        ("percentiles = [nan]", "between -100 and 100"),
        ("percentiles = [true]", "between -100 and 100"),
        (f"percentiles = [{'9' * 400}]", "between -100 and 100"),
        ("percentiles = [90, 90.0]", "twice"),
        ('prefix = "a..b"', "must be"),
        ('prefix = "../a"', "must be"),
        ("prefix = 1", "must be"),
        ('health_prefix = ""', "must be a name"),
        ('health_prefix = "stats"', "must differ from statsd.prefix"),
        ('suffix = "web1"', 'must be ""'),
        ('delete_idle = ["timer"]', '"timers"'),
        ("flush_counts = 1", "true or false"),
        ('state_file = "state.json"', "absolute path"),
        ('listen = "not an address"', "address"),
        ("histograms = [{bins = [1]}, {match = 3}]", "part of a bucket's name"),
        ("histograms = [{bin = [1]}]", "must be tables: write {match = ..., bins = ...}"),
        ("max_buckets = 0", "whole number"),
        ('tags = "maybe"', '"graphite"'),
        ("colour = 1", "known here: datagram_log"),
    ],
)
def test_each_value_is_checked(tmp_path, line, remedy):
    (message,) = complaints(tmp_path, f"[statsd]\n{line}\n")
    key = line.partition(" ")[0]
    assert message.startswith(f"FILE: statsd.{key} = ")
    assert remedy in message


def test_a_file_that_is_not_toml_is_named(tmp_path):
    assert "not valid TOML" in complaints(tmp_path, "[statsd")[0]
    assert "not UTF-8" in complaints(tmp_path, b"\xff")[0]
    assert complaints(tmp_path, "statsd = 1") == ["FILE: statsd = 1: must be a table: write [statsd]"]


def test_check_says_ok_or_what_is_wrong(tmp_path, capsys):
    assert main(["statsd", "--config", str(EXAMPLE), "--check"]) == 0
    assert capsys.readouterr().out == f"{EXAMPLE}: ok\n"

    assert main(["statsd", "--config", str(tmp_path / "absent.toml"), "--check"]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/absent.toml: can't be read: No such file or directory\n"


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"graphing {__version__}\n"


@pytest.mark.parametrize("server", ["a", "a:", "a:0", "a:65536", ":1", "[::1]", "a b:1", "a:01"])
def test_an_address_of_a_server_has_a_port(tmp_path, server):
    (message,) = complaints(tmp_path, f'[repeater]\nservers = ["{server}"]\n')
    assert message == f"FILE: repeater.servers = ['{server}']: must be HOST:PORT, or [ADDRESS]:PORT for IPv6"


@pytest.mark.parametrize("server", ["a:1", "a-b.example:65535", "192.0.2.1:8125", "[::1]:8125", "[fe80::1%eth0]:9"])
def test_good_addresses_of_servers(tmp_path, server):
    path = tmp_path / "statsd.toml"
    path.write_text(f'[repeater]\nservers = ["{server}"]\n')
    assert read_settings(path).repeater.servers == (server,)
