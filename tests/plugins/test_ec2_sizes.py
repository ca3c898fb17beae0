"""What a number of series takes on EC2, and that docs/ec2.md says the same."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RETENTIONS = "10s:6h,1m:7d,10m:90d,1h:5y"  # the default of role carbon
ROOT_GIB = 16


@pytest.fixture(scope="session")
def sizes(load):
    return load("plugins/filter/ec2_sizes.py")


@pytest.fixture(scope="session")
def gib(load):
    store_gib = load("roles/carbon/filter_plugins/carbon_rules.py").store_gib
    return lambda series: store_gib([{"retentions": RETENTIONS}], series)


@pytest.mark.parametrize("series", [1_000, 10_000, 50_000, 100_000, 200_000, 400_000])
def test_the_documentation_has_the_row_of_these_series(sizes, gib, series):
    kind, iops = sizes.instance_type(series, 10), sizes.iops(series, 10)
    month = sizes.usd_month(kind, gib(series) + ROOT_GIB, iops, True)
    row = f"| {series:,} | {kind} | {gib(series)} GiB | {iops:,} | {month} |"
    assert row in (ROOT / "docs/ec2.md").read_text().splitlines()


def test_the_documentation_says_of_when_and_where_the_prices_are(sizes):
    text = (ROOT / "docs/ec2.md").read_text()
    assert sizes.prices()["date"] in text
    assert sizes.prices()["region"] in text


def test_more_series_never_take_a_smaller_type(sizes):
    order = [kind.name for kind in sizes.TYPES]
    types = [order.index(sizes.instance_type(series, 10)) for series in range(1_000, 430_000, 1_000)]
    assert types == sorted(types)
    assert set(types) == set(range(len(order))), "each type of the list is some number's"


def test_coarser_numbers_take_less(sizes):
    assert sizes.instance_type(50_000, 10) != sizes.instance_type(50_000, 60)
    assert sizes.problems(1_000_000, 10)
    assert sizes.problems(1_000_000, 60) == []


def test_a_type_that_is_too_small_is_named_with_one_that_is_not(sizes):
    (problem,) = sizes.problems(100_000, 10, "t3.small")
    assert "t3.small is too small for 100,000 series" in problem
    assert f"take {sizes.instance_type(100_000, 10)}" in problem
    assert sizes.problems(100_000, 10, "m7i.2xlarge") == []
    assert sizes.problems(100_000, 10, "c8a.large") == [], "what is not known here is the person's business"


@pytest.mark.parametrize("step", [1, 10, 60])
def test_what_is_let_pass_has_a_type(sizes, step):
    most = max(series for series in range(1_000, 3_000_000, 1_000) if not sizes.problems(series, step))
    assert sizes.instance_type(most, step)
    with pytest.raises(ValueError, match="no instance type"):
        sizes.instance_type(10**9, step)


def test_a_type_without_a_price_has_none(sizes):
    assert sizes.usd_month("c8a.large", 10, 3000, True) is None


def test_the_address_and_the_writes_are_paid_for(sizes):
    alone = sizes.usd_month("t3.small", 100, 3000, False)
    assert alone == round(0.0208 * 730 + 8)
    assert sizes.usd_month("t3.small", 100, 3000, True) > alone
    assert sizes.usd_month("t3.small", 100, 4000, False) == alone + 5
