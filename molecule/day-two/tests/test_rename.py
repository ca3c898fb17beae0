"""The history of a series moves to a new name, with what is still in carbon's memory."""

import pytest
from playbook import run_playbook
from site_under_test import Site
from stored import Stored

ARCHIVES = [(10, 2160), (60, 10080), (600, 12960), (3600, 43800)]


class History(Stored):
    """Series with a history that ended ten minutes ago, at `then`."""

    then: int


@pytest.fixture
def stored(host):
    found = History(Site(host))
    found.then = found.now() - 600
    for name, value in [("moved.old.a", 1), ("moved.old.b.c", 2), ("moved.other.a", 3)]:
        found.make(name, ARCHIVES, [(found.then - 10 * n, value * n) for n in range(3000, 0, -1)])
    yield found
    found.remove("moved")


def drawn(stored, series):
    """What /render tells of five hours that are over."""
    start = f"{stored.then - 5 * 3600}&until={stored.then}"
    return next(iter(stored.site.render(series, start).values()), None)


def slots(stored, series):
    """Each archive, without slots that are not over and its oldest hours, which may run out while the test goes on."""
    end = stored.then - 3600
    return [stored.slots(series, step, end, step * points - 10800) for step, points in ARCHIVES]


def test_check_says_what_would_be_done(inventory, stored):
    run = run_playbook("rename", inventory, "--check", rename_from="moved.old", rename_to="moved.new")
    assert run.status == 0, run.output
    assert "moved.old.a -> moved.new.a moved.old.b.c -> moved.new.b.c" in run.words
    assert "Nothing was moved." in run.words
    assert not stored.exists("moved.new.a")


def test_a_subtree_moves_with_every_number_and_what_carbon_holds(host, inventory, stored):
    before = {name: (slots(stored, f"moved.old.{name}"), drawn(stored, f"moved.old.{name}")) for name in ["a", "b.c"]}
    assert before["a"][1]
    stamp = stored.now()
    stored.lines(f"moved.old.a 77 {stamp}")
    run = run_playbook("rename", inventory, rename_from="moved.old", rename_to="moved.new")
    assert run.status == 0, run.output
    assert "Moved 2 series, removed 2 empty directories." in run.words
    after = {name: (slots(stored, f"moved.new.{name}"), drawn(stored, f"moved.new.{name}")) for name in ["a", "b.c"]}
    assert after == before
    assert stored.slots("moved.new.a", 10, stamp + 20, 60) == {stamp - stamp % 10: 77}
    assert not stored.exists("moved.old.a")
    assert stored.site.render("moved.old.*") == {}
    assert host.file(stored.path("moved.new.a")).user == "_graphite"


def test_a_name_that_is_taken_is_refused_and_merged_on_request(inventory, stored):
    stored.make("moved.taken.a", ARCHIVES, [(stored.then - 4100, 5), (stored.then - 4090, 6)])
    own, other = slots(stored, "moved.taken.a"), slots(stored, "moved.old.a")
    run = run_playbook("rename", inventory, rename_from="moved.old", rename_to="moved.taken")
    assert run.status != 0
    assert "moved.taken.a exists already; with rename_merge=true" in run.words
    assert stored.exists("moved.old.b.c")
    assert slots(stored, "moved.taken.a") == own
    run = run_playbook("rename", inventory, rename_from="moved.old", rename_to="moved.taken", rename_merge=True)
    assert run.status == 0, run.output
    merged = slots(stored, "moved.taken.a")
    assert merged[0] == other[0] | own[0]
    assert all(before.keys() <= after.keys() for before, after in zip(other, merged, strict=True))
    assert not stored.exists("moved.old.a")


def test_one_who_goes_on_sending_is_told(inventory, site, stored):
    stamp = site.send("moved.bucket:4|c")
    site.until(lambda: site.render("stats.moved.bucket.count").get("stats.moved.bucket.count", {}).get(stamp) == 4)
    try:
        run = run_playbook("rename", inventory, rename_from="stats.moved.bucket", rename_to="stats.moved.place")
        assert run.status == 0, run.output
        assert "Points still come for stats.moved.bucket.count" in run.words
        assert "delcounters" in run.words
        assert site.render("stats.moved.place.count")["stats.moved.place.count"][stamp] == 4
    finally:
        stored.forget("moved.bucket")
    run = run_playbook(
        "rename", inventory, rename_from="stats.moved.bucket", rename_to="stats.moved.place", rename_merge=True
    )
    assert run.status == 0, run.output
    assert "Points still come" not in run.words
    assert site.render("stats.moved.bucket.*") == {}
    found = site.render("stats.moved.place.count")["stats.moved.place.count"]
    assert found[stamp] == 4
    assert sum(found.values()) == 4
    stored.remove("stats.moved")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "Say what to rename: -e rename_from=stats.old -e rename_to=stats.new"),
        ({"rename_from": "moved.old.*", "rename_to": "moved.new"}, "rename_from 'moved.old.*' is no name"),
        ({"rename_from": "moved.old", "rename_to": "../new"}, "rename_to '../new' is no name"),
        ({"rename_from": "moved.older", "rename_to": "moved.new"}, "did you mean moved.old?"),
        ({"rename_from": "moved.old", "rename_to": "moved.old.deeper"}, "lies inside moved.old"),
        ({"rename_form": "moved.old"}, "(did you mean rename_from?)"),
    ],
)
def test_what_cannot_be_meant_is_refused(inventory, stored, variables, sentence):
    run = run_playbook("rename", inventory, **variables)
    assert run.status != 0
    assert sentence in run.words
    assert stored.exists("moved.old.a")
