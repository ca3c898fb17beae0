"""What AWS refuses is said in a sentence with the remedy. The messages are those of amazon.aws' modules."""

import pytest


@pytest.fixture(scope="session")
def errors(load):
    return load("plugins/filter/ec2_errors.py")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "Failed to get caller identity: Unable to locate credentials",
            "There are no AWS credentials: export AWS_ACCESS_KEY_ID",
        ),
        ("The config profile (nope) could not be found", "AWS_PROFILE names nope"),
        (
            "An error occurred (AuthFailure) when calling the DescribeInstances operation: AWS was not able to",
            "does not know these",
        ),
        ("An error occurred (ExpiredToken) when calling the GetCallerIdentity operation", "have expired"),
        (
            "An error occurred (VcpuLimitExceeded) when calling the RunInstances operation: You have requested",
            "The account's quota allows no further instance of this type in eu-central-1",
        ),
        (
            "An error occurred (InstanceLimitExceeded) when calling the RunInstances operation",
            "quota allows no further instance",
        ),
        ("An error occurred (VolumeModificationRateExceeded) when calling", "run this again later"),
        (
            "(UnauthorizedOperation) You are not authorized to perform this operation. User: arn:aws:iam::1:user/x is "
            "not authorized to perform: ec2:RunInstances on resource: y",
            "may not do ec2:RunInstances",
        ),
        (
            'Could not connect to the endpoint URL: "https://ec2.eu-nowhere-1.amazonaws.com/"',
            "cannot be reached in region eu-central-1",
        ),
    ],
)
def test_a_known_refusal_is_explained(errors, message, said):
    explanation = errors.explained(message, "eu-central-1")
    assert said in explanation
    assert "\n" not in explanation


def test_an_unknown_one_stays_as_it_is(errors):
    assert errors.explained("The moon is full", "eu-central-1") == "The moon is full"
