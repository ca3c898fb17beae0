"""Variables of role watchdog, and the port of the aggregator that it asks."""

import json
import tomllib


def test_its_settings_are_those_of_the_inventory(host):
    found = tomllib.loads(host.file("/etc/graphing/checks.toml").content_string)
    assert found["watchdog"]["interval"] == 7
    assert found["watchdog"]["canary_seconds"] == 90
    assert found["watchdog"]["silence_seconds"] == 300
    assert found["watchdog"]["command"] == ["/usr/bin/logger", "--tag", "alternative-alarm"]
    assert found["watchdog"]["webhook"] == "http://127.0.0.1:9/alarms"
    assert found["disk"]["full_percent"] == 99
    assert found["disk"]["hours"] == 12
    assert found["clock"]["seconds"] == 3
    assert found["web"]["url"] == ""
    assert found["certificate"] == {"file": "/etc/ssl/certs/ssl-cert-snakeoil.pem", "days": 5}


def test_it_looks_every_seven_seconds(host):
    assert host.service("graphing-watchdog").is_running
    assert host.file("/run/graphing-watchdog/watchdog.json").exists


def test_health_of_the_aggregator_is_on_another_port(host):
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8227/statusz', timeout=10).read().decode())"
    answer = json.loads(host.check_output("python3 -c %s", ask))
    assert answer["engine"] == "python"
    assert not host.socket("tcp://127.0.0.1:8127").is_listening
