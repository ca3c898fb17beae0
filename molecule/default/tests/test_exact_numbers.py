"""The number: what goes in by UDP comes out of /render as the rules say, to the last digit.

The expectations are written out from the definitions (see the README), not taken from the aggregator's code.
"""

import math
import random
import statistics
import uuid

import pytest

INTERVAL = 10


@pytest.fixture
def bucket():
    return f"exact.{uuid.uuid4().hex[:12]}"


def rendered(site, bucket, leaves, stamp):
    """The values of the leaves at the flush, once all of them are there."""

    def ask():
        series = site.render(f"stats.{bucket}.*")
        found = {name.rsplit(".", 1)[1]: points.get(stamp) for name, points in series.items()}
        return found if all(found.get(leaf) is not None for leaf in leaves) else None

    return site.until(ask)


def expected_timer(values, rates):
    """What a timer's leaves must be, from etsy's definitions."""
    kept = sorted(values)[: math.floor(0.9 * len(values) + 0.5)]
    return {
        "count": sum(1 / rate for rate in rates),
        "rate": sum(1 / rate for rate in rates) / INTERVAL,
        "sum": sum(values),
        "sum_squares": sum(value * value for value in values),
        "mean": sum(values) / len(values),
        "median": statistics.median(values),
        "lower": min(values),
        "upper": max(values),
        "std": statistics.pstdev(values),
        "count_90": len(kept),
        "sum_90": sum(kept),
        "sum_squares_90": sum(value * value for value in kept),
        "mean_90": sum(kept) / len(kept),
        "upper_90": kept[-1],
    }


def test_a_counter(site, bucket):
    stamp = site.send(*[f"{bucket}:1|c"] * 137, f"{bucket}:5|c\n{bucket}:-2|c", f"{bucket}:3|c|@0.1")
    assert rendered(site, bucket, ["count", "rate"], stamp) == {"count": 170, "rate": 17}


def test_a_timer(site, bucket):
    values = random.Random(8125).sample(range(1, 5000), 250)
    stamp = site.send(*[f"{bucket}:{value}|ms" for value in values])
    expected = expected_timer(values, [1] * len(values))
    assert rendered(site, bucket, expected, stamp) == pytest.approx(expected, rel=1e-12)


def test_a_timer_with_sample_rates(site, bucket):
    stamp = site.send(f"{bucket}:320|ms\n{bucket}:100|ms|@0.1\n{bucket}:50|ms")
    found = rendered(site, bucket, ["count", "mean", "std"], stamp)
    assert (found["count"], found["sum"], found["median"], found["count_90"]) == (12, 470, 100, 3)
    assert found["mean"] == pytest.approx(156.66666666666666, rel=1e-15)
    assert found["std"] == pytest.approx(117.28408057172787, rel=1e-15)


def test_a_gauge_goes_up_and_down(site, bucket):
    stamp = site.send(f"{bucket}:333|g\n{bucket}:-10|g", f"{bucket}:+4|g")
    assert site.until(lambda: site.render(f"stats.{bucket}").get(f"stats.{bucket}", {}).get(stamp)) == 327


def test_a_set_counts_what_is_different(site, bucket):
    stamp = site.send(*[f"{bucket}:{name}|s" for name in ["ann", "bob", "ann", "eve", "bob"]])
    assert rendered(site, bucket, ["unique"], stamp) == {"unique": 3}


def test_bad_lines_are_counted_and_their_neighbours_kept(site, bucket):
    bad = [
        "nonsense",
        f"{bucket}:x|c",
        f"{bucket}:1|zz",
        f"{bucket}:1|c{bucket}:2|ms",
        f"{bucket}:1|c|@0",
        ":1|c",
        f"{bucket}:nan|g",
        "\xff\xfe:|",
    ]
    stamp = site.send("\n".join([f"{bucket}:1|c", *bad, f"{bucket}:1|c"]), *bad)
    assert rendered(site, bucket, ["count"], stamp)["count"] == 2
    counted = site.until(lambda: site.render("statsd.bad_lines.count")["statsd.bad_lines.count"].get(stamp))
    assert counted == 2 * len(bad)


def test_a_flood_of_bad_lines_is_logged_once_a_second(site, host):
    site.send(*["nonsense"] * 5000)
    stamps = host.check_output("journalctl -u statsd -o short-unix --no-pager -g nonsense").split("\n")
    seconds = [line.split(".")[0] for line in stamps if line]
    assert seconds, "the bad lines are logged"
    assert max(map(seconds.count, seconds)) <= 2


def test_one_bucket_has_one_kind(site, bucket):
    stamp = site.send(f"{bucket}:1|c", f"{bucket}:7|g", f"{bucket}:9|ms")
    assert rendered(site, bucket, ["count"], stamp) == {"count": 1, "rate": 0.1}
    conflicts = site.until(lambda: site.render("statsd.type_conflicts.count")["statsd.type_conflicts.count"].get(stamp))
    assert conflicts == 2


def test_a_restart_in_mid_interval_loses_nothing(site, host, bucket):
    first = site.send(*[f"{bucket}:1|c"] * 100)
    host.check_output("systemctl restart statsd")
    second = site.send(*[f"{bucket}:1|c"] * 100)

    def total():
        points = site.render(f"stats.{bucket}.count").get(f"stats.{bucket}.count", {})
        return {first, second} <= set(points) and sum(points.values())

    assert site.until(total) == 200
