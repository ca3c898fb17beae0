"""The layout of whisper's files, against the library that Debian's carbon writes them with."""

import contextlib
import struct

import pytest
import whisper
from hypothesis import given
from hypothesis import strategies as st

from graphing.whisperfile import layout
from graphing.whisperfile.layout import Archive, Layout, decode_layout, encode_layout, misfit

steps = st.sampled_from([1, 2, 3, 10, 20, 60, 600])
archives = st.lists(st.builds(Archive, steps, st.integers(1, 50)), min_size=1, max_size=4).map(
    lambda found: sorted(found, key=lambda archive: archive.step)
)


def test_the_formats_and_methods_are_the_librarys():
    assert whisper.aggregationTypeToMethod == layout.METHODS
    for theirs, ours, values in (
        (whisper.metadataFormat, layout.HEADER, (1, 86400, 0.5, 2)),
        (whisper.archiveInfoFormat, layout.ARCHIVE, (16, 10, 360)),
        (whisper.pointFormat, layout.POINT, (1_700_000_000, 1.5)),
    ):
        assert struct.pack(theirs, *values) == ours.pack(*values)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([(60, 10), (10, 100)], "steps must grow from archive to archive, and 10 s follow 60 s"),
        ([(10, 360), (65, 1440)], "a step must evenly divide the next one, and 10 s do not divide 65 s"),
        ([(10, 360), (60, 60)], "each archive must reach further back than the one before, and 3600 s do not"),
        ([(10, 5), (60, 60)], "an archive must hold a point of the next one, and 50 s hold none of 60 s"),
        ([(10, 360), (60, 1440)], ""),
    ],
)
def test_why_archives_do_not_fit_together(found, reason):
    assert misfit([Archive(*each) for each in found]) == reason


@given(archives)
def test_archives_fit_together_when_the_library_says_so(found):
    refused = False
    with contextlib.suppress(StopIteration):
        try:
            whisper.validateArchiveList([tuple(archive) for archive in found])
        except whisper.InvalidConfiguration:
            refused = True
    assert bool(misfit(found)) == refused


@pytest.mark.parametrize("method", sorted(whisper.aggregationMethodToType))
def test_a_header_is_the_one_that_the_library_writes(tmp_path, method):
    made = Layout((Archive(10, 360), Archive(60, 1440), Archive(600, 1000)), method, 0.5)
    path = tmp_path / "a.wsp"
    whisper.create(str(path), [tuple(archive) for archive in made.archives], made.x_files_factor, method)
    raw = path.read_bytes()
    assert (decode_layout(raw), len(raw)) == (made, made.bytes)
    assert raw.startswith(encode_layout(made))
