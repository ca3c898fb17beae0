"""A release: one version in all places, a section of the change log, a commit and a tag; or a refusal and no change."""

import importlib.machinery
import importlib.util
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADER = importlib.machinery.SourceFileLoader("release", str(ROOT / "bin/release"))
SPEC = importlib.util.spec_from_loader("release", LOADER)
assert SPEC is not None
release = importlib.util.module_from_spec(SPEC)
LOADER.exec_module(release)

LOG = "# Changes\n\n## Unreleased\n\n### Added\n\n- Something.\n\n## 0.1.0\n\nThe core.\n"
EMPTY = "# Changes\n\n## Unreleased\n\n### Added\n\n## 0.1.0\n\nThe core.\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of two packages with a version, and one without."""
    for name in ("NAME", "EMAIL"):
        monkeypatch.setenv(f"GIT_AUTHOR_{name}", "somebody@example.org")
        monkeypatch.setenv(f"GIT_COMMITTER_{name}", "somebody@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for package in ("graphing", "photoworld"):
        file = tmp_path / f"files/{package}/src/{package}/__init__.py"
        file.parent.mkdir(parents=True)
        file.write_text('"""A package."""\n\n__version__ = "0.1.0"\n')
    other = tmp_path / "files/other/src/other/__init__.py"
    other.parent.mkdir(parents=True)
    other.write_text('"""None of its own."""\n')
    (tmp_path / "CHANGELOG.md").write_text(LOG)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path)
    return tmp_path


def git(root, *arguments):
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def commit(root):
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "as it is")


def test_this_repository_has_one_version():
    versions = {file.relative_to(ROOT): release.version_in(file) for file in release.places(ROOT)}
    assert Path("files/graphing/src/graphing/__init__.py") in versions
    assert len(set(versions.values())) == 1, versions


def test_the_change_log_has_a_section_for_this_version():
    version = release.version_in(ROOT / "files/graphing/src/graphing/__init__.py")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_a_release_is_written_committed_and_tagged(repository):
    release.release(repository, "0.2.0")

    day = datetime.now(UTC).date().isoformat()
    assert (
        f"## Unreleased\n\n## 0.2.0 ({day})\n\n### Added\n\n- Something.\n" in (repository / "CHANGELOG.md").read_text()
    )
    assert {release.version_in(file) for file in release.places(repository)} == {"0.2.0"}
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "log", "-1", "--format=%s") == "Release 0.2.0"
    assert git(repository, "describe", "--exact-match") == "v0.2.0"


def test_a_change_log_without_a_new_entry_is_refused_next_time(repository):
    release.release(repository, "0.2.0")
    with pytest.raises(release.RefusedError, match="says nothing"):
        release.release(repository, "0.3.0")


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("0.1.0", "not above 0.1.0"),
        ("0.0.9", "not above 0.1.0"),
        ("1.0", "is not a version"),
        ("v1.0.0", "is not a version"),
        ("1.0.0rc1", "is not a version"),
        ("01.0.0", "is not a version"),
    ],
)
def test_a_version_that_is_not_above_the_last_is_refused(repository, version, why):
    with pytest.raises(release.RefusedError, match=why):
        release.release(repository, version)
    assert git(repository, "status", "--porcelain") == ""


def test_a_tag_counts_as_a_version_by_its_numbers(repository):
    git(repository, "tag", "v0.10.0")
    git(repository, "tag", "vacation")
    with pytest.raises(release.RefusedError, match=r"0\.9\.0 is not above 0\.10\.0"):
        release.release(repository, "0.9.0")


@pytest.mark.parametrize("name", ["CHANGELOG.md", "new"])
def test_a_tree_with_changes_is_refused(repository, name):
    with (repository / name).open("a") as file:
        file.write("more\n")
    with pytest.raises(release.RefusedError, match=name):
        release.release(repository, "0.2.0")
    assert git(repository, "tag") == ""


@pytest.mark.parametrize("log", [EMPTY, "# Changes\n\n## 0.1.0\n\nThe core.\n"])
def test_a_change_log_that_says_nothing_is_refused(repository, log):
    (repository / "CHANGELOG.md").write_text(log)
    commit(repository)
    with pytest.raises(release.RefusedError, match="says nothing"):
        release.release(repository, "0.2.0")


def test_when_git_refuses_the_files_are_as_before(repository):
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(release.RefusedError, match="no"):
        release.release(repository, "0.2.0")
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "tag") == ""
