"""host_hardening and host_banner: what is Debian's, hardened too."""

import re

import pytest

LYNIS_WANTED = 80


@pytest.fixture
def lynis(host):
    """Debian's lynis, for as long as the test takes."""
    host.check_output("apt-get install --yes --no-install-recommends lynis")
    yield "lynis audit system --quick --no-colors"
    host.check_output("apt-get purge --yes lynis")
    host.check_output("rm -f /var/log/lynis.log /var/log/lynis-report.dat")


def test_lynis_is_content(host, lynis):
    """In a container: what it says of the kernel, 17 points, is the word of the machine around it."""
    host.check_output(lynis)
    report = host.file("/var/log/lynis-report.dat").content_string
    found = int(re.search(r"^hardening_index=(\d+)$", report, re.MULTILINE)[1])
    missing = re.findall(r"^(?:warning|suggestion)\[\]=(.*)$", report, re.MULTILINE)
    print(f"lynis: {found} of 100")
    assert found >= LYNIS_WANTED, "\n".join(missing)


def test_what_its_packages_enable_runs_without_a_reboot(site):
    """unattended-upgrades among them, which no role starts."""
    enabled = site.enabled_units()
    assert enabled["unattended-upgrades.service"] == "runs"
    assert [name for name, state in enabled.items() if state == "waits"] == []


def test_sshd_does_what_is_needed_alone(host):
    settings = host.check_output("sshd -T").splitlines()
    assert {
        "allowtcpforwarding no",
        "allowagentforwarding no",
        "x11forwarding no",
        "maxauthtries 3",
        "loglevel VERBOSE",
        "banner /etc/issue.net",
    } <= set(settings)


def test_who_comes_is_told_whose_it_is(host):
    assert "Nobody but the staff" in host.file("/etc/issue.net").content_string
    assert "Debian" in host.file("/etc/issue.net.before-graphing").content_string


def test_a_new_accounts_password_grows_old(host):
    host.check_output("useradd newcomer")
    try:
        assert re.search(r"Maximum number of days .*: 365\n", host.check_output("chage --list newcomer"))
    finally:
        host.check_output("userdel newcomer")


def test_a_weak_password_is_refused(host):
    """Where a person sets it, from the second day on; root may set any."""
    host.check_output("useradd --create-home weakling && echo weakling:a-First.Password9 | chpasswd")
    host.check_output("chage --mindays 0 weakling")
    try:
        changed = host.run("su weakling -s /bin/sh -c %s", "printf 'a-First.Password9\\nabc\\nabc\\n' | passwd")
        assert changed.rc != 0
        assert "Weak password" in changed.stdout + changed.stderr
    finally:
        host.check_output("userdel --force --remove weakling")


def test_shells_leave_no_cores_and_end(host):
    assert host.check_output("bash --login -c 'ulimit -c; echo $TMOUT'").split() == ["0", "3600"]


def test_fail2ban_watches_sshd(host):
    assert host.service("fail2ban").is_running
    assert "Currently banned" in host.check_output("fail2ban-client status sshd")


def test_security_updates_come_by_themselves(host):
    assert 'APT::Periodic::Unattended-Upgrade "1"' in host.check_output("apt-config dump")
