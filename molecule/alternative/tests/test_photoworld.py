"""Variables of role photoworld."""

import json

QUERY = """
import json, sqlite3
database = sqlite3.connect("file:/var/lib/photoworld/forum.db?mode=ro", uri=True)
members, threads, newest = database.execute(
    "select (select count(*) from member), (select count(*) from thread), (select coalesce(max(id), 0) from thread)"
).fetchone()
print(json.dumps({"members": members, "threads": threads, "newest": newest}))
"""


def forum(site):
    """What is in the forum's database: members, threads, and the number of the newest thread."""
    return json.loads(site.python(QUERY))


def test_the_forum_is_on_its_port(host, site):
    assert "Photoworld" in site.request(f"{site.forum}/")["body"]
    assert not host.socket("tcp://8081").is_listening
    assert "ip saddr 198.51.100.128/25 tcp dport 8181 accept" in host.check_output("nft list chain inet graphing input")


def test_its_key_is_the_given_one(host):
    environment = host.file("/etc/graphing/photoworld.env").content_string
    assert "a-key-of-this-scenario-alone-that-signs-visitors" in environment


def test_its_events_have_the_prefix(site):
    site.until(lambda: site.render("metrics.sums.forum.demo.responses.*.count"))


def test_its_events_go_to_the_declared_place(host):
    environment = host.file("/etc/graphing/photoworld.env").content_string
    assert "localhost" in environment
    assert "8225" in environment


def test_one_process_answers(host):
    main = host.check_output("systemctl show -P MainPID photoworld")
    assert len(host.check_output(f"cat /proc/{main}/task/{main}/children").split()) == 1


def test_there_are_as_many_visitors_as_declared(host, site):
    command = host.check_output("ps -o args= -p $(systemctl show -P MainPID photoworld-visitors)")
    assert "--visitors 10 --rate 2 --accounts 12" in command
    site.until(lambda: forum(site)["members"] > 0)
    assert forum(site)["members"] <= 12


def test_old_threads_go(site):
    site.until(lambda: forum(site)["newest"] > 2)
    assert forum(site)["threads"] <= 2
