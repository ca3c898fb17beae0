"""New secrets: the old ones are refused, sessions end, and a run that was interrupted is taken up again."""

import os
import signal
import subprocess

import pytest
from playbook import ROOT, plain_environment, run_playbook

FILES = ("graphite_web_admin_password", "graphite_web_secret_key", "photoworld_secret_key")


@pytest.fixture
def secrets(host, inventory):
    return inventory / "secrets" / host.check_output("hostname")


def texts(secrets):
    return {name: (secrets / name).read_text().strip() for name in FILES}


def session(site, password):
    """The cookie of a session, or None if the password is refused."""
    form = {"username": "admin", "password": password, "nextPage": "/"}
    answer = site.request("/account/login", form, Host="localhost", Cookie="")
    found = [text.split(";")[0] for name, text in answer["headers"] if name == "set-cookie" and "sessionid=" in text]
    return found[0] if found else None


def logged_in(site, cookie):
    return site.request("/admin/", Host="localhost", Cookie=cookie)["status"] == 200


def test_a_check_changes_nothing(secrets, inventory):
    before = texts(secrets)
    run = run_playbook("secrets", inventory, "--check")
    assert run.status == 0, run.output
    assert "would get: admin_password, graphite_web_key, photoworld_key" in run.words
    assert texts(secrets) == before


def test_all_are_new_and_none_is_printed(host, site, secrets, inventory):
    before = texts(secrets)
    cookie = session(site, before[FILES[0]])
    assert logged_in(site, cookie)
    forum = host.file("/etc/graphing/photoworld.env").sha256sum
    run = run_playbook("secrets", inventory, "-vvv", "--diff")
    assert run.status == 0, run.output
    after = texts(secrets)
    assert all(before[name] != after[name] for name in FILES)
    assert not logged_in(site, cookie)
    assert session(site, before[FILES[0]]) is None
    assert logged_in(site, session(site, after[FILES[0]]))
    assert host.file("/etc/graphing/photoworld.env").sha256sum != forum
    assert after["graphite_web_secret_key"] in host.file("/etc/graphite/local_settings.py").content_string
    assert not [name for name in FILES if before[name] in run.output or after[name] in run.output]
    assert not list(secrets.glob("*.new"))


def test_an_interrupted_run_is_taken_up(site, secrets, inventory):
    """Killed when the host has the new password and the controller's file still the old one."""
    before = texts(secrets)
    command = ["ansible-playbook", "-i", str(inventory), str(ROOT / "playbooks/secrets.yml")]
    command += ["--extra-vars", '{"secrets_rotate": ["admin_password"]}']
    environment = {**plain_environment(), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True, stdin=subprocess.DEVNULL
    ) as run:
        for line in run.stdout:
            if "Update tables, accounts and dashboards" in line:
                os.killpg(run.pid, signal.SIGKILL)
                break
    assert texts(secrets) == before, "it was not interrupted"
    new = (secrets / "graphite_web_admin_password.new").read_text().strip()
    assert session(site, before[FILES[0]]) is None
    assert session(site, new)
    again = run_playbook("secrets", inventory, secrets_rotate=["admin_password"])
    assert again.status == 0, again.output
    assert texts(secrets) == {**before, FILES[0]: new}
    assert session(site, new)


def test_a_secret_that_the_inventory_gives_is_refused(secrets, inventory):
    before = texts(secrets)
    run = run_playbook("secrets", inventory, graphite_web_secret_key="x" * 64)
    assert run.status != 0
    assert "graphite_web_secret_key is given in the inventory: change it there" in run.words, run.output
    assert texts(secrets) == before


def test_an_unknown_secret_is_refused(inventory):
    run = run_playbook("secrets", inventory, secrets_rotate=["admin_passwort"])
    assert run.status != 0
    assert "admin_passwort is not one of admin_password, graphite_web_key, photoworld_key" in run.words, run.output
