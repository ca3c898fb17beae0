"""Backups of a graphing server in a Borg repository: archive.py COMMAND, with JSON on stdin.

Everything goes in one archive, whose last member is a manifest with the SHA-256 of every other; an archive without it
is not whole. It is put together as a stream, so a backup needs no room but the repository's. Answers are JSON on
stdout; what goes wrong is one sentence on stderr and exit status 1.

    look    {whisper, databases, repository}            what there is to back up
    take    {repository, passphrase, ssh, host, ...}     a new archive (see `take`)
    find    {repository, passphrase, ssh, host, archive} which archive that is, its manifest and the controller's files
    unpack  {..., archive, into, bytes}                  the archive's files, checked against its manifest
    place   {from, whisper, databases, aside}            put what was unpacked in its place, while nothing runs there
    files   {repository, had}                            the files of a repository, by which a copy of it is kept
"""

import base64
import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

BORG = ("borg", "--log-json", "--lock-wait", "30")
MANIFEST = "manifest.json"
HOME = "/var/cache/graphing-backup"  # what Borg remembers of repositories; it may be removed at any time
# A whisper file changes in few of its blocks from one backup to the next, and never in length.
BLOCK = 16384
SEGMENT = "32M"  # the size of a repository's files, each of which is copied to the controller in one piece
LOCK_SECONDS = 60.0

SENTENCES = {
    "PassphraseWrong": "the passphrase does not open it. Give the one that it was made with (backup_passphrase)",
    "Repository.DoesNotExist": "there are no backups there",
    "Repository.InvalidRepository": "that is no Borg repository",
    "Repository.AlreadyExists": "there is a repository already",
    "Repository.InsufficientFreeSpaceError": "its file system is full but for backup_reserve. Make room there",
    "LockTimeout": "another backup or restore is using it. Wait until it ends; if there is none, `borg break-lock`",
    "LockFailed": "it cannot be written. Its directory must belong to the user that Borg runs as",
    "ConnectionClosed": "the host that keeps it does not answer by SSH, or has no Borg",
    "ConnectionClosedWithHint": "the host that keeps it does not answer by SSH, or has no Borg",
}


class Trouble(Exception):  # noqa: N818 - a sentence for a person
    """What is wrong and what helps, in one sentence."""


# Borg.


def environment(given):
    """What Borg is told by its environment."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "BORG_BASE_DIR": HOME,
        "BORG_PASSPHRASE": given["passphrase"],
        "BORG_RSH": given["ssh"],
        # A copy of a repository is what a lost host is restored from.
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    }


def called(given):
    """What a person calls the repository: it may be a copy of another one that is read."""
    return given.get("called", given["repository"])


def why(repository, log):
    """One sentence of what Borg logged as JSON; what it has no name for may be damage."""
    entries = []
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            entries.append(json.loads(line))
    errors = [entry for entry in entries if entry.get("levelname") in ("ERROR", "CRITICAL")]
    for entry in errors:
        if sentence := SENTENCES.get(entry.get("msgid")):
            return f"{repository}: {sentence}."
    said = " ".join((errors[-1]["message"] if errors else log.strip() or "no reason given").split())
    return f"{repository} is damaged, or Borg failed: {said[:300]}"


def borg(given, *arguments, **options):
    """Run Borg on the repository; what it printed, or Trouble. A warning (exit status 1) is none."""
    pipes = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    done = subprocess.run([*BORG, *arguments], env=environment(given), check=False, **pipes, **options)
    if done.returncode not in (0, 1):
        raise Trouble(why(called(given), done.stderr))
    return done.stdout


def is_remote(repository):
    """Whether the repository is on another host."""
    return "://" in repository or ":" in repository.partition("/")[0]


def prepare(given):
    """Make the repository if there is none."""
    repository = given["repository"]
    if is_remote(repository):
        try:
            borg(given, "info", repository)
        except Trouble as trouble:
            if SENTENCES["Repository.DoesNotExist"] not in str(trouble):
                raise
        else:
            return
    elif Path(repository, "config").exists():
        return
    borg(given, "init", "--encryption", "repokey-blake2", "--make-parent-dirs", repository)
    if not is_remote(repository):
        borg(given, "config", repository, "max_segment_size", SEGMENT)
        borg(given, "config", repository, "additional_free_space", given["reserve"])


# What goes in.


def series_files(whisper):
    """Paths of the whisper files below a directory, relative to it, in order."""
    root = Path(whisper)
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".wsp"):
                yield str(Path(folder, name).relative_to(root))


def full_size(header):
    """Bytes that a whisper file must have by its header, or None if that is none."""
    if len(header) < 16:
        return None
    count = struct.unpack(">LLfL", header[:16])[3]
    end = 16 + 12 * count
    if not 0 < count < 100 or len(header) < end:
        return None
    return end + sum(12 * struct.unpack(">LLL", header[n : n + 12])[2] for n in range(16, end, 12))


def between_updates(path):
    """A file's content while nobody writes to it: carbon holds this lock for each update (WHISPER_LOCK_WRITES)."""
    end = time.monotonic() + LOCK_SECONDS
    with open(path, "rb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Trouble(f"{path} has been locked for {LOCK_SECONDS:.0f} s. End what works on it.") from None
                time.sleep(0.005)
            else:
                return file.read()


def sqlite_copy(path):
    """A SQLite database as it is between two transactions, by its online backup."""
    source = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=30)
    with contextlib.closing(source), contextlib.closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy)
        return copy.serialize()


def database(found):
    """The content of a database: a SQLite file's, or what a command prints (pg_dump)."""
    if "path" in found:
        return sqlite_copy(found["path"])
    done = subprocess.run(found["dump"], capture_output=True, check=False)
    if done.returncode:
        raise Trouble(f"{found['name']} cannot be dumped: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout


def there(databases):
    """Those of the databases that exist on this host."""
    return [found for found in databases if "dump" in found or Path(found["path"]).exists()]


def configuration(paths):
    """Names, contents and modes of the files at or below the paths."""
    for path in map(Path, paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                yield f"etc/{file.relative_to('/etc')}", file.read_bytes(), file.stat().st_mode & 0o777


# Numbers on their way.


def holds(path, stamp, value):
    """Whether the finest archive of a whisper file has this value at the time."""
    with contextlib.suppress(FileNotFoundError):
        data = between_updates(path)
        if len(data) == full_size(data):
            offset, step, points = struct.unpack(">LLL", data[16:28])
            wanted = struct.pack(">Ld", stamp - stamp % step, value)
            return wanted in (data[offset + 12 * n : offset + 12 * n + 12] for n in range(points))
    return False


def written(given, began):
    """Wait until each carbon-cache has written all that it had got when the backup began; those that do not run.

    A cache writes the series with the oldest point first (CACHE_WRITE_STRATEGY = timesorted), one after the other. So
    when a point of now is in its file, everything older is in its own. The point stays: when backups began.
    """
    away = []
    for cache in given["caches"]:
        name = cache["series"]
        try:
            with socket.create_connection(("127.0.0.1", cache["port"]), timeout=10) as carbon:
                carbon.sendall(f"{name} {began} {began}\n".encode())
        except ConnectionRefusedError:
            away.append(cache["name"])  # a cache that does not run holds nothing
            continue
        path = Path(given["whisper"], name.replace(".", "/") + ".wsp")
        end = time.monotonic() + given["wait"]
        while not holds(path, began, float(began)):
            if time.monotonic() > end:
                raise Trouble(
                    f"carbon-cache@{cache['name']} has not written in {given['wait']} s what it had got. Its disk is "
                    "too slow (carbon.agents.*.cache.size tells), or backup_wait too short."
                )
            time.sleep(0.2)
    return away


# Taking a backup.


class Stream:
    """A tar stream of members, and what the manifest is to say of them."""

    def __init__(self, out, began):
        """Begin; `began` is the date of members that have none."""
        # Closed by `end`.
        self.tar = tarfile.open(fileobj=out, mode="w|", bufsize=1 << 20, format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self.began = began
        self.files = {}

    def add(self, name, content, mode=0o600):
        """Add a member."""
        self.files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        self._put(name, content, mode)

    def _put(self, name, content, mode):
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(content), mode, self.began
        self.tar.addfile(member, io.BytesIO(content))

    def end(self, about):
        """Add the manifest, the last member."""
        self._put(MANIFEST, json.dumps({**about, "files": self.files}, indent=1).encode(), 0o600)
        self.tar.close()


def fill(stream, given):
    """Add everything; the series that are damaged, and how many were born meanwhile."""
    for name, content in given["controller"].items():
        stream.add(f"controller/{name}", base64.b64decode(content))
    for name, content, mode in configuration(given["configuration"]):
        stream.add(name, content, mode)
    for found in there(given["databases"]):
        stream.add(f"databases/{found['name']}", database(found))
    damaged, born = [], 0
    for name in series_files(given["whisper"]):
        path = Path(given["whisper"], name)
        try:
            content, status = between_updates(path), path.stat()
        except FileNotFoundError:
            continue  # removed meanwhile
        if len(content) != full_size(content):
            if status.st_mtime >= stream.began:
                born += 1  # carbon is making it: all its numbers are younger than the backup
                continue
            damaged.append(name)
        stream.add(f"whisper/{name}", content, status.st_mode & 0o777)
    return damaged, born


def kept(keep):
    """Borg's options for what is kept."""
    return [f"--keep-{period}={count}" for period, count in keep.items() if str(count) != "0"]


def imported(given, arguments, about):
    """Have Borg import the stream; its figures. What the manifest says besides the files is added to `about`."""
    with tempfile.TemporaryFile("w+") as log:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
        # A pipe that breaks is Borg's end: its log says why.
        with (
            contextlib.suppress(BrokenPipeError),
            subprocess.Popen([*BORG, *arguments], env=environment(given), **pipes) as process,
        ):
            try:
                stream = Stream(process.stdin, about["began"])
                about["damaged"], about["born"] = fill(stream, given)
                about["series"] = sum(name.startswith("whisper/") for name in stream.files)
                about["bytes"] = sum(file["size"] for file in stream.files.values())
                stream.end(about)
                process.stdin.close()
            except BrokenPipeError:
                raise
            except BaseException:
                process.terminate()  # before its input ends, or it would keep half an archive
                process.wait()
                raise
            answer = process.stdout.read()
        if process.returncode not in (0, 1):
            log.seek(0)
            raise Trouble(why(given["repository"], log.read()))
    return json.loads(answer)


def take(given):
    """Take a backup, drop those that need not be kept; what it came to.

    Besides the repository: `whisper`, `databases` ({name, path} or {name, dump}), `configuration` (paths),
    `controller` ({name: base64}), `caches` ({name, port, series}), `wait` (seconds), `keep` ({daily: 7, ...}),
    `reserve` (what is left free).
    """
    began = int(time.time())
    prepare(given)
    away = written(given, began)
    name = f"{given['host']}@{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime(began))}"
    where = f"{given['repository']}::{name}"
    options = ["--json", "--compression", "zstd,3", "--chunker-params", f"fixed,{BLOCK}"]
    about = {"format": 1, "host": given["host"], "began": began, "archive": name, "away": away}
    about["databases"] = [found["name"] for found in there(given["databases"])]
    stats = imported(given, ["import-tar", *options, where, "-"], about)
    if options := kept(given["keep"]):
        borg(given, "prune", "--glob-archives", f"{given['host']}@*", *options, given["repository"])
    borg(given, "compact", given["repository"])
    return about | {
        "added": stats["archive"]["stats"]["deduplicated_size"],
        "seconds": int(time.time()) - began,
        "archives": archives(given, f"{given['host']}@*"),
    }


# Bringing one back.


def archives(given, pattern):
    """Names of the archives in the repository, oldest first."""
    listed = json.loads(borg(given, "list", "--json", "--glob-archives", pattern, given["repository"]))
    return [archive["name"] for archive in listed["archives"]]


def chosen(given):
    """The archive that is asked for: the one of that name, or the host's newest."""
    found = archives(given, "*")
    own = [name for name in found if name.rpartition("@")[0] == given["host"]]
    if given["archive"] in own:
        return given["archive"]
    if given["archive"] and own:
        raise Trouble(f"{called(given)} has no {given['archive']}; it has {', '.join(own[-8:])}.")
    if own:
        return own[-1]
    hosts = sorted({name.rpartition("@")[0] for name in found})
    if not hosts:
        raise Trouble(f"{called(given)}: there are no backups there.")
    raise Trouble(
        f"The backups in {called(given)} are of {', '.join(hosts)}, not of {given['host']}. "
        f"To let this host take its place, say -e restore_host={hosts[0]}"
    )


def find(given):
    """Which archive is asked for, what its manifest says, and the controller's files in it."""
    archive = chosen(given)
    with tempfile.TemporaryDirectory(dir="/run") as scratch:  # in memory: secrets are among them
        borg(given, "extract", f"{given['repository']}::{archive}", MANIFEST, "controller", cwd=scratch)
        if not Path(scratch, MANIFEST).is_file():
            raise Trouble(f"{archive} in {called(given)} is not whole: its manifest is missing. Take another one.")
        manifest = json.loads(Path(scratch, MANIFEST).read_bytes())
        names = {name: entry for name, entry in manifest.pop("files").items() if name.startswith("controller/")}
        if wrong := list(faults(scratch, names)):
            raise Trouble(f"{archive} is damaged: {wrong[0]}. Take another one.")
        contents = {name.removeprefix("controller/"): Path(scratch, name).read_bytes() for name in names}
    files = {name: base64.b64encode(content).decode() for name, content in contents.items()}
    return {"archive": archive, "manifest": manifest, "controller": files}


def faults(folder, files):
    """What in the folder is not as the manifest's files say."""
    for name, wanted in files.items():
        path = Path(folder, name)
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != wanted["size"]:
            yield f"{name} has {path.stat().st_size} bytes instead of {wanted['size']}"
        else:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != wanted["sha256"]:
                    yield f"{name} has another SHA-256"


def unpack(given):
    """Extract an archive into a new folder and compare every file with the manifest; nothing stays of a bad one."""
    into = Path(given["into"])
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True, mode=0o700)
    try:
        free = shutil.disk_usage(into).free
        if free < given["bytes"] * 1.05:
            raise Trouble(
                f"{into} has {free >> 20} MiB free; the backup takes {given['bytes'] >> 20} MiB. Make room there."
            )
        borg(given, "extract", f"{given['repository']}::{given['archive']}", cwd=into)
        manifest = json.loads((into / MANIFEST).read_bytes())
        if wrong := list(faults(into, manifest["files"])):
            named = "; ".join(wrong[:3])
            raise Trouble(f"{given['archive']} is damaged: {named} ({len(wrong)} files in all). Take another one.")
    except BaseException:
        shutil.rmtree(into)
        with contextlib.suppress(OSError):  # up to the first folder that holds something else
            os.removedirs(into.parent)
        raise
    return {"files": len(manifest["files"]), "folders": sorted(path.name for path in into.iterdir() if path.is_dir())}


def aside(path, ending):
    """Move what is at the path out of the way, or remove it if nothing is to be kept."""
    if ending and path.exists():
        path.rename(path.with_name(path.name + ending))
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def own(path, owner):
    """Give a file, or a folder and all in it, to a user and the group of its name; folders with the service's mode."""
    shutil.chown(path, owner, owner)
    for folder, folders, names in os.walk(path):
        for name in folders + names:
            shutil.chown(Path(folder, name), owner, owner)
        Path(folder).chmod(0o750)


def place(given):
    """Put whisper files and databases in place; `aside` is the ending of what they replace ('': it is not kept).

    Each is moved in one step, so an interrupted run goes on where it stopped.
    """
    source = Path(given["from"])
    if (source / "whisper").is_dir():
        own(source / "whisper", given["owner"])
        (source / "whisper").chmod(0o755)
        aside(Path(given["whisper"]), given["aside"])
        (source / "whisper").rename(given["whisper"])
    for found in given["databases"]:
        copy = source / "databases" / found["name"]
        if not copy.is_file():
            continue
        if "load" in found:
            if given["aside"]:
                before = Path(given["whisper"]).with_name(found["name"] + given["aside"])
                before.touch(mode=0o600)
                before.write_bytes(database(found))
            with copy.open("rb") as dump:
                done = subprocess.run(found["load"], stdin=dump, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Trouble(f"{found['name']} could not be loaded: {done.stderr.strip()[-300:]}")
        else:
            path = Path(found["path"])
            fresh = path.with_name(path.name + ".restored")
            shutil.copyfile(copy, fresh)
            fresh.chmod(0o640)
            own(fresh, found["owner"])
            for ending in ("-wal", "-shm", "-journal"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
            aside(path, given["aside"])
            fresh.rename(path)
        copy.unlink()
    # Empty, it tells a later run that this one has not come to its end.
    shutil.rmtree(source)
    source.mkdir(mode=0o700)
    return {}


# Looking.


def look(given):
    """What there is to back up: series and bytes, of the databases too, and whether a file can be copied whole."""
    sizes = [Path(given["whisper"], name).stat().st_size for name in series_files(given["whisper"])]
    databases = there(given["databases"])
    paths = [Path(database["path"]) for database in databases if "path" in database]
    carbon = Path("/etc/carbon/carbon.conf")
    return {
        "series": len(sizes),
        "bytes": sum(sizes) + sum(path.stat().st_size for path in paths),
        "databases": [database["name"] for database in databases],
        "locks": carbon.exists() and "WHISPER_LOCK_WRITES = True" in carbon.read_text(),
        "begun": not is_remote(given["repository"]) and Path(given["repository"], "config").exists(),
    }


def files(given):
    """The files of a repository with their sizes, which repository it is (an empty id: none), what a copy of it lacks.

    `had` are the files of the copy. Borg's files never change but for two small ones: what has the same name and size
    is the same.
    """
    root = Path(given["repository"])
    found = {str(path.relative_to(root)): path.stat().st_size for path in sorted(root.rglob("*")) if path.is_file()}
    found = {name: size for name, size in found.items() if not name.startswith("lock")}
    config = root / "config"
    lines = config.read_text().splitlines() if config.is_file() else []
    had = given.get("had", {})
    return {
        "id": next((line.partition("=")[2].strip() for line in lines if line.startswith("id")), ""),
        "files": found,
        "new": [name for name, size in found.items() if had.get(name) != size or name in ("config", "nonce")],
        "gone": sorted(had.keys() - found.keys()),
    }


def main():
    """Do what the argument says."""
    work = {"look": look, "take": take, "find": find, "unpack": unpack, "place": place, "files": files}
    if len(sys.argv) != 2 or sys.argv[1] not in work:
        sys.exit(__doc__)
    try:
        print(json.dumps(work[sys.argv[1]](json.load(sys.stdin))))
    except Trouble as trouble:
        sys.exit(str(trouble))


if __name__ == "__main__":
    main()
