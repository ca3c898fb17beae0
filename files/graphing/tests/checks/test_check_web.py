"""The first page, and the certificate that it shows."""

import http.server
import ssl
import threading

import pytest
from checks_support import FAIL, OK
from ports import reserve_port

from graphing.checks import certificate, web


@pytest.mark.parametrize(
    ("code", "trouble", "state", "remedy"),
    [
        (200, "", OK, ""),
        (302, "", OK, ""),
        (403, "", OK, ""),
        (502, "", FAIL, "restart graphite-web"),
        (0, "Connection refused", FAIL, "restart nginx"),
    ],
)
def test_the_first_page_is_what_people_meet(code, trouble, state, remedy):
    found = web.judge("https://x", code, trouble)
    assert found.state is state
    assert remedy in found.remedy
    assert (trouble or str(code) if state is FAIL else "answers") in found.what


@pytest.fixture(scope="module")
def shown(certificate_file):
    """An https server with that certificate; its address."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, f"{certificate_file}.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_certificate_that_is_shown_is_looked_at(certificate_file, shown):
    assert certificate.end_of(web.shown_certificate(shown)) == certificate.end_of(certificate_file.read_text())
    assert web.measure(shown) == (501, "")


def test_where_nobody_answers_nothing_is_shown():
    url = f"https://localhost:{reserve_port()}"
    assert web.shown_certificate(url) is None
    assert web.measure(url) == (0, "Connection refused")
    assert web.measure(url.replace("https", "http")) == (0, "Connection refused")
