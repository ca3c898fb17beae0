"""Let a container have a socket in this computer's own network, if it can: computer_namespace.py IMAGE VOLUME.

Docker leads a published UDP port through a process of its own, whose socket holds some 250 small events: the rest of a
burst is lost, and nobody counts it. A socket that the container's systemd opens in the network namespace of this
computer has nothing in between. Makes VOLUME, which gives a container that namespace. If that is not possible, VOLUME
is gone again and the reason is printed: Docker runs in a virtual machine, without root, with user namespaces, or on
another computer.
"""

import subprocess
import sys
from pathlib import Path

# The Docker engine mounts it, so "self" is the engine: its network is the one in which it publishes ports.
VOLUME = ["--driver=local", "--opt=type=none", "--opt=o=bind", "--opt=device=/proc/self/ns"]
RIGHTS = ["--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE", "--cap-add=NET_ADMIN"]
UNCONFINED = ["--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"]
# Another computer may give its first namespace the same number.
BOOT = Path("/proc/sys/kernel/random/boot_id")
NETWORK = Path("/proc/self/ns/net")


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run docker."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


def why_not(image: str, volume: str) -> str:
    """Why a container of the image does not get into this computer's network by the volume; empty if it does."""
    look = ["nsenter", "--net=/computer/net", "sh", "-c", f"cat {BOOT}; readlink {NETWORK}"]
    run = docker("run", "--rm", *RIGHTS, *UNCONFINED, f"--volume={volume}:/computer:ro", image, *look)
    if run.returncode:
        return (run.stderr.strip().splitlines() or [f"docker run ended with {run.returncode}"])[0]
    here = [BOOT.read_text().strip(), str(NETWORK.readlink())]
    return "" if run.stdout.split() == here else "the Docker engine is in another network than this shell"


def main(image: str, volume: str) -> None:
    """Make the volume, or print why not."""
    docker("volume", "rm", volume)
    made = docker("volume", "create", *VOLUME, volume)
    reason = made.stderr.strip() or why_not(image, volume)
    if reason:
        docker("volume", "rm", volume)
        print(reason)


if __name__ == "__main__":
    main(*sys.argv[1:])
