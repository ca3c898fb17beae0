"""Many events at once, from the computer around the container, by the way that `make up` takes: all of them arrive."""

import json
import socket
import uuid

import pytest
import statsd

BURST = 5000
STATUS = """
import json, sys, urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8127/statusz", timeout=10).read().decode())
"""


@pytest.fixture
def address(host):
    """Where events come in on this computer."""
    (namespace,) = host.ansible.get_variables()["statsd_network_namespaces"]
    address, port = namespace["listen"].split(":")
    return address, int(port)


@pytest.fixture
def bucket():
    return f"burst.{uuid.uuid4().hex[:12]}"


def send(address, bucket, times):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for _ in range(times):
            out.sendto(f"{bucket}:1|c".encode(), address)


def send_by_client(address, bucket, times):
    client = statsd.StatsClient(*address)
    for _ in range(times):
        client.incr(bucket)


def arrived(site, bucket):
    return sum(sum(points.values()) for points in site.render(f"stats.{bucket}.count").values())


def test_every_event_of_every_burst_arrives(site, address, bucket):
    bursts = {f"{bucket}.{way.__name__}.{turn}": way for way in (send, send_by_client) for turn in ("first", "second")}
    for name, way in bursts.items():
        way(address, name, BURST)
    for name in bursts:
        site.until(lambda name=name: arrived(site, name) >= BURST)
    assert {name: arrived(site, name) for name in bursts} == dict.fromkeys(bursts, BURST)


def test_none_is_lost_while_the_aggregator_restarts(host, site, address, bucket):
    host.check_output("systemctl restart --no-block statsd")
    send(address, bucket, BURST)
    site.until(lambda: arrived(site, bucket) >= BURST)
    assert arrived(site, bucket) == BURST


def test_what_the_socket_cannot_hold_is_counted(host, site, address, bucket, dropped_on_purpose):
    def dropped():
        return json.loads(site.python(STATUS))["datagrams"]["kernel_drops"]

    before, sent = dropped(), 30 * BURST
    host.check_output("systemctl kill --signal=STOP statsd")
    try:
        send(address, bucket, sent)
    finally:
        host.check_output("systemctl kill --signal=CONT statsd")
    lost = dropped() - before
    dropped_on_purpose[host.check_output("hostname")] += lost
    assert 0 < lost < sent
    site.until(lambda: arrived(site, bucket) >= sent - lost)
    assert arrived(site, bucket) == sent - lost
