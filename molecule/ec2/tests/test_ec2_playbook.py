"""playbooks/ec2.yml against a pretended AWS of its own: what it makes, leaves alone, and says when AWS refuses."""

import json
import shutil
import stat
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pretended_aws
import pytest
from playbook import ROOT, run_playbook
from ports import reserve_port

REGION = "eu-central-1"
OFFICE = "192.0.2.0/24"
ASKED_FOR = {"statsd_networks": ["198.51.100.0/24"], "ec2_tags": {"team": "graphs"}, "graphite_web_port": 443}


class Account:
    """A pretended account of AWS, and ec2.yml as a person runs it on it."""

    def __init__(self, directory: Path, port: int):
        self.aws = directory / "aws"
        self.inventory = directory / "inventory"
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.api = boto3.client(
            "ec2",
            region_name=REGION,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def run(self, *options, **variables):
        given: dict[str, Any] = {
            "ec2_ssh_networks": [OFFICE],
            "ec2_ssh_wait": 0,
            "ec2_inventory": str(self.inventory),
            **variables,
        }
        return run_playbook("ec2", ROOT / "inventory/local", *options, **given)

    def instances(self, *states):
        found = self.api.describe_instances(
            Filters=[{"Name": "instance-state-name", "Values": list(states or ("pending", "running"))}]
        )
        return [instance for reservation in found["Reservations"] for instance in reservation["Instances"]]

    def volume(self):
        (found,) = self.api.describe_volumes(Filters=[{"Name": "tag:Name", "Values": ["graphs-whisper"]}])["Volumes"]
        return found

    def everything(self):
        """All that there is, but for instances that have been terminated, which AWS shows for a while."""
        return {
            "instances": {i["InstanceId"] for i in self.instances("pending", "running", "stopping", "stopped")},
            "volumes": {v["VolumeId"] for v in self.api.describe_volumes()["Volumes"]},
            "groups": {g["GroupId"] for g in self.api.describe_security_groups()["SecurityGroups"]},
            "keys": {k["KeyPairId"] for k in self.api.describe_key_pairs()["KeyPairs"]},
        }


@pytest.fixture(scope="module")
def pretended(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ec2")
    port = reserve_port()
    pretended_aws.start(directory / "aws", port)
    account = Account(directory, port)
    shutil.copytree(ROOT / "inventory/ec2", account.inventory, ignore=shutil.ignore_patterns("secrets"))
    yield account
    pretended_aws.stop(directory / "aws")


@pytest.fixture
def account(pretended, monkeypatch):
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in pretended.environment.items():
        monkeypatch.setenv(name, value)
    return pretended


@pytest.fixture(scope="module")
def made(pretended):
    """The account with an instance, made by the run after one that met a quota; what it had before is beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_PROFILE", raising=False)
        for name, value in pretended.environment.items():
            patch.setenv(name, value)
        pretended.before = pretended.everything()
        refuse = pretended.aws / "refuse"
        refuse.write_text("VcpuLimitExceeded You have requested more vCPU capacity than your limit of 0 allows")
        pretended.refused = pretended.run(**ASKED_FOR)
        refuse.unlink()
        pretended.first = pretended.run(**ASKED_FOR)
    return pretended


# What stands in the way: named, and nothing is made.


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "There are no AWS credentials: export AWS_ACCESS_KEY_ID",
        ),
        ({"AWS_PROFILE": "nope"}, "AWS_PROFILE and AWS_ACCESS_KEY_ID are both set: unset one of them"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "nope"},
            "AWS_PROFILE names nope, which ~/.aws/config does not have",
        ),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS cannot be reached in region eu-central-1"),
    ],
)
def test_why_aws_cannot_be_asked_is_named(account, monkeypatch, environment, complaint):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    run = account.run()
    assert run.status != 0
    assert complaint in run.words, run.output
    assert "changed=0" in run.words, run.output


def test_credentials_that_aws_does_not_know_are_named(account):
    def let_unknown_in(how_often):
        address = account.environment["AWS_ENDPOINT_URL"] + "/moto-api/reset-auth"
        asked = urllib.request.Request(address, data=how_often, headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(asked, timeout=10).close()

    let_unknown_in(b"0")
    try:
        run = account.run()
    finally:
        let_unknown_in(b"inf")
    assert run.status != 0
    assert "AWS does not know these credentials" in run.words, run.output


def test_a_subnet_that_is_not_there_is_named(account):
    before = account.everything()
    run = account.run(ec2_subnet="mine")
    assert run.status != 0
    assert "eu-central-1 has no subnet mine: set ec2_subnet to the id or the Name" in run.words, run.output
    assert account.everything() == before


def test_a_region_without_the_image_is_named(tmp_path, account, monkeypatch):
    port = reserve_port()
    pretended_aws.start(tmp_path / "aws", port, with_images=False)
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        run = account.run()
    finally:
        pretended_aws.stop(tmp_path / "aws")
    assert run.status != 0
    assert "eu-central-1 has no image of Debian 13 for amd64 by Debian's account 136693071363" in run.words, run.output


def test_what_is_anothers_is_neither_taken_nor_removed(account):
    account.api.create_key_pair(KeyName="theirs")
    group = account.api.create_security_group(GroupName="theirs", Description="theirs")["GroupId"]
    before = account.everything()
    try:
        run = account.run(ec2_name="theirs")
        assert run.status != 0
        assert "Key pair and security group theirs in eu-central-1: not made by this playbook" in run.words, run.output
        gone = account.run(ec2_name="theirs", ec2_state="absent", ec2_delete_data=True)
        assert gone.status == 0, gone.output
        assert account.everything() == before
    finally:
        account.api.delete_key_pair(KeyName="theirs")
        account.api.delete_security_group(GroupId=group)


def test_a_check_makes_nothing_and_says_what_it_would(account):
    before = account.everything()
    run = account.run("--check", ec2_name="checked")
    assert run.status == 0, run.output
    assert "checked would be a t3.small in eu-central-1, with 10 GiB for 10,000 series" in run.words, run.output
    assert account.everything() == before
    assert not (account.inventory / "secrets/checked").exists()


# What is made. From here on the account has the instance `graphs`.


def test_a_quota_is_named(made):
    assert made.refused.status != 0
    assert "The account's quota allows no further instance of this type in eu-central-1" in made.refused.words


def test_the_instance_is_what_was_asked_for(made):
    assert made.first.status == 0, made.first.output
    (instance,) = made.instances()
    assert instance["ImageId"] == pretended_aws.NEWEST, "the newest of Debian's own, Debian 13, amd64"
    assert instance["InstanceType"] == "t3.small"
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["PublicIpAddress"]
    wanted = {"Name": "graphs", "photoworld-graphing": "graphs", "team": "graphs"}
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == wanted


def test_every_disk_is_encrypted_and_that_of_the_numbers_outlives_the_instance(made):
    (instance,) = made.instances()
    volumes = {v["VolumeId"]: v for v in made.api.describe_volumes()["Volumes"]}
    mapped = {m["DeviceName"]: m["Ebs"] for m in instance["BlockDeviceMappings"]}
    assert set(mapped) == {"/dev/xvda", "/dev/sdf"}
    assert all(volumes[disk["VolumeId"]]["Encrypted"] for disk in mapped.values())
    assert mapped["/dev/sdf"]["DeleteOnTermination"] is False
    assert mapped["/dev/xvda"]["DeleteOnTermination"] is True
    numbers = made.volume()
    assert (numbers["Size"], numbers["VolumeType"]) == (10, "gp3")


def test_only_the_declared_networks_are_let_in(made):
    (group,) = made.api.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["graphs"]}])[
        "SecurityGroups"
    ]
    opened = {
        (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], network["CidrIp"])
        for rule in group["IpPermissions"]
        for network in rule["IpRanges"]
    }
    assert opened == {("tcp", 22, 22, OFFICE), ("tcp", 443, 443, OFFICE), ("udp", 8125, 8125, "198.51.100.0/24")}
    assert not any(rule["Ipv6Ranges"] for rule in group["IpPermissions"])


def test_all_that_was_made_carries_the_mark(made):
    (group,) = made.api.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["graphs"]}])[
        "SecurityGroups"
    ]
    (key,) = made.api.describe_key_pairs(KeyNames=["graphs"])["KeyPairs"]
    new = made.everything()["volumes"] - made.before["volumes"]
    volumes = made.api.describe_volumes(VolumeIds=list(new))["Volumes"]
    assert len(volumes) == 2
    for thing in (group, key, *volumes):
        tags = {tag["Key"]: tag["Value"] for tag in thing["Tags"]}
        assert tags["photoworld-graphing"] == "graphs", thing
        assert tags["team"] == "graphs", thing


def test_the_private_key_is_for_its_owner_alone_and_never_printed(made):
    key = made.inventory / "secrets/graphs/ssh_key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().splitlines()[1] not in made.first.output


def test_a_second_run_changes_nothing(made, account):
    before = made.everything()
    run = account.run(**ASKED_FOR)
    assert run.status == 0, run.output
    assert "changed=0" in run.words, run.output
    assert made.everything() == before


def test_a_key_that_is_elsewhere_is_missed(made, account):
    key = made.inventory / "secrets/graphs/ssh_key"
    kept = key.rename(key.with_name("elsewhere"))
    try:
        run = account.run()
    finally:
        kept.rename(key)
    assert run.status != 0
    assert "The private key of graphs is not on this computer: copy" in run.words, run.output


def test_more_series_make_the_volume_grow(made, account):
    grown = account.run(ec2_series=15_000)
    assert grown.status == 0, grown.output
    assert made.volume()["Size"] == 15


def test_the_inventory_finds_it_alone_and_knows_its_way_and_its_disk(made, account):
    account.api.run_instances(ImageId=pretended_aws.NEWEST, MinCount=1, MaxCount=1)
    ran = subprocess.run(
        ["ansible-inventory", "-i", account.inventory, "--list"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stderr
    hosts = json.loads(ran.stdout)
    assert set(hosts["_meta"]["hostvars"]) == {"graphs"}
    assert hosts["graphing"]["hosts"] == ["graphs"]


def test_a_removal_keeps_the_numbers_and_all_that_is_anothers(made, account):
    others = account.everything()["instances"] - {
        i["InstanceId"] for i in made.instances() if i.get("KeyName") == "graphs"
    }
    numbers = made.volume()["VolumeId"]
    run = account.run(ec2_state="absent")
    assert run.status == 0, run.output
    assert f"Nothing of graphs is left in eu-central-1 but its numbers. Volume {numbers}" in run.words, run.output
    left = account.everything()
    assert left["instances"] == others
    assert numbers in left["volumes"]
    assert left["groups"] == made.before["groups"]
    assert left["keys"] == made.before["keys"]
    assert not (made.inventory / "secrets/graphs/ssh_key").exists()


def test_a_new_instance_takes_the_numbers_over_and_fewer_series_do_not_shrink_them(made, account):
    numbers = made.volume()
    run = account.run(ec2_series=1_000)
    assert run.status == 0, run.output
    again = made.volume()
    assert (again["VolumeId"], again["Size"]) == (numbers["VolumeId"], 15)
    (instance,) = [i for i in made.instances() if i.get("KeyName") == "graphs"]
    assert again["Attachments"][0]["InstanceId"] == instance["InstanceId"]
    assert instance["Placement"]["AvailabilityZone"] == numbers["AvailabilityZone"]


def test_a_removal_with_the_numbers_leaves_what_there_was(made, account):
    run = account.run(ec2_state="absent", ec2_delete_data=True)
    assert run.status == 0, run.output
    left = account.everything()
    assert {kind: left[kind] for kind in ("groups", "keys")} == {kind: made.before[kind] for kind in ("groups", "keys")}
    assert not made.api.describe_volumes(Filters=[{"Name": "tag-key", "Values": ["photoworld-graphing"]}])["Volumes"]
