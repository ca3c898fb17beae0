"""A pretended AWS on this computer's loopback: moto, with images as Debian's account has them.

    pretended_aws.py start DIRECTORY PORT   starts one in the background, unless one answers there already
    pretended_aws.py serve DIRECTORY PORT   is one, until DIRECTORY/running is removed, two hours at most

Clients find it by AWS_ENDPOINT_URL=http://127.0.0.1:PORT. While DIRECTORY/refuse exists, no instance is started, and
the answer is the error that this file names, in AWS's own form: moto knows no quotas.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

LONGEST_LIFE = 7200.0  # seconds
START_DEADLINE = 60.0

DEBIAN = "136693071363"
NEWEST = "ami-0deb1300000000002"


def image(name: str, ami: str, day: str, owner: str = DEBIAN, architecture: str = "x86_64") -> dict[str, Any]:
    """An image as moto wants it."""
    return {
        "ami_id": ami,
        "name": name,
        "description": name,
        "owner_id": owner,
        "public": True,
        "virtualization_type": "hvm",
        "architecture": architecture,
        "state": "available",
        "platform": "",
        "image_type": "machine",
        "hypervisor": "xen",
        "root_device_name": "/dev/xvda",
        "root_device_type": "ebs",
        "sriov": "simple",
        "image_location": f"amazon/{name}",
        "creation_date": f"{day}T00:00:00.000Z",
    }


# One of them is right; each other is newer but for one thing that makes it wrong.
IMAGES = [
    image("debian-13-amd64-20260101-1001", "ami-0deb1300000000001", "2026-01-01"),
    image("debian-13-amd64-20260601-2001", NEWEST, "2026-06-01"),
    image("debian-13-amd64-20260701-3001", "ami-0deb1300000000003", "2026-07-01", owner="123456789999"),
    image("debian-13-arm64-20260701-3001", "ami-0deb1300000000004", "2026-07-01", architecture="arm64"),
    image("debian-12-amd64-20260701-3001", "ami-0deb1200000000005", "2026-07-01"),
]

REFUSAL = """<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>0</RequestID></Response>"""


def refusing(application: Callable[..., Iterable[bytes]], refuse: Path) -> Callable[..., Iterable[bytes]]:
    """Wrap a WSGI application so that RunInstances fails while the file exists; it holds `CODE message`."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if b"Action=RunInstances" in body and refuse.exists():
            code, message = refuse.read_text().split(maxsplit=1)
            start_response("400 Bad Request", [("Content-Type", "text/xml;charset=UTF-8")])
            return [REFUSAL.format(code=code, message=message).encode()]
        return application(environ, start_response)

    return wrapped


def as_aws_answers() -> None:
    """Let moto say of a plain volume what AWS says and modules read: SnapshotId empty, MultiAttachEnabled false."""
    from moto.ec2.models.elastic_block_store import Volume  # noqa: PLC0415 - see serve

    create = Volume.__init__

    def created(volume: Any, *arguments: Any, **named: Any) -> None:
        create(volume, *arguments, **named)
        volume.snapshot_id = volume.snapshot_id or ""
        volume.multi_attach_enabled = bool(volume.multi_attach_enabled)

    Volume.__init__ = created  # type: ignore[assignment, method-assign]  # which is the point


def serve(directory: Path, port: int, images: list[dict[str, Any]]) -> None:
    """Answer as AWS until DIRECTORY/running is gone."""
    directory.mkdir(parents=True, exist_ok=True)
    running = directory / "running"
    running.touch()
    (directory / "images.json").write_text(json.dumps(images))
    # Read when moto is imported.
    os.environ["MOTO_AMIS_PATH"] = str(directory / "images.json")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415 - as moto, after the variable is set

    as_aws_answers()
    application = refusing(DomainDispatcherApplication(create_backend_app), directory / "refuse")
    server = make_server("127.0.0.1", port, application, threaded=True)

    def watch() -> None:
        end = time.monotonic() + LONGEST_LIFE
        while running.exists() and time.monotonic() < end:
            time.sleep(0.5)
        server.shutdown()

    threading.Thread(target=watch, daemon=True).start()
    server.serve_forever()


def answers(port: int) -> bool:
    """Whether a moto answers on the port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def start(directory: Path, port: int, *, with_images: bool = True) -> None:
    """Run `serve` in the background, and return when it answers."""
    if answers(port):
        if not (directory / "running").exists():
            sys.exit(f"Something else answers on port {port} of this computer: stop it (ss -lntp tells what it is).")
        return
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "moto.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, __file__, "serve" if with_images else "serve-no-images", str(directory), str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    end = time.monotonic() + START_DEADLINE
    while not answers(port):
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"The pretended AWS did not start on port {port}:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


def stop(directory: Path) -> None:
    """Let the one of this directory end."""
    (directory / "running").unlink(missing_ok=True)


if __name__ == "__main__":
    what, where, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if what == "start":
        start(where, number)
    else:
        serve(where, number, [] if what == "serve-no-images" else IMAGES)
