// What clients of two nodes get of an emitter: node emitter.mjs --a URL --b URL --emitter '["program", "argument"...]'.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { parse } from "./args.mjs";
import { equal, limit, run, within } from "./check.mjs";
import { Client } from "./client.mjs";

const { a, b, emitter } = parse({ a: undefined, b: undefined, emitter: undefined });
const [program, ...args] = JSON.parse(emitter);
const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();

async function order(o) {
  child.stdin.write(JSON.stringify(o) + "\n");
  equal((await within(limit, answers.next(), o.Do)).value, "done", o.Do);
}

// open connects a client to each node.
async function open(t, namespace) {
  const clients = [];
  for (const url of [a, b]) {
    const client = await Client.open(url, "websocket", namespace);
    t.defer(() => client.close());
    clients.push(client);
  }
  return clients;
}

// marked waits until what was emitted before has come to all.
async function marked(clients, namespace) {
  await order({ Do: "emit", Namespace: namespace, Event: "mark", Args: [] });
  for (const client of clients) equal(await client.next("mark"), [], "the event after it");
}

const bytes = Buffer.from([0, 1, 2, 127, 128, 255]);

const ok = await run({
  "emit to all": async (t) => {
    const clients = await open(t);
    await order({ Do: "emit", Event: "x", Args: [1, "zwei", { drei: [null, true] }] });
    for (const client of clients) equal(await client.next("x"), [1, "zwei", { drei: [null, true] }]);
  },
  "emit binary": async (t) => {
    const clients = await open(t);
    await order({ Do: "emit", Event: "x", Args: ["with"], Binary: bytes.toString("base64") });
    for (const client of clients) equal(await client.next("x"), ["with", bytes]);
  },
  "emit in order": async (t) => {
    const clients = await open(t);
    for (let n = 0; n < 100; n++) await order({ Do: "emit", Event: "x", Args: [n] });
    for (const client of clients) for (let n = 0; n < 100; n++) equal(await client.next("x"), [n]);
  },
  "emit to a namespace": async (t) => {
    const clients = await open(t);
    const custom = await open(t, "/custom");
    await order({ Do: "emit", Namespace: "/custom", Event: "x", Args: [] });
    for (const client of custom) equal(await client.next("x"), []);
    await marked(clients);
    for (const client of clients) client.none("x");
  },
  "join, emit to rooms and except, leave": async (t) => {
    const [first, second] = await open(t);
    await order({ Do: "join", Rooms: [first.id], Join: ["r", "s"] });
    await order({ Do: "join", Rooms: [second.id], Join: ["r"] });
    await order({ Do: "emit", Rooms: ["r"], Event: "x", Args: ["r"] });
    for (const client of [first, second]) equal(await client.next("x"), ["r"]);
    await order({ Do: "emit", Rooms: ["r", "s"], Except: ["s"], Event: "x", Args: ["not s"] });
    equal(await second.next("x"), ["not s"]);
    await order({ Do: "leave", Rooms: ["s"], Join: ["r"] });
    await order({ Do: "emit", Rooms: ["r"], Event: "x", Args: ["second"] });
    equal(await second.next("x"), ["second"]);
    await marked([first, second]);
    first.none("x");
  },
  disconnect: async (t) => {
    const [first, second] = await open(t);
    await order({ Do: "disconnect", Rooms: [first.id] });
    equal((await first.next("disconnect"))[0], "io server disconnect");
    await marked([second]);
    second.none("disconnect");
  },
  "server-side emit": async (t) => {
    const clients = await open(t);
    await order({ Do: "serverSideEmit", Event: "announce", Args: [{ to: "all nodes" }] });
    for (const client of clients) equal(await client.next("announced"), [{ to: "all nodes" }]);
  },
});
child.stdin.end();
process.exitCode = ok ? 0 : 1;
