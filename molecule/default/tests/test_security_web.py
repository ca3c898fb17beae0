"""The web as an attacker tries it: writes without a login, other hosts, other sites, old TLS, greedy queries."""

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from site_under_test import Site

HANDSHAKE = """
import json, socket, ssl, sys
address, port, name, authority, version = json.load(sys.stdin)
context = ssl.create_default_context(cafile=authority)
if version:
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
else:
    context.set_alpn_protocols(["h2", "http/1.1"])
try:
    with socket.create_connection((address, port), 10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as secure:
            print(json.dumps([secure.version(), secure.selected_alpn_protocol()]))
except ssl.SSLCertVerificationError as error:
    print(json.dumps([error.verify_message]))
except ssl.SSLError as error:
    print(json.dumps([error.reason]))
"""

MEMORY = """
import json, pathlib, subprocess
show = ["systemctl", "show", "--property=MainPID", "--value", "graphite-web"]
main = subprocess.run(show, capture_output=True, text=True).stdout.strip()
def mib(pid, field):
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split(field + ":")[1].split()[0]) // 1024
workers = pathlib.Path(f"/proc/{main}/task/{main}/children").read_text().split()
print(json.dumps({"main": main, "largest": max(mib(pid, "VmRSS") for pid in workers)}))
"""

DJANGO = (
    "runuser -u _graphite -- env DJANGO_SETTINGS_MODULE=graphite.settings GRAPHITE_SETTINGS_MODULE=local_settings"
    " PYTHONPATH=/etc/graphite python3"
)

VIEWS = """
import django
django.setup()
from graphing_web import guard
from django.urls import get_resolver
print(sorted(guard.WRITES - {name for name in get_resolver().reverse_dict if isinstance(name, str)}))
"""

WIDE = """
import json, os, pathlib, sys, time, whisper
count = json.load(sys.stdin)
directory = pathlib.Path("/var/lib/graphite/whisper/wide")
directory.mkdir()
first = directory / "s0.wsp"
whisper.create(str(first), [(10, 2160), (60, 10080), (600, 12960), (3600, 43800)], sparse=True)
whisper.update(str(first), 1, time.time())
for n in range(1, count):
    os.link(first, directory / f"s{n}.wsp")
"""

SCRIPT = "<script>alert(8125)</script>"


def header(answer, name):
    return [value for found, value in answer["headers"] if found == name]


# Writes


@pytest.mark.parametrize(
    "path",
    [
        "/events/",
        "/tags/tagSeries",
        "/tags/tagMultiSeries",
        "/tags/delSeries",
        "/metrics/set-metadata/",
        "/dashboard/save/Photoworld",
        "/dashboard/delete/Photoworld",
        "/dashboard/save_template/a/b",
        "/dashboard/delete_template/a",
        "/dashboard/create-temporary/",
        "/account/update",
    ],
)
def test_nobody_writes_without_a_login(site, path):
    form = {"what": "x", "path": "x", "state": "{}", "operations": "[]"}
    assert site.request(path, form)["status"] == 403
    assert site.request(path, form, Cookie="sessionid=" + "a" * 32)["status"] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard/delete/Photoworld",
        "/dashboard//delete/Photoworld",
        "/%64ashboard/delete/Photoworld",
        "/metrics/set-metadata/?metric=a&key=b&value=c",
        "/composer/mygraph?action=save&graphName=a&url=b",
        "/s/render/?target=a",
    ],
)
def test_nobody_writes_by_get_either(site, path):
    assert site.request(path)["status"] in (403, 404)
    assert "state" in json.loads(site.request("/dashboard/load/Photoworld")["body"])


def test_another_site_cannot_have_a_person_write(site, session):
    """A link that a person is made to open comes with the cookie, but not with what scripts of the site send."""
    state = {"state": '{"name": "victim", "graphs": []}'}
    assert site.request("/dashboard/save/victim", state, Cookie=session)["status"] == 200
    assert site.request("/dashboard/delete/victim", Cookie=session)["status"] == 403
    assert "state" in json.loads(site.request("/dashboard/load/victim")["body"])
    sent = {"Cookie": session, "X-Requested-With": "XMLHttpRequest"}
    assert '"success"' in site.request("/dashboard/delete/victim", **sent)["body"]


def test_the_session_is_for_this_site_and_no_script(session):
    attributes = {part.strip().lower() for part in session.split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax"} <= attributes


# Where requests may come from, and where answers lead


@pytest.mark.parametrize("path", ["/", "/render?target=a", "/static/js/dashboard.js", "/admin/"])
def test_another_host_is_not_served(site, path):
    assert site.request(path, Host="evil.example.org")["status"] == 400


@pytest.mark.parametrize(
    "path", ["/whitelist", "/composer/send_email", "/dashboard/email", "/local_settings.py", "/static/../graphite.db"]
)
def test_only_known_paths_are_there(site, path):
    assert site.request(path)["status"] == 404
    assert site.request(path, {"recipients": "a@example.org"})["status"] in (404, 405)


@pytest.mark.parametrize(
    "target", ["https://evil.example.org/", "//evil.example.org/", "/\\evil.example.org", "javascript:alert(1)"]
)
def test_no_redirect_leads_away(site, session, target):
    out = site.request(f"/account/logout?nextPage={quote(target)}")
    into = site.request("/account/update", {"nextPage": target}, Cookie=session)
    for answer in (out, into):
        # Django itself refuses to redirect to what is no web address.
        assert answer["status"] in (302, 400)
        # A browser takes //HOST and /\\HOST for another host's; %5C is no more than a letter of a path.
        assert all(re.match(r"/(?![/\\])", location) for location in header(answer, "location")), answer["headers"]


@pytest.mark.parametrize(
    "path",
    [
        f"/render?target=a&from={quote(SCRIPT)}",
        f"/render?target={quote(SCRIPT)}&format=json",
        f"/render?target={quote(SCRIPT)}&format=svg",
        f"/composer/?target={quote(SCRIPT)}",
        f"/dashboard/{quote(SCRIPT, safe='')}",
        f"/account/login?nextPage={quote(SCRIPT)}",
        f"/metrics/find?query={quote(SCRIPT)}",
        f"/browser/search?query={quote(SCRIPT)}",
        f"/events/?tags={quote(SCRIPT)}",
        f"/functions/{quote(SCRIPT, safe='')}",
    ],
)
def test_what_is_asked_is_not_run(site, path):
    answer = site.request(path)
    kind = header(answer, "content-type")
    assert SCRIPT not in answer["body"] or not any("html" in value or "svg" in value for value in kind), answer["body"]


def test_headers_tell_browsers_to_be_strict(site):
    answer = site.request("/dashboard/Photoworld")
    policy = dict(part.strip().split(" ", 1) for part in header(answer, "content-security-policy")[0].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'self'"
    assert policy["object-src"] == "'none'"
    assert header(answer, "x-content-type-options") == ["nosniff"]
    assert header(answer, "x-frame-options") == ["SAMEORIGIN"]
    assert header(answer, "strict-transport-security") == ["max-age=31536000"]
    assert not any("nginx/" in value for value in header(answer, "server"))


def test_the_forum_has_its_own_headers_once(site):
    answer = site.request(f"{site.forum}/")
    assert header(answer, "x-frame-options") == ["DENY"]
    assert len(header(answer, "content-security-policy")) == 1
    assert header(answer, "strict-transport-security") == ["max-age=31536000"]


# TLS


def handshake(site, port=443, name="localhost", authority=None, version=None):
    return json.loads(site.python(HANDSHAKE, ["127.0.0.1", port, name, authority, version]))


@pytest.mark.parametrize("port", [443, 8081])
def test_it_speaks_tls_1_3_and_http_2(site, port):
    assert handshake(site, port, authority=site.authority) == ["TLSv1.3", "h2"]


def test_it_speaks_tls_1_2(site):
    assert handshake(site, authority=site.authority, version="TLSv1_2") == ["TLSv1.2", None]


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_older_tls_is_refused(site, version):
    assert handshake(site, authority=site.authority, version=version) == ["TLSV1_ALERT_PROTOCOL_VERSION"]


def test_an_authority_that_is_not_trusted_is_noticed(site):
    assert "unable to get local issuer certificate" in handshake(site)[0]


def test_a_name_that_is_not_the_hosts_is_noticed(site):
    assert "Hostname mismatch" in handshake(site, name="other.example.org", authority=site.authority)[0]


def test_the_certificate_is_for_all_names_of_the_host(host, site):
    names = [host.check_output("hostname"), "localhost", "127.0.0.1", host.check_output("hostname -I").split()[0]]
    assert {tuple(handshake(site, name=name, authority=site.authority)) for name in names} == {("TLSv1.3", "h2")}


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://127.0.0.1/dashboard/Photoworld?a=b", "https://127.0.0.1/dashboard/Photoworld?a=b"),
        ("http://127.0.0.1:443/render?target=a", "https://127.0.0.1:443/render?target=a"),
        ("http://127.0.0.1:8081/", "https://127.0.0.1:8081/"),
    ],
)
def test_plain_http_is_sent_on(site, url, target):
    answer = site.request(url)
    assert (answer["status"], header(answer, "location")) == (301, [target])
    assert site.request(target)["status"] == 200


def test_plain_http_is_not_sent_on_to_another_host(site):
    assert site.request("http://127.0.0.1/", Host="evil.example.org")["status"] == 400


def test_the_public_certificate_of_the_authority_is_with_the_secrets(host):
    copy = Path(__file__).parents[1] / "inventory/secrets" / host.check_output("hostname") / "authority.pem"
    assert copy.read_text() == host.file("/etc/graphing/tls/authority.pem").content_string
    assert "PRIVATE" not in copy.read_text()


# Django


def test_django_finds_nothing_to_complain_of(host):
    """Except what local_settings.py silences, each with its reason."""
    said = host.check_output(f"{DJANGO} -m django check --deploy --fail-level WARNING 2>&1")
    assert re.search(r"System check identified no issues \(\d silenced\)", said), said


def test_every_view_that_writes_is_known(host):
    """The guard names them; a package that renames one must not slip through."""
    assert host.check_output(f"{DJANGO} -c %s", VIEWS) == "[]"


# What a query may cost


@pytest.fixture(scope="module")
def wide(host):
    """So many series under wide.*: one file under as many names."""
    count = 10_000
    Site(host).python(WIDE, count)
    yield count
    host.check_output("rm -r /var/lib/graphite/whisper/wide")


@pytest.mark.parametrize("start", ["-6h", "-5years"])
def test_a_greedy_query_ends_and_takes_nothing_with_it(site, wide, start):
    """It is answered or refused before the test's client gives up, and the workers are as small as before."""
    before = json.loads(site.python(MEMORY))
    answer = site.request(f"/render?target=sumSeries(wide.*)&from={start}&format=json")
    assert answer["status"] in (200, 500, 502, 504)
    # More often than there are workers: none of them is left unable to answer.
    assert {site.request("/render?target=wide.s7&format=json")["status"] for _ in range(6)} == {200}
    site.until(lambda: json.loads(site.python(MEMORY))["largest"] <= 256)
    assert json.loads(site.python(MEMORY))["main"] == before["main"]
