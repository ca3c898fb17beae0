"""A role of three files (../roles/guestbook) is installed, opened, backed up, restored, rotated and taken away.

Nothing in the tree knows of it: the inventory's list of further roles (`site_roles`) and its own declaration are all.
"""

import pytest
import testinfra
import yaml
from bare_state import bare_state, differences
from playbook import ROOT, run_playbook

# All of them, so that pytest leaves them in their order: they are steps of one story.
pytestmark = pytest.mark.usefixtures("host")

ROLE = [{"role": "guestbook", "parts": ["web"]}]
PAGE = "/var/lib/guestbook/page"


@pytest.fixture(scope="module")
def spare_inventory(inventory):
    return inventory.parent / "spare"


@pytest.fixture(scope="module")
def name(spare_inventory):
    (name,) = yaml.safe_load((spare_inventory / "hosts.yml").read_text())["graphing"]["hosts"]
    return name


@pytest.fixture(scope="module")
def spare(spare_inventory, name):
    return testinfra.get_host(f"ansible://{name}?ansible_inventory={spare_inventory}")


@pytest.fixture(scope="module")
def bare(spare):
    """The host before anything was done to it."""
    return bare_state(spare)


@pytest.fixture(scope="module")
def play(spare_inventory):
    """Runs a playbook with the role, which lies outside of roles/."""

    def run(playbook, *options, **variables):
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("ANSIBLE_ROLES_PATH", f"{ROOT}/roles:{ROOT}/molecule/day-two/roles")
            ran = run_playbook(playbook, spare_inventory, *options, site_roles=ROLE, **variables)
        assert ran.status == 0, ran.output
        return ran

    return run


def key(spare_inventory, name):
    return (spare_inventory / "secrets" / name / "guestbook_key").read_text().strip()


def test_a_check_changes_nothing(spare, bare, play):
    play("site", "--check")
    assert differences(bare, bare_state(spare)) == {}


def test_it_is_installed_and_opened(spare, bare, play, spare_inventory, name):
    play("site")
    assert spare.service("guestbook").is_running
    assert spare.service("guestbook").is_enabled
    assert spare.socket("tcp://0.0.0.0:8099").is_listening
    opened = 'ip saddr 192.0.2.0/24 tcp dport 8099 accept comment "guestbook"'
    assert opened in spare.check_output("nft list table inet graphing")
    assert key(spare_inventory, name) in spare.file("/etc/guestbook/key.env").content_string


def test_a_second_run_changes_nothing(play):
    assert "changed=0" in play("site").words


def test_a_port_that_another_role_has_is_refused(spare_inventory, play):
    with pytest.raises(AssertionError, match=r"Port 8099/tcp is wanted by [^:]*role guestbook"):
        play("site", statsd_http_port=8099)


def test_its_data_is_backed_up_and_restored(spare, play, name):
    spare.check_output(f"runuser -u guestbook -- sh -c 'echo first > {PAGE}'")
    assert "guestbook.tar" not in play("backup").words
    spare.check_output(f"runuser -u guestbook -- sh -c 'echo second > {PAGE}; echo more > {PAGE}.more'")
    said = play("restore", restore_replace=True).words
    assert "guestbook.tar" in said
    assert spare.file(PAGE).content_string == "first\n"
    assert (spare.file(PAGE).user, spare.file(PAGE).mode) == ("guestbook", 0o640)
    assert not spare.file(f"{PAGE}.more").exists
    assert spare.service("guestbook").is_running


def test_its_secret_is_made_anew(spare, play, spare_inventory, name):
    before = key(spare_inventory, name)
    play("secrets", secrets_rotate=["guestbook_key"])
    after = key(spare_inventory, name)
    assert after != before
    assert after in spare.file("/etc/guestbook/key.env").content_string


def test_it_is_taken_away_with_the_rest(spare, bare, play, name):
    said = play("uninstall", uninstall_confirm=name).words
    assert "/var/lib/guestbook" in said
    assert spare.file(PAGE).content_string == "first\n"
    play("uninstall", uninstall_confirm=name, uninstall_data=True)
    assert not spare.file(PAGE).exists
    # What is left is the backups, and what a second role of the same name would find.
    assert differences(bare, bare_state(spare)) == {}
