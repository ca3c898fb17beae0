"""Variables of role host.

Three show nothing here: host_free_mib is asked of bare hosts alone, and host_udp_buffer and host_sysctl are the
kernel's, which containers share.
"""


def test_the_journal_is_bounded(host):
    said = host.check_output("journalctl -u systemd-journald -o cat --no-pager -g 'System Journal'").splitlines()[-1]
    assert "max 96M" in said


def test_the_firewall_leaves_sshs_ports_open(host):
    """The one that was given, and the one on which it listens."""
    rules = host.check_output("nft list chain inet graphing input")
    assert 'tcp dport { 22, 2222 } accept comment "sshd"' in rules


def test_the_host_reports_under_its_other_name(host, site):
    site.until(lambda: host.file("/var/lib/graphite/whisper/hosts/other-name").is_directory)
    assert host.check_output("ls /var/lib/graphite/whisper/hosts") == "other-name"
