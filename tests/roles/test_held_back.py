"""Which units a run starts in the end: what the boot would start, and the installation held back."""

import pytest

TIMER = {
    "Id": "a.timer",
    "UnitFileState": "enabled",
    "ActiveState": "inactive",
    "ConditionTimestampMonotonic": "0",
    "ConditionResult": "no",
}


@pytest.fixture(scope="session")
def packages(load):
    return load("plugins/modules/package_record.py")


@pytest.mark.parametrize(
    ("differs", "wanted"),
    [
        ({}, True),
        ({"Type": "notify"}, True),
        ({"UnitFileState": "disabled"}, False),
        ({"UnitFileState": "masked"}, False),
        ({"ActiveState": "active"}, False),
        ({"ActiveState": "failed"}, False),
        # It was started, and its condition did not hold.
        ({"ConditionTimestampMonotonic": "1234"}, False),
        # It has run, and was stopped by somebody since: by the next boot it would run again.
        ({"ConditionTimestampMonotonic": "1234", "ConditionResult": "yes"}, True),
        ({"Type": "oneshot"}, False),
    ],
)
def test_what_the_boot_would_start_is_started(packages, differs, wanted):
    assert packages.held_back(TIMER | differs) is wanted
