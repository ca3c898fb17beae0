"""The graphing server on the instance, by SSH, and the playbook that made the instance, run again."""

import json
import stat
import subprocess

import boto3
import pytest
from playbook import ROOT, run_playbook

WHISPER = "/var/lib/graphite/whisper"


@pytest.fixture(scope="session")
def instance(inventory):
    """What the inventory knows of the instance."""
    ran = subprocess.run(
        ["ansible-inventory", "-i", inventory, "--list"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    # What AWS said is marked as not to be trusted as a template: {"__ansible_unsafe": value}.
    known = json.loads(ran.stdout, object_hook=lambda found: found.get("__ansible_unsafe", found))
    return known["_meta"]["hostvars"]["molecule-ec2"]


def test_numbers_come_through(site):
    stamp = site.send("by.ec2:3|c")
    assert site.until(lambda: site.render("stats.by.ec2.count").get("stats.by.ec2.count", {}).get(stamp)) == 3


def test_it_is_reached_by_the_user_of_the_image_with_the_key_of_the_pair(host, instance, inventory):
    assert host.check_output("printenv SUDO_USER") == "admin"
    assert instance["private_ip_address"] in host.check_output("ip -4 -o addr show")
    assert stat.S_IMODE((inventory / "secrets/molecule-ec2/ssh_key").stat().st_mode) == 0o600


def test_the_host_key_is_kept_beside_the_inventory(inventory, instance):
    known = inventory / "secrets/molecule-ec2/known_hosts"
    ran = subprocess.run(["ssh-keygen", "-F", instance["private_ip_address"], "-f", known], check=False)
    assert ran.returncode == 0, known.read_text()


def test_the_numbers_lie_on_the_volume_of_that_id(host, site, instance):
    (volume,) = [m["ebs"]["volume_id"] for m in instance["block_device_mappings"] if m["device_name"] == "/dev/sdf"]
    name = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    disk = host.check_output("readlink -f %s", name)
    assert host.check_output("findmnt --noheadings --output SOURCE,FSTYPE %s", WHISPER).split() == [disk, "ext4"]
    assert f"{name} {WHISPER} ext4 noatime,nofail" in host.file("/etc/fstab").content_string
    site.send("on.disk:1|c")
    series = f"{WHISPER}/stats/on/disk/count.wsp"
    site.until(lambda: host.file(series).exists)
    assert host.check_output("stat --format %%m %s", series) == WHISPER
    assert host.file(WHISPER).user == "_graphite"
    assert not host.file(f"{WHISPER}/lost+found").exists


def test_carbon_does_not_start_without_its_disk(host):
    needed = host.check_output("systemctl show --property Requires --value carbon-cache@a").split()
    assert "var-lib-graphite-whisper.mount" in needed


def test_a_disk_that_is_not_there_is_refused_and_nothing_changes(host, inventory):
    before = host.check_output("findmnt --noheadings --output SOURCE %s", WHISPER)
    run = run_playbook("site", inventory, carbon_data_device="/dev/disk/by-id/not-there")
    assert run.status != 0
    assert "is not a disk of the host: attach it, or name one that ls -l /dev/disk/by-id/ shows there" in run.words, (
        run.output
    )
    assert "changed=0" in run.words, run.output
    assert host.check_output("findmnt --noheadings --output SOURCE %s", WHISPER) == before


def test_the_host_lets_in_whom_the_security_group_lets_in(host):
    (group,) = boto3.client("ec2").describe_security_groups(
        Filters=[{"Name": "tag:photoworld-graphing", "Values": ["molecule-ec2"]}]
    )["SecurityGroups"]
    rules = host.file("/etc/graphing-firewall.nft").content_string
    others = [rule for rule in group["IpPermissions"] if rule["FromPort"] != 22]
    assert others
    for rule in others:
        for network in rule["IpRanges"]:
            assert f"ip saddr {network['CidrIp']} {rule['IpProtocol']} dport {rule['FromPort']} accept" in rules


def test_a_second_run_of_the_playbook_changes_nothing(inventory):
    run = run_playbook("ec2", ROOT / "inventory/local", ec2_inventory=str(inventory))
    assert run.status == 0, run.output
    assert "changed=0" in run.words, run.output
