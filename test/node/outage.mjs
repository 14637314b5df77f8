// Clients of two nodes while what connects the nodes goes and comes: node outage.mjs --a URL --b URL.
// It prints "connected", then does what the lines on its standard input say, and answers each with a line of JSON:
//
//   local   events and broadcasts between two clients of node a, and the longest time that one took
//   across  broadcasts from a until b has one, then from b until a has one, and the time that took
import { createInterface } from "node:readline";
import { parse } from "./args.mjs";
import { equal, print, within } from "./check.mjs";
import { Client } from "./client.mjs";

const urls = parse({ a: undefined, b: undefined });
const [a1, a2, b1] = [
  await Client.open(urls.a, "websocket"),
  await Client.open(urls.a, "websocket"),
  await Client.open(urls.b, "websocket"),
];
const clients = { a1, a2, b1 };

// Each broadcast has a number of its own; seen are those that a client has received.
let last = 0;
const seen = new Map(Object.values(clients).map((client) => [client, new Set()]));
const waiting = new Map();
for (const [client, numbers] of seen) {
  client.socket.on("msg", (n) => {
    numbers.add(n);
    waiting.get(client)?.();
  });
}

// arrives waits until the client has received one of the numbers from first on.
async function arrives(client, first, ms) {
  const there = () => [...seen.get(client)].some((n) => n >= first);
  const came = new Promise((resolve) => {
    const look = () => there() && resolve();
    waiting.set(client, look);
    look();
  });
  await within(ms, came, `broadcast ${first}`).finally(() => waiting.delete(client));
}

const orders = {
  async local() {
    let longest = 0;
    for (let i = 0; i < 20; i++) {
      const start = performance.now();
      a1.emit("echo", i);
      equal(await a1.next("echo"), [i], "echo");
      const n = ++last;
      a1.emit("bcast", n, "local");
      for (const client of [a1, a2]) await arrives(client, n, 10_000);
      longest = Math.max(longest, performance.now() - start);
    }
    return longest;
  },
  async across() {
    const start = performance.now();
    for (const [from, to] of [[a1, b1], [b1, a1]]) {
      const first = last + 1;
      const timer = setInterval(() => from.emit("bcast", ++last, "across"), 50);
      // A client hears its own node anyway: what counts is what came from the other one.
      await arrives(to, first, 60_000).finally(() => clearInterval(timer));
    }
    return performance.now() - start;
  },
};

console.log("connected");
for await (const order of createInterface({ input: process.stdin })) {
  const result = { check: order, ok: true };
  try {
    result.ms = Math.round(await orders[order]());
    for (const [name, client] of Object.entries(clients)) if (!client.socket.connected) throw new Error(`${name} is disconnected`);
  } catch (e) {
    result.ok = false;
    result.error = e?.stack ?? String(e);
  }
  print(result);
}
process.exit(0);
