"""The commands retention, prune and rename on a copy of a tree, with files that the whisper library wrote."""

import json
import os
import re
import subprocess
import sys
import time

import pytest
import whisper
from store_support import content, create, layout, seen, tree
from support import PACKAGE

from graphing.cli import main
from graphing.store import retention, swap

OLD = layout((10, 360), (60, 1440))
NEW = layout((10, 720), (60, 2880))
DAY = 86400
MARK = ".graphing-retention"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "whisper").mkdir()
    return tmp_path / "whisper"


@pytest.fixture
def conf(tmp_path):
    folder = tmp_path / "carbon"
    folder.mkdir()
    schema = (
        "[short]\npattern = ^short\nretentions = 10s:1h,1m:1d\n\n[default]\npattern = .*\nretentions = 10s:2h,1m:2d\n"
    )
    (folder / "storage-schemas.conf").write_text(schema)
    aggregation = "[sum]\npattern = count$\nxFilesFactor = 0\naggregationMethod = sum\n\n"
    (folder / "storage-aggregation.conf").write_text(aggregation + "[default]\npattern = .*\nxFilesFactor = 0\n")
    return folder


@pytest.fixture
def run(root, conf, capsys):
    def run(command, *arguments, status=0):
        given = [command, "--conf", str(conf), "--copy", str(root), "--web", "", *map(str, arguments)]
        assert main(given) == status
        output = capsys.readouterr()
        return output.err if status else output.out

    return run


def fill(path, kept, age=0, count=100):
    """A file whose newest point is so many seconds old."""
    now = int(time.time()) - age
    create(path, kept)
    for stamp in range(now - 10 * (count - 1), now + 1, 10):
        whisper.update(str(path), stamp % 97, stamp, now=stamp)
    return path


# retention


def test_files_are_compared_with_the_rules_and_nothing_is_changed(run, root):
    create(root / "short.wsp", OLD)
    create(root / "a/right.wsp", NEW)
    create(root / "a/wrong.wsp", OLD)
    create(root / "a/b/count.wsp", OLD._replace(x_files_factor=0.5))
    (root / "a/broken.wsp").write_bytes(b"x" * 100)
    before = {path: (root / path).read_bytes() for path in tree(root)}
    text = run("retention")
    assert "5 series in" in text
    assert "2 follow the rules, 2 differ, 1 unreadable." in text
    assert "2  retention  10s:1h,1m:1d -> 10s:2h,1m:2d   (a.b.count, a.wrong)" in text
    assert "1  aggregation  average -> sum   (a.b.count)" in text
    assert "1  xFilesFactor  0.5 -> 0   (a.b.count)" in text
    assert "unreadable: a/broken.wsp: its header is not whisper's" in text
    assert {path: (root / path).read_bytes() for path in tree(root)} == before


def test_wrong_files_are_changed_and_kept_as_they_were(run, root, tmp_path):
    wrong, right = fill(root / "a/wrong.wsp", OLD), fill(root / "right.wsp", NEW)
    before, fine, untouched = wrong.read_bytes(), seen(wrong, 10), right.stat().st_mtime_ns
    backup = tmp_path / "backup"
    assert run("retention", "--apply", "--backup", backup, "--run-name", "r") == "1 changed.\n"
    assert content(wrong).layout == NEW
    assert seen(wrong, 10) == fine
    assert (backup / "r/a/wrong.wsp").read_bytes() == before
    assert right.stat().st_mtime_ns == untouched
    assert tree(backup) == [MARK, "r/a/wrong.wsp"]
    assert "1 otherwise" not in run("retention")


def test_a_changed_aggregation_alone_moves_no_number(run, root, tmp_path):
    path = fill(root / "a.count.wsp".replace(".count", "/count"), NEW._replace(x_files_factor=0.5))
    slots, inode = content(path).slots, path.stat().st_ino
    run("retention", "--apply", "--backup", tmp_path / "backup")
    assert content(path) == (NEW._replace(method="sum"), slots)
    assert path.stat().st_ino == inode
    assert tree(tmp_path / "backup") == [MARK]


def test_changes_go_on_where_they_stopped(run, root, tmp_path):
    for name in ["a", "a/b", "a/c", "a-b", "b/a", "c"]:
        create(root / f"{name}.wsp", OLD)
    after, changed = "", []
    while True:
        answer = json.loads(
            run("retention", "--apply", "--backup", tmp_path / "b", "--limit", 2, "--after", after, "--json")
        )
        changed.append(answer["changed"])
        after = answer["after"]
        if not after:
            break
    assert changed == [2, 2, 2]
    assert all(content(root / path).layout == NEW for path in tree(root))


def test_what_a_cut_off_run_left_is_removed(run, root, tmp_path):
    create(root / "a.wsp", OLD)
    (root / "a.wsp.new").write_bytes(b"half")
    (root / "gone.wsp.new").write_bytes(b"half")
    run("retention", "--apply", "--backup", tmp_path / "b")
    assert tree(root) == ["a.wsp"]


def test_a_killed_run_leaves_each_file_whole_and_the_next_one_goes_on(run, root, conf, tmp_path):
    for number in range(60):
        fill(root / f"s{number:02}.wsp", layout((10, 8640), (60, 10080)), count=20)
    before = {path: seen(root / path, 10) for path in tree(root)}
    given = f"retention --conf {conf} --copy {root} --apply --backup {tmp_path / 'b'} --run-name r"
    source = PACKAGE / "src"
    process = subprocess.Popen(
        [sys.executable, "-m", "graphing", *given.split()], env={**os.environ, "PYTHONPATH": str(source)}
    )
    while not (tmp_path / "b/r/s05.wsp").exists():
        assert process.poll() is None
    process.kill()
    process.wait()
    assert {content(root / path).layout for path in before} == {NEW, layout((10, 8640), (60, 10080))}
    run("retention", "--apply", "--backup", tmp_path / "b")
    assert {content(root / path).layout for path in before} == {NEW}
    assert {path: seen(root / path, 10) for path in tree(root)} == before


def test_a_disk_that_would_not_hold_it_is_refused_with_the_numbers(run, root, tmp_path, monkeypatch):
    create(root / "a.wsp", OLD)
    monkeypatch.setattr(retention, "may_take", lambda _: 1000)
    refusal = json.loads(run("retention", "--json"))["refusal"]
    assert re.fullmatch(
        r".*: \d\d kB are needed to change 1 series with a backup, and 1\.0 kB may be taken of.*\n?", refusal
    )
    error = run("retention", "--apply", "--backup", tmp_path / "b", status=2)
    assert "ended before a; what was changed is right" in error
    assert content(root / "a.wsp").layout == OLD


def test_a_backup_is_removed_and_nothing_else_is(run, root, tmp_path):
    create(root / "a.wsp", OLD)
    run("retention", "--apply", "--backup", tmp_path / "b")
    assert "holds no backup" in run("retention", "--remove-backup", root, status=2)
    assert "Removed the backup" in run("retention", "--remove-backup", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert "there is no backup" in run("retention", "--remove-backup", tmp_path / "b")


def test_a_backup_lies_in_a_directory_of_its_own_outside_the_tree(run, root, tmp_path):
    assert "must lie outside" in run("retention", "--backup", root / "b", status=2)
    assert "must lie outside" in run("retention", "--apply", "--backup", root / "b", status=2)
    assert tree(root) == []
    assert "holds other files" in run("retention", "--apply", "--backup", tmp_path, status=2)
    assert "--apply needs --backup" in run("retention", "--apply", status=2)


def test_a_directory_that_is_not_there_is_named(run, root):
    root.rmdir()
    assert f"{root}: there is no such directory" in run("retention", status=2)


# prune


def test_series_without_a_new_point_are_listed_by_age_of_the_point_not_of_the_file(run, root):
    fill(root / "old/a.wsp", OLD, 100 * DAY)
    fill(root / "old/b.wsp", OLD, 120 * DAY)
    os.utime(fill(root / "fresh.wsp", OLD), (1, 1))
    create(root / "empty.wsp", OLD)
    os.utime(create(root / "empty-for-long.wsp", OLD), (1, 1))
    text = run("prune", "--days", 90)
    assert "3 of 5 series" in text
    assert [line.split()[-1] for line in text.splitlines()[1:]] == ["empty-for-long", "old.b", "old.a"]
    assert len(tree(root)) == 5


def test_stale_series_and_their_directories_are_removed(run, root):
    fill(root / "old/deep/a.wsp", OLD, 100 * DAY)
    fill(root / "keep/a.wsp", OLD, 100 * DAY)
    fill(root / "fresh/a.wsp", OLD)
    fill(root / "fresh/b.wsp", OLD, 91 * DAY)
    text = run("prune", "--days", 90, "--apply", "--keep", "^keep\\.")
    assert "Removed 2 series and 2 empty directories" in text
    assert "As old, but prune_keep names them: keep.a." in text
    assert tree(root) == ["fresh/a.wsp", "keep/a.wsp"]
    assert not (root / "old").exists()


def test_a_series_with_late_points_in_its_coarse_archive_is_not_stale(run, root):
    path = fill(root / "late.wsp", OLD, 100 * DAY, count=5)
    whisper.update(str(path), 1, int(time.time()) - 7200)
    assert "0 of 1 series" in run("prune", "--days", 90)


def test_a_series_that_gets_a_point_after_the_listing_is_kept(run, root, monkeypatch):
    path = fill(root / "a.wsp", OLD, 100 * DAY)
    remove_file = swap.remove_file

    def remove_late(path, unless):
        whisper.update(str(path), 5, int(time.time()))
        return remove_file(path, unless)

    monkeypatch.setattr(swap, "remove_file", remove_late)
    text = run("prune", "--days", 90, "--apply")
    assert "Removed 0 series" in text
    assert "a point came in meanwhile: a." in text
    assert 5 in seen(path, 10).values()


def test_what_cannot_be_read_and_what_nobody_knows_by_name_is_left_alone(run, root):
    (root / "broken.wsp").write_bytes(b"")
    fill(root / "_tagged/abc/def" / ("0" * 64 + ".wsp"), OLD, 100 * DAY)
    text = run("prune", "--days", 90, "--apply")
    assert "1 series with tags are left alone" in text
    assert "Left alone, because it cannot be read: broken.wsp" in text
    assert len(tree(root)) == 2


@pytest.mark.parametrize("days", ["0", "-1", "soon", "nan"])
def test_days_that_are_none_are_refused(run, days, capsys):
    with pytest.raises(SystemExit) as raised:
        main(["prune", "--days", days])
    assert raised.value.code == 2
    assert "is not a number of days" in capsys.readouterr().err


def test_a_bad_pattern_is_named(run):
    assert "prune_keep: '(' is not a regular expression" in run("prune", "--days", 1, "--keep", "(", status=2)


# rename


def test_a_series_moves_with_all_its_points(run, root):
    path = fill(root / "stats/old.wsp", NEW)
    before, inode = path.read_bytes(), path.stat().st_ino
    text = run("rename", "stats.old", "stats.new.name")
    assert "stats.old -> stats.new.name" in text
    assert "Moved 1 series" in text
    assert tree(root) == ["stats/new/name.wsp"]
    assert (root / "stats/new/name.wsp").read_bytes() == before
    assert (root / "stats/new/name.wsp").stat().st_ino == inode


def test_a_subtree_moves_with_the_series_of_its_own_name(run, root):
    for name in ["old", "old/a", "old/b/c", "older"]:
        create(root / f"{name}.wsp", NEW)
    text = run("rename", "old", "x.new")
    assert "Moved 3 series, removed 2 empty directories." in text
    assert tree(root) == ["older.wsp", "x/new.wsp", "x/new/a.wsp", "x/new/b/c.wsp"]


def test_check_changes_nothing(run, root):
    create(root / "a.wsp", NEW)
    assert "a -> b" in run("rename", "a", "b", "--check")
    assert tree(root) == ["a.wsp"]


def test_a_name_that_is_taken_is_refused_before_anything_moves(run, root):
    for name in ["a/x", "a/y", "b/y"]:
        create(root / f"{name}.wsp", NEW)
    assert "b.y exists already; with rename_merge=true" in run("rename", "a", "b", status=2)
    assert tree(root) == ["a/x.wsp", "a/y.wsp", "b/y.wsp"]


def test_two_histories_become_one_in_which_the_new_names_points_win(run, root):
    old, new = fill(root / "a.wsp", OLD, age=500), fill(root / "b.wsp", NEW, count=70)
    expected = seen(old, 10) | seen(new, 10)
    text = run("rename", "a", "b", "--merge")
    assert "merged into the one that is there" in text
    assert tree(root) == ["b.wsp"]
    assert seen(new, 10) == expected
    assert content(new).layout == NEW


def test_a_rename_that_was_cut_off_between_the_two_names_is_ended(run, root):
    before = fill(root / "a.wsp", NEW).read_bytes()
    os.link(root / "a.wsp", root / "b.wsp")
    run("rename", "a", "b")
    assert tree(root) == ["b.wsp"]
    assert (root / "b.wsp").read_bytes() == before


def test_a_name_that_is_not_there_is_refused_with_the_one_that_may_be_meant(run, root):
    create(root / "stats/logins.wsp", NEW)
    assert "no series or subtree stats.login; did you mean stats.logins?" in run("rename", "stats.login", "b", status=2)
    assert "no series or subtree nothing.at.all\n" in run("rename", "nothing.at.all", "b", status=2)


def test_other_rules_for_the_new_name_are_told(run, root):
    create(root / "a.wsp", NEW)
    assert "have other storage rules under the new name" in run("rename", "a", "short")
    assert tree(root) == ["short.wsp"]


def test_a_link_out_of_the_tree_is_not_followed(run, root, tmp_path):
    create(tmp_path / "outside" / "a.wsp", OLD)
    (root / "in").symlink_to(tmp_path / "outside")
    (root / "b.wsp").symlink_to(tmp_path / "outside/a.wsp")
    assert "0 series" in run("retention")
