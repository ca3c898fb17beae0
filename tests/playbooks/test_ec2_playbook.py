"""What playbooks/ec2.yml says to bad input, before it asks AWS for anything."""

from typing import Any

import pytest
from playbook import ROOT, run_playbook

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt variable": (
        {"ec2_serie": 5},
        "ec2_serie is not a variable of playbooks/ec2.yml (did you mean ec2_series?)",
    ),
    "no network to log in from": (
        {"ec2_ssh_networks": []},
        "ec2_ssh_networks is empty: name the networks from which you log in",
    ),
    "SSH from everywhere": (
        {"ec2_ssh_networks": ["0.0.0.0/0"]},
        "holds 0.0.0.0/0, the whole internet: name your own networks, or set",
    ),
    "a network that is none": (
        {"ec2_ssh_networks": ["192.0.2.7/24"]},
        "192.0.2.7/24 is not a network: write 192.0.2.0/24",
    ),
    "a network of a role that is none": ({"carbon_networks": ["here"]}, "carbon_networks: here is not a network"),
    "no number of series": ({"ec2_series": "many"}, "argument 'ec2_series' is of type"),
    "no series": ({"ec2_series": 0}, "ec2_series is 0; it must be 1 or more"),
    "too many series": ({"ec2_series": 5_000_000}, "ec2_series is 5,000,000; one volume writes"),
    "a type that is too small": (
        {"ec2_series": 100_000, "ec2_instance_type": "t3.small"},
        "ec2_instance_type t3.small is too small for 100,000 series",
    ),
    "a retention that whisper would refuse": (
        {"carbon_retentions": "10s"},
        "'10s' is not STEP:LENGTH, for example 10s:6h",
    ),
    "a retention that is a list": (
        {"carbon_retentions": ["10s:6h"]},
        "carbon_retentions ['10s:6h']: is a list and must be",
    ),
    "a state that is none": ({"ec2_state": "gone"}, "value of ec2_state must be one of: present, absent"),
    "a name that is none": ({"ec2_name": "My Graphs"}, "ec2_name is My Graphs; it becomes the name of a host"),
}


def run(monkeypatch, environment, **given):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # Nobody listens there: whoever asks AWS nevertheless fails with other words.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    return run_playbook("ec2", ROOT / "inventory/local", **({"ec2_ssh_networks": ["192.0.2.0/24"]} | given))


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(monkeypatch, case):
    given, complaint = REFUSED[case]
    ran = run(monkeypatch, {"AWS_REGION": "eu-central-1"}, **given)
    assert ran.status != 0
    assert complaint in ran.words, ran.output
    assert "changed=0" in ran.words, ran.output


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({}, "No region is given: export AWS_REGION"),
        ({"AWS_REGION": "Frankfurt"}, "AWS_REGION is Frankfurt, which is not a region: export AWS_REGION"),
    ],
)
def test_a_region_is_asked_for(monkeypatch, environment, complaint):
    ran = run(monkeypatch, environment)
    assert ran.status != 0
    assert complaint in ran.words, ran.output
