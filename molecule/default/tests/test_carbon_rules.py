"""Every rule that preflight lets pass is read as it was meant, by the loader of Debian's carbon on each release."""

import base64
import json
import zlib

import odd_rules

# On the host: carbon starts with the same two functions. Reads [[what, text], ...], prints what carbon made of each.
LOADER = """
import base64, json, sys, tempfile, zlib
from carbon.conf import settings
folder = tempfile.mkdtemp()
settings.update(CONF_DIR=folder, LOCAL_DATA_DIR=folder)
from carbon import database, state, storage
state.database = database.WhisperDatabase(settings)
load = {"schemas": storage.loadStorageSchemas, "aggregation": storage.loadAggregationSchemas}
def told(rule):
    return [getattr(entry, "getTuple", lambda: entry)() for entry in rule.archives]
def read(what, text):
    path = {"schemas": storage.STORAGE_SCHEMAS_CONFIG, "aggregation": storage.STORAGE_AGGREGATION_CONFIG}[what]
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    try:
        # The last one is carbon's own, for names that no rule is for.
        return [[rule.name, rule.pattern, told(rule)] for rule in load[what]()[:-1]]
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {error}"
print(json.dumps([read(*pair) for pair in json.loads(zlib.decompress(base64.b64decode(sys.argv[1])))]))
"""


def loaded(host, texts):
    """What carbon on the host makes of configurations, in the environment that systemd gives it."""
    packed = base64.b64encode(zlib.compress(json.dumps(texts).encode(), 9)).decode()
    return json.loads(host.check_output("env -i /usr/bin/python3 -c %s %s", LOADER, packed).splitlines()[-1])


def test_carbon_reads_every_rule_that_passes_as_it_was_meant(host):
    passing = odd_rules.that_pass(200)
    found = loaded(host, [(what, odd_rules.written(what, value)) for what, value in passing])
    wanted = [odd_rules.meant(what, value) for what, value in passing]
    assert [pair for pair in zip(wanted, found, strict=True) if pair[0] != pair[1]] == []


def test_carbon_would_not_start_with_a_rule_that_is_not_rewritten(host):
    text = "[a]\npattern = \\.cpu%$\nretentions = 10s:1h\n"
    spaced = "[a]\npattern = .*\nretentions = 10s : 6h\n"
    assert "Interpolation" in loaded(host, [("schemas", text)])[0]
    assert "SystemExit" in loaded(host, [("schemas", spaced)])[0]
