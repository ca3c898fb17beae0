"""The account of the pretended AWS: `account.py prepare` gives it what others have there, `account.py show` lists all.

What `show` prints after the removal must be what it printed before: {kind: {id: what it is}} as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3

NETWORK = "172.30.0.0/16"
SUBNET = "172.30.1.0/24"


def prepare(ec2: Any) -> None:
    """A network of its own, and things of others under the very names that ours will have."""
    vpc = ec2.create_vpc(CidrBlock=NETWORK)["Vpc"]["VpcId"]
    tags = [{"ResourceType": "subnet", "Tags": [{"Key": "Name", "Value": "test-hosts"}]}]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=SUBNET, TagSpecifications=tags)["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="another", Description="another's", VpcId=vpc)["GroupId"]
    ec2.create_key_pair(KeyName="another")
    named = [{"Key": "Name", "Value": "molecule-ec2"}]
    ec2.run_instances(
        ImageId=ec2.describe_images(Owners=["136693071363"])["Images"][0]["ImageId"],
        MinCount=1,
        MaxCount=1,
        KeyName="another",
        SubnetId=subnet,
        SecurityGroupIds=[group],
        TagSpecifications=[{"ResourceType": "instance", "Tags": named}],
    )
    zone = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailabilityZone"]
    volume = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "molecule-ec2-whisper"}]}]
    ec2.create_volume(AvailabilityZone=zone, Size=1, TagSpecifications=volume)


def show(ec2: Any) -> dict[str, dict[str, Any]]:
    """All that the account has, but for instances that have been terminated, which AWS shows for a while."""
    instances = [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    alive = [i for i in instances if i["State"]["Name"] not in ("terminated", "shutting-down")]
    return {
        "instances": {i["InstanceId"]: [i["State"]["Name"], i.get("Tags")] for i in alive},
        "volumes": {v["VolumeId"]: [v["State"], v["Size"], v.get("Tags")] for v in ec2.describe_volumes()["Volumes"]},
        "groups": {
            g["GroupId"]: [g["GroupName"], g["IpPermissions"]] for g in ec2.describe_security_groups()["SecurityGroups"]
        },
        "keys": {k["KeyPairId"]: k["KeyName"] for k in ec2.describe_key_pairs()["KeyPairs"]},
        "subnets": {s["SubnetId"]: s["CidrBlock"] for s in ec2.describe_subnets()["Subnets"]},
        "networks": {v["VpcId"]: v["CidrBlock"] for v in ec2.describe_vpcs()["Vpcs"]},
    }


if __name__ == "__main__":
    client = boto3.client("ec2")
    if sys.argv[1] == "prepare":
        prepare(client)
    print(json.dumps(show(client), indent=1, sort_keys=True))
