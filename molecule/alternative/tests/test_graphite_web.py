"""Variables of role graphite_web."""

import json
from pathlib import Path

import pytest

ACCOUNTS = """
    select username, is_superuser, email, first_name || ' ' || last_name
    from auth_user where username <> 'default' order by 1
"""
BOB = 'bob\'s "own" $pass%word\\ ö😀'
SECRETS = Path(__file__).parents[1] / "inventory/secrets/molecule-alternative/elsewhere"


def database(host, statement):
    return host.check_output(f'runuser -u _graphite -- psql --no-align --tuples-only graphite --command "{statement}"')


def test_the_page_is_on_its_port_alone(host, site):
    assert site.request("/")["status"] == 200
    assert not host.socket("tcp://443").is_listening
    rules = host.check_output("nft list chain inet graphing input")
    assert "ip saddr 198.51.100.0/24 tcp dport 4443 accept" in rules


def test_it_answers_to_the_declared_names_alone(site):
    assert site.request("/", Host="graphs.example.test:4443")["status"] == 200
    assert site.request("/", Host="molecule-alternative:4443")["status"] == 400


@pytest.mark.parametrize(
    "path", ["/render?target=a&format=json", "/metrics/find?query=*", "/events/get_data", "/dashboard/load/Alternative"]
)
def test_programs_must_log_in_to_look(site, path):
    assert site.request(path, Cookie="")["status"] == 401
    assert site.request(path)["status"] in (200, 404)


@pytest.mark.parametrize(
    ("size", "way_back"), [(20_000, f"/composer/%3Fa%3D{'b' * 20_000}"), (32_000, "/")], ids=["long", "longest"]
)
def test_a_long_address_is_sent_to_the_login_page_too(site, size, way_back):
    answer = site.request(f"/composer/?a={'b' * size}", Cookie="", Accept="text/html")
    location = dict(answer["headers"])["location"]
    assert (answer["status"], location) == (302, f"/account/login?nextPage={way_back}")
    assert site.request(location, Cookie="")["status"] == 200


def test_people_are_sent_to_the_login_page(site):
    answer = site.request("/dashboard/Alternative?a=b", Cookie="", Accept="text/html,*/*")
    location = dict(answer["headers"])["location"]
    assert (answer["status"], location) == (302, "/account/login?nextPage=/dashboard/Alternative%3Fa%3Db")
    assert site.request(location, Cookie="")["status"] == 200
    assert site.request("/static/css/default.css", Cookie="")["status"] == 200


def test_accounts_are_in_postgresql(host):
    assert database(host, ACCOUNTS).splitlines() == ["ann|f|| ", "bob|t|| ", "boss|t|boss@example.test|The Boss"]
    assert not host.file("/var/lib/graphite/web/graphite.db").exists


def test_the_database_is_for_the_application_alone(host):
    listening = host.check_output("ss -Hlnt 'sport = 5432'")
    assert {line.split()[3].rsplit(":", 1)[0] for line in listening.splitlines()} <= {"127.0.0.1", "[::1]"}
    refused = host.run("runuser -u statsd -- psql -U _graphite graphite --command 'select 1'")
    assert refused.rc != 0
    assert "Peer authentication failed" in refused.stderr


def test_dashboards_are_kept_there(host, site):
    state = {"state": '{"name": "of boss", "graphs": []}'}
    assert '"success"' in site.request("/dashboard/save/boss", state)["body"]
    assert database(host, "select name from dashboard_dashboard order by 1").splitlines() == ["Alternative", "boss"]
    assert '"success"' in site.request("/dashboard/delete/boss", {})["body"]


@pytest.mark.parametrize(
    ("user", "password"),
    [("boss", "not-generated-but-given"), ("bob", BOB), ("ann", SECRETS / "graphite_web_ann_password")],
)
def test_the_accounts_have_their_passwords(site, user, password):
    given = password.read_text().strip() if isinstance(password, Path) else password
    form = {"username": user, "password": given, "nextPage": "/"}
    assert site.request("/account/login", form, Cookie="")["status"] == 302
    assert site.request("/account/login", form | {"password": "wrong"}, Cookie="")["status"] == 200


def test_what_was_given_was_not_generated():
    assert [path.name for path in SECRETS.iterdir()] == ["graphite_web_ann_password"]


def test_the_dashboard_is_the_declared_one(site):
    state = json.loads(site.request("/dashboard/load/Alternative")["body"])["state"]
    assert state["graphs"][0][1]["target"] == ["metrics.sums.forum.demo.responses.*.count"]
    assert "error" in json.loads(site.request("/dashboard/load/Photoworld")["body"])


def test_times_are_those_of_the_time_zone(site):
    """Midnight in Berlin in winter is 23:00 UTC."""
    answer = site.request("/render?target=time('t',3600)&from=00:00_20260110&until=02:00_20260110&format=json")
    assert json.loads(answer["body"])[0]["datapoints"][0][1] % 86400 == 23 * 3600


def test_one_process_draws_within_its_bounds(host):
    main = host.check_output("systemctl show -P MainPID graphite-web")
    workers = host.check_output(f"cat /proc/{main}/task/{main}/children").split()
    assert len(workers) == 1
    limits = host.file(f"/proc/{workers[0]}/limits").content_string
    assert f"Max data size             {700 * 2**20} " in limits
    # Fetching may take 40 s, and drawing half a minute more.
    assert " --timeout 70 " in host.check_output(f"ps -o args= -p {main}")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("FIND_TIMEOUT", "20.0"),
        ("FETCH_TIMEOUT", "40.0"),
        ("SECRET_KEY", '"a-key-of-this-scenario-alone-that-signs-its-sessions"'),
    ],
)
def test_the_application_is_told(host, setting, value):
    assert f"{setting} = {value}" in host.file("/etc/graphite/local_settings.py").content_string.splitlines()
