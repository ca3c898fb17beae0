"""What AWS answers when it refuses, said in one sentence with what to do about it.

Pure text: the message of a failed amazon.aws module goes in. What is not known here comes out as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# The first pattern found in a message decides. {region}, and the groups of the pattern, may stand in the sentence.
SENTENCES = (
    (
        r"Unable to locate credentials|NoCredentials|No credentials",
        "There are no AWS credentials: export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "or AWS_PROFILE for a profile of ~/.aws.",
    ),
    (
        r"config profile \((?P<what>[^)]*)\) could not be found",
        "AWS_PROFILE names {what}, which ~/.aws/config does not have: export the name of a profile that it has.",
    ),
    (
        r"both a profile and access tokens",
        "AWS_PROFILE and AWS_ACCESS_KEY_ID are both set: unset one of them.",
    ),
    (
        r"Partial credentials",
        "Half of the AWS credentials is missing: export both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    ),
    (
        r"ExpiredToken|RequestExpired|TokenRefreshRequired|Token has expired|SSOTokenLoad|UnauthorizedSSOToken",
        "The AWS credentials have expired, or this computer's clock is wrong: get new ones "
        "(aws sso login, or export fresh keys).",
    ),
    (
        r"AuthFailure|InvalidClientTokenId|SignatureDoesNotMatch|UnrecognizedClient|InvalidAccessKeyId|IncompleteSignature",
        "AWS does not know these credentials, or region {region} is not enabled for the account: "
        "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION.",
    ),
    (
        r"VcpuLimitExceeded|InstanceLimitExceeded",
        "The account's quota allows no further instance of this type in {region}: ask for more in Service Quotas "
        "(Running On-Demand Standard instances), terminate one, or set a smaller ec2_instance_type.",
    ),
    (
        r"VolumeLimitExceeded|MaxIOPSLimitExceeded",
        "The account's quota of EBS storage in {region} is used up: ask for more in Service Quotas, "
        "or lower ec2_series.",
    ),
    (
        r"VolumeModificationRateExceeded",
        "AWS lets a volume be changed only once in some hours: run this again later.",
    ),
    (
        r"InsufficientInstanceCapacity|Unsupported.*Availability Zone|instance type is not supported in your requested",
        "AWS has no instance of this type free in that zone of {region}: set ec2_subnet to one in another zone, "
        "or another ec2_instance_type.",
    ),
    (
        r"(?:UnauthorizedOperation|AccessDenied).*?perform:? (?P<what>[a-z0-9-]+:\w+)",
        "The AWS credentials may not do {what}: let the account's administrator allow it "
        "(docs/ec2.md lists what is needed).",
    ),
    (
        r"UnauthorizedOperation|AccessDenied|not authorized to perform",
        "The AWS credentials may not do this: let the account's administrator allow what docs/ec2.md lists.",
    ),
    (
        r"OptInRequired",
        "The AWS account is not ready for EC2 in {region}: finish its sign-up or enable the region.",
    ),
    (
        r"Could not connect to the endpoint URL|EndpointConnectionError|ConnectTimeout|Failed to connect to proxy",
        "AWS cannot be reached in region {region}: check the name in AWS_REGION (for example eu-central-1) "
        "and the network.",
    ),
    (
        r"RequestLimitExceeded|Throttling",
        "AWS asks to be asked less often: run this again in a minute.",
    ),
)


def explained(message: str, region: str = "") -> str:
    """One sentence with the remedy for what AWS said, or the message itself if it is an unknown one."""
    for pattern, sentence in SENTENCES:
        if found := re.search(pattern, message, re.DOTALL):
            return sentence.format(region=region, **found.groupdict())
    return message


class FilterModule:
    """Hand the filters to Ansible."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Name each filter."""
        return {"ec2_explained": explained}
