"""The host on which the work is done is a graphing server, and the spare one is bare."""


def test_numbers_come_through(site):
    stamp = site.send("day.two:3|c")
    assert site.until(lambda: site.render("stats.day.two.count").get("stats.day.two.count", {}).get(stamp)) == 3
