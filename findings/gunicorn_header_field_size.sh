#!/bin/sh
# gunicorn 27.0.1: limit_request_field_size = 0, which its documentation calls unlimited, is the default of 8190 bytes. The
# neighbour limit_request_line = 0 is unlimited as documented. Debian's 23.0.0 takes both for unlimited.
#
# Seen on 2026-11-29 (Python 3.11), an address and a header of 20,000 bytes with both settings 0:
#   gunicorn 23.0.0   address 200, header 200
#   gunicorn 27.0.1   address 200, header 431
#
# Exits 1 if that changes. Needs python3 with venv, and PyPI.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/app.py" <<'PYTHON'
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
PYTHON
cat >"$folder/ask.py" <<'PYTHON'
import http.client, socket, subprocess, sys, time

folder = sys.argv[1]
options = ["--bind=unix:s", "--limit-request-line=0", "--limit-request-field_size=0", "--log-level=critical"]
server = subprocess.Popen([sys.executable, "-m", "gunicorn", *options, "app"], cwd=folder)


def ask(path, headers):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(f"{folder}/s")
    connection.request("GET", path, headers=headers)
    return connection.getresponse().status


try:
    for _ in range(200):
        try:
            ask("/", {})
            break
        except OSError:
            time.sleep(0.1)
    print("address", ask("/?" + "a" * 20_000, {}), "header", ask("/", {"X-Long": "a" * 20_000}))
finally:
    server.terminate()
    server.wait()
PYTHON
code=0
for wanted in "23.0.0 address 200 header 200" "27.0.1 address 200 header 431"; do
    version=${wanted%% *}
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "gunicorn==$version"
    seen="$version $("$folder/$version/bin/python" "$folder/ask.py" "$folder")"
    echo "gunicorn $seen"
    [ "$seen" = "$wanted" ] || { echo "expected $wanted"; code=1; }
done
exit $code
