"""Long addresses and large forms: nginx alone bounds them, and says so; what it lets through is answered."""

import json

import pytest

SEND = """
import http.client, json, socket, ssl, sys
port, method, path, headers, body = json.load(sys.stdin)
path, body = ("".join(text * times for text, times in pieces) for pieces in (path, body))
class Own(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(port)
insecure = ssl.create_default_context()
insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
local = isinstance(port, str)
connection = Own("localhost") if local else http.client.HTTPSConnection("127.0.0.1", port, context=insecure)
connection.putrequest(method, path)
headers = {"Content-Length": len(body), "Content-Type": "application/x-www-form-urlencoded"} | headers
for name, value in headers.items():
    connection.putheader(name, value)
connection.endheaders(body.encode())
answer = connection.getresponse()
print(json.dumps([answer.status, answer.read().decode("utf-8", "replace")]))
"""
OWN = "/run/graphite-web.sock"
"""The application's own socket, which root uses where one must log in."""


def send(site, port, method, path, *, body=(), headers=None):
    """Status and body of the answer; path and body are given as [text, times] pieces."""
    return json.loads(site.python(SEND, [port, method, path, headers or {}, body]))


WIDE: list[tuple[str, int]] = [("/render?format=json", 1), ("&target=carbon.agents.*.metricsReceived", 500)]
"""An address of 20 kB."""


@pytest.mark.parametrize("port", [443, OWN])
def test_a_long_address_is_answered(site, port):
    status, body = send(site, port, "GET", WIDE)
    assert (status, len(json.loads(body))) == (200, 500)


@pytest.mark.parametrize("port", [443, OWN])
def test_a_form_with_many_targets_is_answered(site, port):
    form = [["format=json", 1], ["&target=carbon.agents.*.metricsReceived", 1500]]
    status, body = send(site, port, "POST", [["/render", 1]], body=form)
    assert (status, len(json.loads(body))) == (200, 1500)


@pytest.mark.parametrize("port", [443, 8081])
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ([["/?a=", 1], ["b", 30_000]], {}, 200),
        ([["/?a=", 1], ["b", 33_000]], {}, 414),
        ([["/?", 1], ["&a=b", 5000]], {}, 200),
        ([["/", 1]], {"X-Long": "b" * 30_000}, 200),
        ([["/", 1]], {"X-Long": "b" * 33_000}, 431),
        ([["/", 1]], {f"X-{number}": "b" for number in range(500)}, 200),
        ([["/", 1]], {"Content-Length": 5 << 20}, 413),
    ],
)
def test_nginx_says_what_is_too_large_and_nobody_else_does(site, port, path, headers, status):
    assert send(site, port, "GET", path, headers=headers)[0] == status


def test_a_short_link_leads_to_a_long_address(site, session):
    sent = {"Cookie": session.split(";")[0], "X-Requested-With": "XMLHttpRequest"}
    path = "".join(text * times for text, times in WIDE)
    status, link = send(site, 443, "GET", [["/s", 1], *WIDE], headers=sent)
    assert status == 200
    answer = site.request(link)
    assert (answer["status"], dict(answer["headers"])["location"]) == (301, path)


def test_a_dashboard_as_large_as_nginx_takes_is_saved(site, session):
    """More than the 2.5 MB that Django takes of itself."""
    state = [["state=%7B%22name%22:%22large%22,%22graphs%22:%5B%22", 1], ["a", 3_000_000], ["%22%5D%7D", 1]]
    sent = {"Cookie": session.split(";")[0], "X-Requested-With": "XMLHttpRequest"}
    status, body = send(site, 443, "POST", [["/dashboard/save/large", 1]], body=state, headers=sent)
    assert (status, json.loads(body)) == (200, {"success": True})
    assert len(site.request("/dashboard/load/large")["body"]) > 3_000_000
    assert send(site, 443, "POST", [["/dashboard/delete/large", 1]], headers=sent)[0] == 200
