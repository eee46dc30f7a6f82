// Foxglove's own client, `@foxglove/ws-protocol`. Subscribes to every topic, until so many access units, depth pictures and packets have
// come, and prints the channels and the checksum of every message as JSON.
//
// usage: foxglove_client.mjs MODULES PORT UNITS DEPTHS BODIES
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, port, units, depths, bodies] = process.argv.slice(2);
const require = createRequire(join(modules, "here.js"));
const { FoxgloveClient } = require("@foxglove/ws-protocol");
const WebSocket = require("ws");

const wanted = { video: Number(units), depth: Number(depths), body: Number(bodies) };
const [channels, leaves, seen] = [{}, new Map(), { video: [], depth: [], body: [] }];

const client = new FoxgloveClient({ ws: new WebSocket(`ws://127.0.0.1:${port}`, [FoxgloveClient.SUPPORTED_SUBPROTOCOL]) });
const fail = (why) => {
  console.error(why);
  process.exit(1);
};
setTimeout(() => fail(`after a minute: ${JSON.stringify(Object.entries(seen).map(([leaf, all]) => [leaf, all.length]))}`), 60_000);
client.on("error", (error) => fail(error));
client.on("close", () => fail("the server hung up"));
client.on("status", (status) => fail(status.message));
client.on("advertise", (advertised) => {
  for (const channel of advertised) {
    channels[channel.topic] = {
      schema: channel.schemaName || null,
      schema_encoding: channel.schemaEncoding,
      message_encoding: channel.encoding,
    };
    leaves.set(client.subscribe(channel.id), channel.topic.split("/").at(-1));
  }
});
client.on("message", ({ subscriptionId, timestamp, data }) => {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const sha = createHash("sha256").update(bytes).digest("hex");
  // More than a number holds.
  (seen[leaves.get(subscriptionId)] ??= []).push(`{"log_time":${timestamp},"bytes":"${sha}"}`);
  if (Object.entries(wanted).every(([leaf, count]) => seen[leaf].length >= count)) {
    const lists = Object.entries(seen).map(([leaf, all]) => `"${leaf}":[${all}]`);
    console.log(`{"channels":${JSON.stringify(channels)},${lists}}`);
    process.exit(0);
  }
});
