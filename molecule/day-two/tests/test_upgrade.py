"""An upgrade under load and the way back: numbered events flow, and not one is missing."""

import json
import re
import shutil
import uuid

import pytest
from playbook import ROOT, run_playbook

# Numbered events until the file STOP is there, ten minutes at most; their number goes to DONE.
FLOOD = """
import os, socket, sys, time
bucket, port, stop, done = sys.argv[1:]
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end, sent = time.monotonic() + 600, 0
while time.monotonic() < end and not os.path.exists(stop):
    for _ in range(10):
        out.sendto(f"{bucket}:{sent}|ms\\n{bucket}.events:1|c".encode(), ("127.0.0.1", int(port)))
        sent += 1
    time.sleep(0.02)
with open(done + ".new", "w") as file:
    print(sent, file=file)
os.rename(done + ".new", done)
"""
STOP, DONE = "/run/flood-stop", "/run/flood-done"


@pytest.fixture
def newer(tmp_path):
    """A checkout of another release: the same but for its version."""
    root = tmp_path / "newer"
    left_out = shutil.ignore_patterns(".git", ".venv", ".cache", "secrets", "backups", "__pycache__", "*_cache")
    shutil.copytree(ROOT, root, ignore=left_out, symlinks=True)
    (root / ".cache").symlink_to(ROOT / ".cache")
    version = root / "files/graphing/src/graphing/__init__.py"
    text = version.read_text()
    version.write_text(text.replace('__version__ = "', '__version__ = "99.'))
    assert version.read_text() != text
    return root


@pytest.fixture
def flood(host, site):
    """Events on their way; ending them gives their bucket and number."""
    bucket = f"upgrade.{uuid.uuid4().hex[:12]}"
    host.check_output(f"rm -f {STOP} {DONE}")
    host.check_output(
        f"systemd-run --quiet --collect python3 -c %s {bucket} {getattr(site, 'port', 8125)} {STOP} {DONE}", FLOOD
    )

    def end():
        host.check_output(f"touch {STOP}")
        site.until(lambda: host.file(DONE).exists)
        return bucket, int(host.file(DONE).content_string)

    yield end
    host.check_output(f"touch {STOP}")


@pytest.fixture
def no_relay(host):
    """The relay is stopped: numbers stop there."""
    host.check_output("systemctl stop carbon-c-relay")
    yield
    host.check_output("systemctl start carbon-c-relay")


def changed(output):
    """The tasks that changed something, as ROLE : NAME."""
    return re.findall(r"^\[[\d:]+\] (.*?) {2,}changed", output, re.MULTILINE)


def units(host):
    """What the units say, and which processes they have."""
    kept = host.check_output("cd /etc/systemd/system && find . -type f -exec sha256sum {} + | sort")
    return kept, host.check_output("systemctl show -p Id,MainPID 'statsd*' 'carbon*' 'graphite*' 'photoworld*' nginx")


def release(host):
    return host.check_output("readlink /opt/graphing/venv").split("/")[-2]


def version(host):
    return host.check_output("/opt/graphing/venv/bin/graphing --version")


def total(site, target):
    return sum(value for points in site.render(target, "-30min").values() for value in points.values())


def test_an_upgrade_to_the_release_that_is_there_changes_nothing(host, inventory):
    before = units(host)
    run = run_playbook("upgrade", inventory)
    assert run.status == 0, run.output
    backup, heading, platform = run.output.partition("== Python, which everything else is done with")
    assert changed(backup), "there was one, so that its play had looked at the host before the others did"
    assert heading
    assert changed(platform) == [], run.output
    assert units(host) == before


def test_a_number_that_does_not_come_through_is_explained(host, site, inventory, no_relay):
    """The last step alone: the others would start the relay."""
    run = run_playbook("upgrade", inventory, "--start-at-task", "Send a number through it")
    assert run.status != 0
    assert "No number could be read back as a graph within two minutes. The doctor of" in run.words, run.output
    assert "carbon-c-relay" in run.words.split("The doctor of")[1], run.output
    assert "stops at relay" in run.words, run.output


def test_nothing_is_missing_after_an_upgrade_and_the_way_back(host, site, inventory, newer, flood):
    before, first = release(host), version(host)
    backups = len(list((inventory / "backups").glob("*/data/0/*")))

    up = run_playbook("upgrade", inventory, root=newer)
    assert up.status == 0, up.output
    assert release(host) != before
    assert "99." in version(host)
    assert len(list((inventory / "backups").glob("*/data/0/*"))) > backups
    assert f"{before} before, {release(host)} now" in up.words, up.output

    back = run_playbook("upgrade", inventory, root=newer, upgrade_back=True)
    assert back.status == 0, back.output
    assert release(host) == before
    assert version(host) == first

    bucket, sent = flood()
    assert sent > 5000, "hardly anything was at risk"
    site.until(lambda: total(site, f"stats.{bucket}.events.count") >= sent)
    site.until(lambda: total(site, f"stats.{bucket}.count") >= sent)
    assert total(site, f"stats.{bucket}.events.count") == sent
    assert total(site, f"stats.{bucket}.sum") == sent * (sent - 1) / 2
    assert json.loads(host.file("/var/lib/graphing/upgrade.json").content_string)["before"]["graphing"] == before


def test_there_is_no_way_back_twice(host, inventory):
    before = release(host)
    run = run_playbook("upgrade", inventory, upgrade_back=True)
    assert run.status != 0
    assert "has no upgrade to go back from" in run.words, run.output
    assert release(host) == before


def test_two_releases_are_kept(host):
    assert len(host.file("/opt/graphing/releases").listdir()) == 2
