"""Another layout, or another series' points: what is kept, to the last number, as the whisper library reads it."""

import math

import pytest
import whisper
from hypothesis import given
from hypothesis import strategies as st
from store_support import NOW, content, create, layout, seen

from graphing.whisperfile.content import Content, decode, encode, newest
from graphing.whisperfile.layout import Archive, Broken, Layout, same
from graphing.whisperfile.resize import changes, is_shorter, merged, resized

FINE = 10
METHODS = ["average", "sum", "last", "max", "min", "avg_zero", "absmax", "absmin"]
HOUR_DAY = layout((10, 360), (60, 1440))
EMPTY = encode(Content(HOUR_DAY, ({}, {})))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whisper")


@st.composite
def layouts(draw):
    """What whisper accepts: each step a multiple of the one before, each archive reaching further back."""
    steps = draw(st.sampled_from([[10], [10, 60], [10, 60, 600], [60], [60, 600], [20, 60], [10, 30, 90]]))
    archives, reach = [], 0
    for place, step in enumerate(steps):
        fill = steps[place + 1] // step if place + 1 < len(steps) else 1
        points = max(draw(st.integers(1, 60)), fill, reach // step + 1)
        archives.append(Archive(step, points))
        reach = step * points
    method = draw(st.sampled_from(METHODS))
    return Layout(tuple(archives), method, draw(st.sampled_from([0.0, 0.5, 1.0])))


@st.composite
def series(draw, kept):
    """A file that carbon could have written until NOW, point by point; whole numbers, so that sums are exact."""
    longest = min(kept.seconds - 1, 3000)
    ages = draw(st.lists(st.integers(0, longest), max_size=60, unique_by=lambda age: (NOW - age) // FINE))
    return [(NOW - age, float(draw(st.integers(-1000, 1000)))) for age in sorted(ages, reverse=True)]


def written(folder, kept, points):
    path = folder / "one.wsp"
    path.unlink(missing_ok=True)
    create(path, kept, points, now=NOW)
    return content(path)


def readable(folder, made):
    path = folder / "other.wsp"
    path.write_bytes(encode(made))
    return path


def alive(made, place, now=NOW):
    archive = made.layout.archives[place]
    return {stamp: value for stamp, value in made.slots[place].items() if archive.begin(now) <= stamp <= now}


@given(st.data())
def test_what_is_decoded_is_what_the_library_reads_and_encodes_to_the_same(folder, data):
    kept = data.draw(layouts())
    made = written(folder, kept, data.draw(series(kept)))
    assert same(made.layout, kept)
    assert decode(encode(made)) == made
    path = readable(folder, made)
    for place, archive in enumerate(kept.archives):
        assert seen(folder / "one.wsp", archive.step, NOW) == seen(path, archive.step, NOW) == alive(made, place)


@given(st.data())
def test_each_number_in_a_step_that_stays_survives_within_both_retentions(folder, data):
    kept, wanted = data.draw(layouts()), data.draw(layouts())
    made = written(folder, kept, data.draw(series(kept)))
    path = readable(folder, resized(made, wanted, NOW))
    info = whisper.info(str(path))
    assert [(a["secondsPerPoint"], a["points"]) for a in info["archives"]] == [tuple(a) for a in wanted.archives]
    assert (info["aggregationMethod"], info["xFilesFactor"]) == (wanted.method, wanted.x_files_factor)
    for place, old in enumerate(kept.archives):
        new = next((archive for archive in wanted.archives if archive.step == old.step), None)
        if new:
            both = max(old.begin(NOW), new.begin(NOW))
            before = {stamp: value for stamp, value in alive(made, place).items() if stamp >= both}
            after = {stamp: value for stamp, value in seen(path, new.step, NOW).items() if stamp >= both}
            assert before == after


def lengthened(kept):
    """The same with more than two hours at each step, so that nothing that `series` draws runs out."""
    return kept._replace(archives=tuple(Archive(step, points + 7200 // step) for step, points in kept.archives))


@given(st.data())
def test_no_event_is_lost_or_counted_twice_where_the_new_archive_reaches(folder, data):
    """Counters: whatever the layouts are, each archive adds up to what the finest old one adds up to."""
    kept = lengthened(data.draw(layouts()))._replace(method="sum", x_files_factor=0.0)
    wanted = lengthened(data.draw(layouts()))._replace(method="sum", x_files_factor=0.0)
    made = written(folder, kept, data.draw(series(kept)))
    after = resized(made, wanted, NOW)
    for place in range(len(wanted.archives)):
        assert math.fsum(alive(after, place).values()) == math.fsum(alive(made, 0).values())


def test_a_longer_fine_archive_gets_what_only_the_coarse_one_had_and_no_event_twice(folder):
    kept = layout((10, 12), (60, 60), method="sum")
    path = folder / "sum.wsp"
    create(path, kept)
    for stamp in range(NOW - 1800, NOW, 10):
        whisper.update(str(path), 1, stamp, now=stamp)
    made = content(path)
    longer = resized(made, layout((10, 180), (60, 60), method="sum"), NOW)
    fine = alive(longer, 0)
    first = min(fine)
    assert sum(fine.values()) == sum(1 for stamp in range(first, NOW, 10) if stamp >= NOW - 1800)
    assert [value for stamp, value in fine.items() if stamp < NOW - 180][:3] == [6, 6, 6]
    assert alive(longer, 1) == alive(made, 1)


def test_a_new_coarse_archive_is_made_as_carbon_would_have(folder):
    path = folder / "coarse.wsp"
    create(path, layout((10, 360), method="max"), [(NOW - 10 * n, n % 7) for n in range(300)], NOW)
    made = resized(content(path), layout((10, 360), (60, 120), method="max"), NOW)
    fine, coarse = alive(made, 0), alive(made, 1)
    assert coarse == {
        start: max(value for stamp, value in fine.items() if start <= stamp < start + 60)
        for start in {stamp - stamp % 60 for stamp in fine}
    }


def test_too_few_known_points_make_no_coarse_one(folder):
    path = folder / "factor.wsp"
    start = NOW - NOW % 60 - 600
    create(path, layout((10, 360)), [(start, 1), (start + 60, 1), (start + 70, 3), (start + 80, 5)], NOW)
    made = resized(content(path), layout((10, 360), (60, 120), factor=0.5), NOW)
    assert alive(made, 1) == {start + 60: 3}


def test_a_point_of_a_clock_that_is_ahead_stays(folder):
    path = folder / "ahead.wsp"
    create(path, HOUR_DAY, [(NOW - 20, 1)], NOW)
    whisper.update_many(str(path), [(NOW + 30, 2)], now=NOW)
    made = resized(content(path), layout((10, 720), (60, 2880)), NOW)
    assert made.slots[0][NOW + 30 - (NOW + 30) % 10] == 2


def test_a_step_that_is_gone_leaves_its_numbers_to_the_next(folder):
    path = folder / "gone.wsp"
    create(path, HOUR_DAY, [(NOW - 10 * n, n) for n in range(300)], NOW)
    before = content(path)
    made = resized(before, layout((60, 1440)), NOW)
    assert alive(made, 0) == alive(before, 1)
    assert is_shorter(before.layout, made.layout)
    assert not is_shorter(made.layout, layout((60, 1441)))
    assert not is_shorter(made.layout, layout((10, 8640)))


@given(st.data())
def test_in_two_series_as_one_the_own_points_win_and_all_others_are_there(folder, data):
    kept = data.draw(layouts())
    target = written(folder, kept, data.draw(series(kept)))
    source = written(folder, kept, data.draw(series(kept)))
    after = merged(target, source, NOW)
    assert alive(after, 0) == alive(source, 0) | alive(target, 0)
    for place in range(len(kept.archives)):
        assert alive(target, place).keys() | alive(source, place).keys() <= alive(after, place).keys()
    assert merged(after, source, NOW) == after, "a second time changes nothing"


def test_the_minute_in_which_a_series_changed_its_name_is_whole(folder):
    kept = layout((10, 360), (60, 1440), method="sum")
    minute = NOW - NOW % 60 - 600
    old = written(folder, kept, [(minute + 10 * n, 1) for n in range(3)])
    new = written(folder, kept, [(minute + 10 * n, 1) for n in range(3, 6)])
    assert merged(new, old, NOW).slots[1][minute] == 6


def clear(made):
    """The slots of each archive but for those in which the finer one ends."""
    found = [made.slots[0]]
    for finer, archive, slots in zip(made.layout.archives, made.layout.archives[1:], made.slots[1:], strict=False):
        end = NOW - finer.seconds
        found.append({stamp: value for stamp, value in slots.items() if not stamp <= end < stamp + archive.step})
    return found


@given(st.data())
def test_points_that_came_between_two_states_are_told_once_and_make_the_second_of_the_first(folder, data):
    kept = data.draw(layouts())
    before = written(folder, kept, data.draw(series(kept)))
    path = folder / "one.wsp"
    for stamp, value in data.draw(series(kept)):
        whisper.update(str(path), value, stamp, now=NOW)
    after = content(path)
    path.write_bytes(encode(before))
    whisper.update_many(str(path), changes(before, after, NOW), now=NOW)
    assert clear(content(path)) == clear(after)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "header"),
        (b"\0" * 16, "header"),
        (b"x" * 400, "header"),
        (EMPTY[:-1], "promises"),
        (EMPTY + b"\0", "promises"),
        (EMPTY[:16] + b"\1" + EMPTY[17:], "archives are not where"),
        (EMPTY[:20] + b"\1" + EMPTY[21:], "steps must grow"),
    ],
)
def test_what_is_no_whisper_file_is_refused(raw, reason):
    with pytest.raises(Broken, match=reason):
        decode(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_or_broken(raw):
    try:
        decode(raw)
    except Broken:
        return


def test_the_newest_point_is_that_of_the_finest_archive_that_explains_it(folder):
    path = folder / "newest.wsp"
    assert newest(content(create(path, HOUR_DAY))) is None
    stamp = NOW - NOW % 60 + 20
    whisper.update(str(path), 1, stamp, now=stamp)
    assert newest(content(path)) == stamp
    late = stamp - 7200
    other = create(folder / "late.wsp", HOUR_DAY, [(late, 1)], stamp)
    assert late <= newest(content(other)) < late + 60, "a late point went into the coarse archive alone"
