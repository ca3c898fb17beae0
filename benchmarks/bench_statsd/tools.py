"""Where things are, and the C programs that load and watch the servers."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
ROOT = SOURCES.parent.parent
CACHE = ROOT / ".cache" / "bench-statsd"
PEERS = CACHE / "peers"
RUN = CACHE / "run"
_TOOLS = CACHE / "bin"

LOADGEN = _TOOLS / "loadgen"
SINK = _TOOLS / "sink"
QUEUE = _TOOLS / "queue"
BARE = _TOOLS / "bare"


class TroubleError(Exception):
    """Something that was to be measured could not run; its text says why."""


def build_tools() -> None:
    """Compile the C programs; raise TroubleError if there is no compiler or it refuses."""
    _TOOLS.mkdir(parents=True, exist_ok=True)
    for program in (LOADGEN, SINK, QUEUE, BARE):
        source = SOURCES / f"{program.name}.c"
        call(["cc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source), "-lm"], seconds=60)


def call(
    command: list[str], seconds: float, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command and return what it printed; raise TroubleError with its last words if it fails or takes longer."""
    if shutil.which(command[0]) is None:
        raise TroubleError(f"{command[0]} is missing")
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, timeout=seconds, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        raise TroubleError(f"{command[0]} took longer than {seconds:.0f} s") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise TroubleError(f"{Path(command[0]).name}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


def tmpfs_folder() -> AbstractContextManager[str]:
    """Return a new folder in memory, gone at the end; on disk where there is no tmpfs."""
    memory = next((place for place in ("/dev/shm", "/run") if _is_tmpfs(place)), None)  # noqa: S108 - mkdtemp in it
    return tempfile.TemporaryDirectory(prefix="bench-statsd-", dir=memory or CACHE)


def _is_tmpfs(place: str) -> bool:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return any(mount[1] == place and mount[2] == "tmpfs" for mount in mounts)
