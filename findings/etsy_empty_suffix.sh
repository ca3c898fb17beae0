#!/bin/sh
# statsd 0.9.0 (npm; the same code as 0.10.2): its exampleConfig.js gives "" as the default of graphite.globalSuffix. Set to "",
# which should change nothing, it ends every name with a dot: other series.
#
#   without globalSuffix:  stats.counters.a.count
#   globalSuffix: ""       stats.counters.a.count.
#
# Needs node, npm and the registry; exits with 1 if it behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional statsd@0.9.0 >/dev/null
cat >try.js <<'END'
const { spawn } = require("child_process"), dgram = require("dgram"), fs = require("fs"), net = require("net");
const graphite = { legacyNamespace: false, ...JSON.parse(process.argv[2]) };
const port = 20000 + (process.pid % 20000);
let server;
const carbon = net.createServer((client) => client.on("data", (data) => {
  const found = data.toString().match(/^stats\.counters\.a\.count\S*/m);
  if (found) { console.log(found[0]); server.kill(); process.exit(0); }
})).listen(0, "127.0.0.1", () => {
  const config = { port, address: "127.0.0.1", mgmt_address: "127.0.0.1", mgmt_port: port + 1, flushInterval: 500,
    graphiteHost: "127.0.0.1", graphitePort: carbon.address().port, graphite, automaticConfigReload: false };
  fs.writeFileSync("config.js", JSON.stringify(config));
  // Node.js 23 dropped a function that it calls.
  fs.writeFileSync("shim.js", "const util = require('util'); util.log = util.log || console.log;");
  server = spawn("node", ["-r", "./shim.js", "node_modules/statsd/stats.js", "config.js"]);
  const out = dgram.createSocket("udp4");
  setInterval(() => out.send("a:1|c", port, "127.0.0.1"), 100);
});
setTimeout(() => { server.kill(); process.exit(1); }, 20000);
END
plain=$(node try.js '{}')
empty=$(node try.js '{"globalSuffix": ""}')
echo "without globalSuffix: $plain; with an empty one: $empty"
test "$plain" = stats.counters.a.count && test "$empty" = stats.counters.a.count.
