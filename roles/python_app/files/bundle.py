"""Bundle what a host needs to install a distribution: bundle.py SOURCE OUTDIR; prints the file, then its SHA256.

A tar file of the wheel, the hash-locked requirements and the installer; with SOURCE/twin, also the C code that Cython
makes of its module, and what compiles it on the host. The same source gives the same bytes, so that the hash tells
whether a host has it already.
"""

import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time

# The first second that a zip file can hold.
os.environ["SOURCE_DATE_EPOCH"] = "315532800"

KEEP_SECONDS = 86_400

try:
    from flit_core import buildapi  # type: ignore[import-untyped]  # it ships no types
except ImportError:
    sys.exit(
        f"{sys.executable} has no flit_core: install this repository's requirements.txt into it, "
        "or set python_app_build_python to a Python that has it"
    )


def build_wheel(source: pathlib.Path) -> tuple[str, bytes]:
    """Name and content of the distribution's wheel."""
    os.chdir(source)
    with tempfile.TemporaryDirectory() as scratch:
        name = buildapi.build_wheel(scratch)
        return name, (pathlib.Path(scratch) / name).read_bytes()


def c_code(source: pathlib.Path, cache: pathlib.Path) -> dict[str, bytes]:
    """What compiles the extension modules in `source`, by name; the translation is kept in `cache`."""
    files = {}
    for module in sorted(source.glob("*.pyx")):
        command = [sys.executable, "-m", "cython", "--version"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode:
            sys.exit(f"{sys.executable} has no Cython: install this repository's requirements.txt into it")
        made_of = read_by_cython(module) + (asked.stdout + asked.stderr).encode()
        made = cache / f"{module.stem}-{hashlib.sha256(made_of).hexdigest()[:16]}.c"
        if not made.exists():
            scratch = made.with_suffix(f".{os.getpid()}.c")
            # In its folder: the name that it is called by stands in the C code.
            command = [sys.executable, "-m", "cython", "-3", module.name, "-o", str(scratch)]
            subprocess.run(command, cwd=source, check=True)
            scratch.replace(made)
        files[f"{module.stem}.c"] = made.read_bytes().replace(str(cache).encode(), b"")
    return files | {script.name: script.read_bytes() for script in source.glob("*.sh")} if files else {}


def read_by_cython(module: pathlib.Path) -> bytes:
    """The text of a module and of the parts that it includes, each under its name."""
    parts = sorted(module.parent.glob("*.pxi"))
    return b"".join(b"%b\n%b" % (file.name.encode(), file.read_bytes()) for file in [module, *parts])


def tar(files: dict[str, bytes]) -> bytes:
    """A tar file of the files, with nothing in it that differs from one run to the next."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as out:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            out.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def main() -> None:
    """Write the bundle and say where it is."""
    source, outdir = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    installer = pathlib.Path(__file__).resolve().parent / "install_release.sh"
    outdir.mkdir(parents=True, exist_ok=True)
    wheel, content = build_wheel(source)
    bundle = tar(
        {
            **c_code(source / "twin", outdir),
            wheel: content,
            "requirements.txt": (source / "requirements.txt").read_bytes(),
            "install.sh": installer.read_bytes(),
        }
    )
    digest = hashlib.sha256(bundle).hexdigest()
    # A name for each content, written aside: several hosts, and several versions, may be served at once.
    path = outdir / f"{source.name}-{digest[:16]}.tar"
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(bundle)
    scratch.replace(path)
    forget_old(outdir)
    print(path, digest, sep="\n")


def forget_old(outdir: pathlib.Path) -> None:
    """Remove bundles that nobody can be using any more."""
    for path in outdir.glob("*.tar"):
        if time.time() - path.stat().st_mtime > KEEP_SECONDS:
            path.unlink(missing_ok=True)


main()
