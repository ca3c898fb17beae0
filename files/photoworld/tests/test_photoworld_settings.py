"""The environment, and what the command line says about it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from photoworld import __version__
from photoworld.settings import Settings, SettingsError, from_environment

KEY = {"PHOTOWORLD_SECRET_KEY": "k" * 32}


def test_defaults():
    assert from_environment(KEY) == Settings(
        secret_key="k" * 32,
        database=Path("photoworld.sqlite3"),
        bind="127.0.0.1:8090",
        workers=2,
        behind_proxy=False,
        keep_threads=0,
        statsd_host="127.0.0.1",
        statsd_port=8125,
        statsd_prefix="photoworld",
    )


def test_every_variable_is_read():
    environ = KEY | {
        "PHOTOWORLD_DATABASE": "/var/lib/photoworld/forum.sqlite3",
        "PHOTOWORLD_BIND": "unix:/run/photoworld.sock",
        "PHOTOWORLD_WORKERS": "3",
        "PHOTOWORLD_BEHIND_PROXY": "1",
        "PHOTOWORLD_KEEP_THREADS": "500",
        "PHOTOWORLD_STATSD_HOST": "statsd.example.org",
        "PHOTOWORLD_STATSD_PORT": "9125",
        "PHOTOWORLD_STATSD_PREFIX": "test.forum",
    }
    assert from_environment(environ) == Settings(
        secret_key="k" * 32,
        database=Path("/var/lib/photoworld/forum.sqlite3"),
        bind="unix:/run/photoworld.sock",
        workers=3,
        behind_proxy=True,
        keep_threads=500,
        statsd_host="statsd.example.org",
        statsd_port=9125,
        statsd_prefix="test.forum",
    )


@pytest.mark.parametrize("value", ["localhost:80", "[::1]:8090", "0.0.0.0:1", "unix:/run/x.sock", "fd://3"])
def test_addresses_to_listen_on(value):
    assert from_environment(KEY | {"PHOTOWORLD_BIND": value}).bind == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHOTOWORLD_WORKERS", "0"),
        ("PHOTOWORLD_WORKERS", "two"),
        ("PHOTOWORLD_WORKERS", "²"),
        ("PHOTOWORLD_WORKERS", "9999999999"),
        ("PHOTOWORLD_BEHIND_PROXY", "yes"),
        ("PHOTOWORLD_KEEP_THREADS", "-1"),
        ("PHOTOWORLD_STATSD_PORT", "65536"),
        ("PHOTOWORLD_STATSD_PREFIX", "a b"),
        ("PHOTOWORLD_STATSD_PREFIX", "a..b"),
        ("PHOTOWORLD_STATSD_PREFIX", "a:1|c"),
        ("PHOTOWORLD_BIND", "8090"),
        ("PHOTOWORLD_BIND", "localhost:70000"),
        ("PHOTOWORLD_BIND", "unix:relative"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(name, value):
    with pytest.raises(SettingsError) as raised:
        from_environment(KEY | {name: value})
    assert name in str(raised.value)
    assert repr(value) in str(raised.value)


@pytest.mark.parametrize("name", ["PHOTOWORLD_DATABASE", "PHOTOWORLD_STATSD_HOST", "PHOTOWORLD_BIND"])
def test_an_empty_value_is_no_value(name):
    with pytest.raises(SettingsError, match=f"{name} is empty"):
        from_environment(KEY | {name: " "})


def test_a_short_secret_key_is_refused_and_never_shown():
    with pytest.raises(SettingsError, match="PHOTOWORLD_SECRET_KEY is shorter than 16") as raised:
        from_environment({"PHOTOWORLD_SECRET_KEY": "swordfish"})
    assert "swordfish" not in str(raised.value)
    assert "k" * 32 not in repr(from_environment(KEY))


def command(*arguments, **environ):
    """Run `photoworld` with nothing in its environment but what it needs."""
    needed = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "photoworld", *arguments],
        env=needed | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version():
    result = command("--version")
    assert (result.returncode, result.stdout) == (0, f"photoworld {__version__}\n")


def one_line(result):
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_serve_does_not_start_without_a_secret_key():
    assert "PHOTOWORLD_SECRET_KEY is not set" in one_line(command("serve"))


def test_serve_says_which_database_it_cannot_open(tmp_path):
    said = one_line(command("serve", **KEY, PHOTOWORLD_DATABASE=str(tmp_path / "none" / "forum.sqlite3")))
    assert "PHOTOWORLD_DATABASE=" in said
    assert "none" in said


def test_serve_refuses_a_file_that_is_no_database(tmp_path):
    (tmp_path / "notes.txt").write_text("these are notes, and no database at all\n" * 50)
    said = one_line(command("serve", **KEY, PHOTOWORLD_DATABASE=str(tmp_path / "notes.txt")))
    assert "not a database" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "COMMAND"),
        (["dance"], "dance"),
        (["simulate", "--visitors", "0"], "'0' is not a whole number"),
        (["simulate", "--rate", "nan"], "'nan' is not a number"),
        (["simulate", "--rate", "0"], "'0' is not above 0"),
        (["simulate", "--url", "ftp://x"], "'ftp://x' starts with none of"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments, says):
    assert says in one_line(command(*arguments))
