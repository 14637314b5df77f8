// What clients of several nodes get of an emitter: node emitter.mjs --urls '["URL"...]' --emitter '["program", "argument"...]'
// [--without '["operation"...]'].
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { parse } from "./args.mjs";
import { equal, limit, run, within } from "./check.mjs";
import { Client } from "./client.mjs";

const { urls, emitter, without } = parse({ urls: undefined, emitter: undefined, without: "[]" });
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
  for (const url of JSON.parse(urls)) {
    // These clients say nothing, nor do all servers when they connect.
    const client = await Client.patient(url, "websocket", namespace, "connect");
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

const checks = {
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
  "sockets join a room, emit to it, a socket leaves": async (t) => {
    const [first, ...others] = await open(t);
    for (const client of [first, ...others]) await order({ Do: "join", Rooms: [client.id], Join: ["r", "s"] });
    await order({ Do: "emit", Rooms: ["r"], Event: "x", Args: ["r"] });
    for (const client of [first, ...others]) equal(await client.next("x"), ["r"]);
    await order({ Do: "leave", Rooms: [first.id], Join: ["r"] });
    await order({ Do: "emit", Rooms: ["r"], Event: "x", Args: ["others"] });
    for (const client of others) equal(await client.next("x"), ["others"]);
    await marked([first, ...others]);
    first.none("x");
  },
  "emit to several rooms": async (t) => {
    const [first, ...others] = await open(t);
    await order({ Do: "join", Rooms: [first.id], Join: ["r"] });
    for (const client of others) await order({ Do: "join", Rooms: [client.id], Join: ["s"] });
    await order({ Do: "emit", Rooms: ["r", "s"], Event: "x", Args: ["both"] });
    for (const client of [first, ...others]) equal(await client.next("x"), ["both"]);
  },
  "emit to one socket": async (t) => {
    const clients = await open(t);
    for (const client of clients) {
      await order({ Do: "emit", Rooms: [client.id], Event: "x", Args: [1] });
      equal(await client.next("x"), [1]);
    }
    await marked(clients);
    for (const client of clients) client.none("x");
  },
  "emit to all but one socket": async (t) => {
    const [first, ...others] = await open(t);
    await order({ Do: "emit", Except: [first.id], Event: "x", Args: [1] });
    for (const client of others) equal(await client.next("x"), [1]);
    await marked([first, ...others]);
    first.none("x");
  },
  "emit to all but a room": async (t) => {
    const [first, ...others] = await open(t);
    await order({ Do: "join", Rooms: [first.id], Join: ["s"] });
    await order({ Do: "emit", Except: ["s"], Event: "x", Args: [1] });
    for (const client of others) equal(await client.next("x"), [1]);
    await marked([first, ...others]);
    first.none("x");
  },
  "members of a room join another and leave it": async (t) => {
    const [first, ...others] = await open(t);
    for (const client of others) await order({ Do: "join", Rooms: [client.id], Join: ["r"] });
    await order({ Do: "join", Rooms: ["r"], Join: ["s"] });
    await order({ Do: "emit", Rooms: ["s"], Event: "x", Args: ["in"] });
    for (const client of others) equal(await client.next("x"), ["in"]);
    await order({ Do: "leave", Rooms: ["r"], Join: ["s"] });
    await order({ Do: "emit", Rooms: ["s"], Event: "x", Args: ["out"] });
    await marked([first, ...others]);
    for (const client of [first, ...others]) client.none("x");
  },
  "disconnect a socket": async (t) => {
    const [first, ...others] = await open(t);
    await order({ Do: "disconnect", Rooms: [first.id] });
    equal((await first.next("disconnect"))[0], "io server disconnect");
    await marked(others);
    for (const client of others) client.none("disconnect");
  },
  "disconnect a room": async (t) => {
    const [first, ...others] = await open(t);
    for (const client of others) await order({ Do: "join", Rooms: [client.id], Join: ["r"] });
    await order({ Do: "disconnect", Rooms: ["r"] });
    for (const client of others) equal((await client.next("disconnect"))[0], "io server disconnect");
    await marked([first]);
    first.none("disconnect");
  },
  "server-side emit": async (t) => {
    const clients = await open(t);
    await order({ Do: "serverSideEmit", Event: "announce", Args: [{ to: "all nodes" }] });
    for (const client of clients) equal(await client.next("announced"), [{ to: "all nodes" }]);
  },
};
for (const operation of JSON.parse(without)) delete checks[operation];
const ok = await run(checks);
const ended = once(child, "exit");
child.stdin.end();
equal(await within(limit, ended, "end of the emitter"), [0, null], "its status");
// Not all servers answer when a WebSocket is closed, which the clients would wait for.
process.exit(ok ? 0 : 1);
