"""Owners and modes."""

import pytest


@pytest.mark.parametrize(
    ("path", "user", "group", "mode"),
    [
        ("/var/lib/graphite/whisper", "_graphite", "_graphite", 0o755),
        ("/var/lib/graphite/web", "_graphite", "_graphite", 0o750),
        ("/var/lib/graphite/web/graphite.db", "_graphite", "_graphite", 0o644),
        ("/var/lib/statsd", "statsd", "statsd", 0o750),
        ("/var/lib/photoworld", "photoworld", "photoworld", 0o750),
        # Secrets
        ("/etc/graphing/tls/authority.key", "root", "root", 0o600),
        ("/etc/graphing/tls/server.key", "root", "root", 0o600),
        ("/etc/graphite/local_settings.py", "_graphite", "_graphite", 0o400),
        ("/etc/graphing/photoworld.env", "root", "photoworld", 0o640),
        # A daemon does not own its code or its configuration.
        ("/opt/graphing/venv/bin/graphing", "root", "root", 0o755),
        ("/etc/graphing/statsd.toml", "root", "root", 0o644),
        ("/etc/carbon/carbon.conf", "root", "root", 0o644),
    ],
)
def test_owner_and_mode(host, path, user, group, mode):
    file = host.file(path)
    assert (file.user, file.group, oct(file.mode)) == (user, group, oct(mode))


def test_root_finds_the_commands_of_the_platform(host):
    assert host.check_output("su - root -c 'graphing --version'").startswith("graphing ")
    assert host.file("/usr/local/bin/graphing").linked_to.startswith("/opt/graphing/releases/")
    assert host.run("su - root -c 'graphing-sniff --seconds 1 --filter=no.such.bucket'").rc == 0


@pytest.mark.parametrize("name", ["statsd", "photoworld"])
def test_a_daemon_is_nobody_to_log_in_as(host, name):
    assert host.user(name).shell == "/usr/sbin/nologin"
