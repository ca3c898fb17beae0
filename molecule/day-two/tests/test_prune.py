"""Series without new points are listed, removed on request, and kept when a point comes in between."""

import pytest
from playbook import run_playbook
from site_under_test import Site
from stored import WHISPER, Stored

ARCHIVES = [(10, 2160), (60, 10080), (600, 12960), (3600, 43800)]
DAY = 86400
TAGGED = "pruned.tagged;host=a"


@pytest.fixture
def stored(host):
    """Three series whose newest point is old, in files that are young, and one the other way round."""
    found = Stored(Site(host))
    now = found.now()
    for name, age in [("pruned.old.deep.a", 100), ("pruned.old.b", 95), ("pruned.keep.a", 100), ("pruned.fresh.a", 0)]:
        found.make(name, ARCHIVES, [(now - age * DAY - 10 * n, n) for n in range(50, 0, -1)])
    host.check_output("touch -d '1 year ago' %s", found.path("pruned.fresh.a"))
    yield found
    found.remove("pruned")


def test_they_are_listed_and_nothing_is_removed(inventory, stored):
    for options in ([], ["--check"]):
        run = run_playbook("prune", inventory, *options, prune_days=90, prune_apply=bool(options))
        assert run.status == 0, run.output
        listed = [line.split()[-1] for line in run.output.splitlines() if "pruned." in line]
        assert listed == ["pruned.keep.a", "pruned.old.deep.a", "pruned.old.b"]
        assert "Nothing was removed." in run.words
        assert "changed=0 " in run.words
    assert all(map(stored.exists, ["pruned.old.deep.a", "pruned.old.b", "pruned.keep.a", "pruned.fresh.a"]))


def test_they_are_removed_but_for_those_that_are_kept_or_get_a_point(host, inventory, stored):
    now = stored.now()
    before = stored.slots("pruned.old.b", 600, now, 120 * DAY - 86400)
    stored.lines(f"pruned.old.b 42 {now}")
    run = run_playbook("prune", inventory, prune_days=90, prune_apply=True, prune_keep=["^pruned\\.keep\\."])
    assert run.status == 0, run.output
    assert "Removed 1 series and 1 empty directory:" in run.words
    assert "prune_keep names them: pruned.keep.a." in run.words
    assert not host.file(str(WHISPER / "pruned/old/deep")).exists
    assert all(map(stored.exists, ["pruned.old.b", "pruned.keep.a", "pruned.fresh.a"]))
    stored.site.until(lambda: 42 in stored.slots("pruned.old.b", 10, now + 20, 60).values())
    after = stored.slots("pruned.old.b", 600, now, 120 * DAY - 86400)
    assert before.items() <= after.items()
    run = run_playbook("prune", inventory, prune_days=90, prune_apply=True, prune_keep=["^pruned\\.keep\\."])
    assert "changed=0 " in run.words


STORE_TAGGED = """
import hashlib, json, os, sys, whisper
root, name, stamp = json.load(sys.stdin)
digest = hashlib.sha256(name.encode()).hexdigest()
folder = f"{root}/_tagged/{digest[:3]}/{digest[3:6]}"
os.makedirs(folder, exist_ok=True)
whisper.create(f"{folder}/{digest}.wsp", [(3600, 43800)])
whisper.update(f"{folder}/{digest}.wsp", 1, stamp)
"""


def test_a_series_with_tags_goes_with_its_tags(host, inventory, stored):
    # Of a time in which carbon took tags: now it refuses them.
    for name in (TAGGED, "pruned.tagged;host=unknown"):
        stored.site.python(STORE_TAGGED, [str(WHISPER), name, stored.now() - 100 * DAY])
    host.check_output(f"chown -R _graphite:_graphite {WHISPER}/_tagged")
    found = f"find {WHISPER}/_tagged -name '*.wsp'"
    assert len(host.run(found).stdout.split()) == 2
    assert stored.tags("/tags/tagSeries", path=TAGGED) == TAGGED
    run = run_playbook("prune", inventory, prune_days=90, prune_apply=True, prune_keep=["^pruned\\.(old|keep)"])
    assert run.status == 0, run.output
    assert f" {TAGGED}" in run.output
    assert "Removed 1 series" in run.words
    assert "1 series with tags are left alone" in run.words
    assert len(host.run(found).stdout.split()) == 1
    assert stored.tags("/tags/findSeries", expr="name=pruned.tagged") == []
    host.check_output(f"rm -rf {WHISPER}/_tagged")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"prune_days": "soon"}, "'soon' is not a number of days above 0"),
        ({"prune_days": 0}, "'0' is not a number of days above 0"),
        ({"prune_keep": ["("]}, "prune_keep: '(' is not a regular expression"),
        ({"prune_dais": 9}, "prune_dais is not a variable of playbook prune (did you mean prune_days?)"),
    ],
)
def test_what_cannot_be_meant_is_refused(inventory, stored, variables, sentence):
    run = run_playbook("prune", inventory, prune_apply=True, **variables)
    assert run.status != 0
    assert sentence in run.words
    assert stored.exists("pruned.old.b")
