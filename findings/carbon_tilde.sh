#!/bin/sh
# carbon 1.1.10: a name that begins with ~ is stored without it, tags or no tags, and nothing says so: `~cpu.load` and `cpu.load`
# are one series, in which the later line of a second wins. It is meant for the value of the tag `name`, where Graphite keeps
# a leading ~ for itself, but every line goes through it. The log does not mention it.
#
# Seen on 2026-11-29 (Python 3.11; `cpu.load 5`, then `~cpu.load 7`, with ENABLE_TAGS = False):
#   cpu/load.wsp 7.0
#
# Exits 1 if that changes. Needs python3 3.11 or older with venv (carbon 1.1.10 imports `imp`), and PyPI.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/whisper" "$folder/log"
cat >"$folder/storage-schemas.conf" <<'CONF'
[all]
pattern = .*
retentions = 1s:60s
CONF
cat >"$folder/see.py" <<'PYTHON'
import os, socket, subprocess, sys, time, whisper

folder, cache = sys.argv[1:]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
with open(f"{folder}/carbon.conf", "w") as conf:
    conf.write(
        f"[cache]\nUSER =\nSTORAGE_DIR = {folder}\nLOCAL_DATA_DIR = {folder}/whisper\nLOG_DIR = {folder}/log\n"
        f"PID_DIR = {folder}\nCONF_DIR = {folder}\nLINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {port}\n"
        "PICKLE_RECEIVER_PORT = 0\nCACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = 0\nENABLE_TAGS = False\n"
        "CARBON_METRIC_INTERVAL = 0\n"
    )
command = [sys.executable, cache, f"--config={folder}/carbon.conf", f"--pidfile={folder}/pid", "--nodaemon", "start"]
with open(f"{folder}/said", "w") as said:
    server = subprocess.Popen(command, stdout=said, stderr=said)
try:
    for _ in range(200):
        try:
            relay = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            assert server.poll() is None, open(f"{folder}/said").read()
            time.sleep(0.1)
    stamp = int(time.time())
    relay.sendall(f"cpu.load 5 {stamp}\n~cpu.load 7 {stamp}\n".encode())
    relay.close()
    time.sleep(3)
    for place, _, files in os.walk(f"{folder}/whisper"):
        for name in files:
            path = os.path.join(place, name)
            values = whisper.fetch(path, stamp - 1, stamp)[1]
            print(os.path.relpath(path, f"{folder}/whisper"), *[value for value in values if value is not None])
finally:
    server.terminate()
    server.wait()
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check carbon==1.1.10 whisper==1.1.10 Twisted==24.11.0
seen=$("$folder/venv/bin/python" "$folder/see.py" "$folder" "$folder/venv/bin/carbon-cache.py")
echo "$seen"
[ "$seen" = "cpu/load.wsp 7.0" ] || { echo "expected cpu/load.wsp 7.0"; exit 1; }
