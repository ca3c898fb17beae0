"""Variables of role nginx."""

import json
from pathlib import Path

import pytest
from playbook import run_playbook

SECRETS = Path(__file__).parents[1] / "inventory/secrets/molecule-alternative"
SERVED = """
import json, ssl, sys
print(json.dumps(ssl.get_server_certificate(tuple(json.load(sys.stdin)))))
"""


def served(site, port):
    """The certificate that is shown on a port."""
    return json.loads(site.python(SERVED, ["127.0.0.1", port])).strip()


def header(answer, name):
    return [value for found, value in answer["headers"] if found == name]


@pytest.mark.parametrize("port", [4443, 8181])
def test_the_own_certificate_is_served(site, port):
    assert served(site, port) == (SECRETS / "own.pem").read_text().strip()


def test_its_key_is_roots_alone(host):
    key = host.file("/etc/graphing/tls/own.key")
    assert (key.user, oct(key.mode)) == ("root", "0o600")
    assert not host.file("/etc/graphing/tls/authority.key").exists


def test_plain_http_is_sent_on_from_its_port(host, site):
    answer = site.request("http://127.0.0.1:8880/render?target=a")
    assert (answer["status"], header(answer, "location")) == (301, ["https://127.0.0.1:4443/render?target=a"])
    assert not host.socket("tcp://80").is_listening


def test_browsers_insist_on_tls_for_as_long(site):
    assert header(site.request("/account/login"), "strict-transport-security") == ["max-age=600"]


def test_large_requests_are_refused(site):
    """As soon as they say how large they are."""
    announced = {"Content-Length": str(2**20 + 1)}
    assert site.request("/render", {"target": "a"}, **announced)["status"] == 413


def test_an_application_may_take_as_long(host):
    assert "proxy_read_timeout 45s;" in host.file("/etc/nginx/nginx.conf").content_string


def test_acme_starts_with_a_generated_certificate_and_takes_the_clients(host, site, inventory):
    """In the end the host serves the certificate that it has served before."""
    run = run_playbook("site", inventory, nginx_tls="acme")
    assert run.status == 0, run.output
    assert "certbot certonly --webroot -w /srv/acme -d graphs.example.test" in run.words
    generated = host.file("/etc/graphing/tls/server.pem").content_string.strip()
    site.until(lambda: served(site, 4443) == generated)
    host.check_output("echo proof > /srv/acme/.well-known/acme-challenge/token")
    answer = site.request("http://127.0.0.1:8880/.well-known/acme-challenge/token")
    assert (answer["status"], answer["body"]) == (200, "proof\n")
    host.check_output(
        "mkdir /etc/acme && cd /etc/graphing/tls && cp own.pem /etc/acme/fullchain.pem"
        " && cp own.key /etc/acme/privkey.pem"
    )
    run = run_playbook("site", inventory, nginx_tls="acme")
    assert run.status == 0, run.output
    assert "certbot" not in run.words
    clients = (SECRETS / "own.pem").read_text().strip()
    site.until(lambda: served(site, 4443) == clients)
