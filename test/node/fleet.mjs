// What clients of all nodes of one fleet see: node fleet.mjs --nodes '{"name": "URL", ...}' [--slow name].
// Each check has one node that does something, in which all nodes take part. A slow node may lose what a client sends at
// once after the handshake.
import { parse } from "./args.mjs";
import { directed, equal, run } from "./check.mjs";
import { Client } from "./client.mjs";

const args = parse({ nodes: undefined, slow: "" });
const nodes = JSON.parse(args.nodes);
const bytes = Buffer.from([0, 1, 2, 127, 128, 255]);

// open connects a client to each node.
async function open(t, namespace) {
  const clients = {};
  for (const [name, url] of Object.entries(nodes)) {
    clients[name] = await (name === args.slow ? Client.patient : Client.open)(url, "websocket", namespace);
    t.defer(() => clients[name].close());
  }
  return clients;
}

// marked waits until what from has sent before has reached all clients: a broadcast follows it.
async function marked(from, all) {
  from.emit("bcast", -1, "mark");
  for (const client of all) equal(await client.next("msg"), [-1, "mark"], "the broadcast after it");
}

const checks = {};

// each is a check from each node to all. fn gets the client of the node, those of the others, and all.
function each(operation, fn) {
  for (const name of Object.keys(nodes)) {
    directed(checks, operation, `${name} to all`, async (t) => {
      const { [name]: from, ...others } = await open(t);
      return fn(from, Object.values(others), [from, ...Object.values(others)], t);
    });
  }
}

async function join(clients, room) {
  for (const client of clients) await client.ask("join", room);
}

// members waits until a room has as many, as the node of the client sees it.
async function members(client, room, clients) {
  let ids;
  do ids = (await client.ask("fetch", room))[0].map((s) => s.id).sort();
  while (ids.length !== clients.length);
  equal(ids, clients.map((c) => c.id).sort(), room);
}

each("broadcast", async (from, others, all) => {
  for (const value of ["Ünïcödé 日本語", { a: [1.5, null, [true, {}]] }, { b: [bytes] }, "0123456789".repeat(10_000)]) {
    from.emit("bcast", 1, value);
    for (const client of all) equal(await client.next("msg"), [1, value], "value");
  }
});

each("broadcast to a room", async (from, others, all) => {
  await join(others, "röom");
  from.emit("room", "röom", bytes);
  for (const client of others) equal(await client.next("msg"), [0, bytes], "member");
  await marked(from, all);
});

each("event to one socket", async (from, others, all) => {
  await join(others, "any"); // Node may hear of the ids of its sockets later than these can be known
  for (const client of others) {
    from.emit("room", client.id, "direct");
    equal(await client.next("msg"), [0, "direct"], "one socket");
  }
  await marked(from, all);
});

each("broadcast to all but the sender", async (from, others, all) => {
  from.emit("others", bytes);
  for (const client of others) equal(await client.next("msg"), [0, bytes], "other");
  await marked(from, all);
});

each("broadcast with acknowledgements", async (from, others, all) => {
  await join(all, "asked");
  for (const client of all) client.socket.on("question", (x, done) => done({ id: client.id, x }));
  for (const x of ["text", bytes]) {
    const [answers] = await from.ask("ask", "asked", x);
    const sorted = (list) => list.sort((a, b) => (a.id < b.id ? -1 : 1));
    equal(sorted(answers), sorted(all.map((client) => ({ id: client.id, x }))), "answers");
  }
});

each("fetch sockets", async (from, others, all) => {
  await join(all, "fetched");
  const [sockets] = await from.ask("fetch", "fetched");
  equal(sockets.map((s) => s.id).sort(), all.map((client) => client.id).sort(), "sockets");
});

each("sockets join and leave", async (from, others, all) => {
  await join(others, "moved from");
  from.emit("move", "moved from", "moved to");
  await members(from, "moved to", others);
  from.emit("room", "moved to", "here now");
  for (const client of others) equal(await client.next("msg"), [0, "here now"], "moved");
  from.emit("expel", "moved from", "moved to");
  await members(from, "moved to", []);
  await marked(from, all);
});

each("disconnect sockets", async (from, others) => {
  await join(others, "out");
  from.emit("kick", "out");
  for (const client of others) equal((await client.next("disconnect"))[0], "io server disconnect", "reason");
  equal(await from.ask("fetch", "out"), [[]], "sockets left in the room");
  from.none("disconnect");
});

each("server-side emit", async (from, others, all) => {
  from.emit("announce", { a: [1, null] });
  for (const client of others) equal(await client.next("announced"), [{ a: [1, null] }], "announced");
  await marked(from, all);
  from.none("announced");
});

each("server-side emit with answers", async (from, others) => {
  equal(await from.ask("poll", { nested: [1] }), [others.map(() => ({ x: { nested: [1] } }))], "answers");
});

each("namespaces are apart", async (from, others, all, t) => {
  const custom = Object.values(await open(t, "/custom"));
  await join([...all, ...custom], "same name");
  from.emit("room", "same name", "main only");
  for (const client of all) equal(await client.next("msg"), [0, "main only"], "/");
  await marked(custom[0], custom);
});

process.exit((await run(checks)) ? 0 : 1);
