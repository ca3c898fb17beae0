"""The numbers of a series in another layout, and two series in one. Pure.

whisper-resize.py is not exact: it puts coarse numbers into the gaps of finer archives, and recomputes coarse slots at
the end of a finer archive from the part of their points that is left. Here a stored number stays in its slot.
"""

from graphing.whisperfile.content import Content, Slots
from graphing.whisperfile.layout import Archive, Layout
from graphing.whisperfile.library import whisper


def resized(content: Content, layout: Layout, now: int) -> Content:
    """`content` in another layout at `now` (seconds since 1970).

    - A slot that is kept with the same step before and after keeps what it holds, be it nothing.
    - One that was not kept is made of the finest points that cover it: finer ones by the new method, as carbon would
      have; a coarser one goes into the first of the slots that it stands for. A sum over time stays what it was.
    - What is older than the new archive is left out; what is dated after `now` stays.
    """
    if layout.archives == content.layout.archives:
        return Content(layout, content.slots)
    return Content(layout, tuple(_slots(content, archive, layout, now) for archive in layout.archives))


def merged(target: Content, source: Content, now: int) -> Content:
    """`target` with the numbers of `source` where it has none, in the layout of `target`.

    A coarse slot whose finer slots got numbers is made of them anew while the finer archive holds all of them.
    """
    layout = target.layout
    given = resized(source, layout, now).slots
    made: list[dict[int, float]] = []
    for place, archive in enumerate(layout.archives):
        begin = archive.begin(now)
        slots = {stamp: value for stamp, value in given[place].items() if stamp >= begin} | dict(target.slots[place])
        if place:
            finer = layout.archives[place - 1]
            filled = made[-1].keys() - target.slots[place - 1].keys()
            for start in {stamp - stamp % archive.step for stamp in filled}:
                if start >= finer.begin(now):
                    inside = (made[-1].get(stamp) for stamp in range(start, start + archive.step, finer.step))
                    value = _aggregate([number for number in inside if number is not None], finer, archive, layout)
                    if value is not None:
                        slots[start] = value
        made.append(slots)
    return Content(layout, tuple(made))


def changes(before: Content, after: Content, now: int) -> list[tuple[int, float]]:
    """(timestamp, number) of the points that were written between two states of one file, as of `now`.

    carbon writes a point into the finest archive that reaches back to it, and makes the coarser slots of it. Those
    follow when the points are written elsewhere, so they are left out. So is a late point that went into the coarser
    one alone, in the one slot in which the finer archive ends: it looks like what was made of finer ones.
    """
    found: dict[int, float] = {}
    known: set[int] = set()
    for archive, old, new in zip(after.layout.archives, before.slots, after.slots, strict=True):
        # As text, because what is not a number does not equal itself.
        changed = {stamp: new[stamp] for stamp in new if stamp not in old or repr(old[stamp]) != repr(new[stamp])}
        explained = {stamp - stamp % archive.step for stamp in known}
        # The archive reached back to the point, if not to the begin of its slot.
        oldest = now - archive.seconds
        found |= {max(stamp, oldest): value for stamp, value in changed.items() if stamp not in explained}
        known |= changed.keys()
    return sorted(found.items())


def is_shorter(old: Layout, new: Layout) -> bool:
    """Whether a change of layout gives numbers up: fine ones become coarse sooner, or all are dropped sooner."""
    return any(
        archive.seconds > max((other.seconds for other in new.archives if other.step <= archive.step), default=0)
        for archive in old.archives
    )


def _slots(content: Content, archive: Archive, layout: Layout, now: int) -> dict[int, float]:
    """What `archive` of the new layout holds: for each time of the finest old archive that covers it."""
    made: dict[int, float] = {}
    step, begin = archive.step, archive.begin(now)
    olds = content.layout.archives
    has_step = any(old.step == step for old in olds)
    until: float = float("inf")
    for old, points in zip(olds, content.slots, strict=True):
        if has_step and old.step < step:
            continue
        first = old.begin(now)
        if old.step < step:
            # A slot that is covered in part is left to the next archive, which has all of it.
            first += -first % step if old is not olds[-1] else -(first % step)
        inside = {stamp: points[stamp] for stamp in sorted(points) if first <= stamp - stamp % step < until}
        if old.step > step and layout.method == "sum" and inside:
            inside = _without_counted(inside, made, old.step)
        made |= _regrouped(inside, old, archive, layout)
        until = first
    return {stamp: value for stamp, value in made.items() if stamp >= begin}


def _without_counted(sums: Slots, made: Slots, step: int) -> dict[int, float]:
    """Coarse sums less the part that finer slots hold already: that of the slot in which the finer archive begins."""
    newest = max(sums)
    counted = sum(value for stamp, value in made.items() if newest <= stamp < newest + step)
    rest = sums[newest] - counted
    return {stamp: value for stamp, value in sums.items() if stamp != newest} | ({newest: rest} if rest else {})


def _regrouped(points: Slots, old: Archive, archive: Archive, layout: Layout) -> dict[int, float]:
    """Points of one archive in the slots of another."""
    groups: dict[int, list[float]] = {}
    for stamp, value in points.items():
        groups.setdefault(stamp - stamp % archive.step, []).append(value)
    made = {start: _aggregate(values, old, archive, layout) for start, values in groups.items()}
    return {start: value for start, value in made.items() if value is not None}


def _aggregate(known: list[float], finer: Archive, coarser: Archive, layout: Layout) -> float | None:
    """The number that carbon makes of the known points of one slot, in the order of time; None if they are too few."""
    if not known or finer.step >= coarser.step:
        return known[-1] if known else None
    points = max(coarser.step // finer.step, len(known))
    if len(known) / points < layout.x_files_factor:
        return None
    return float(whisper.aggregate(layout.method, known, [*known, *[None] * (points - len(known))]))
