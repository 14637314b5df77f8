// What clients of two nodes of one cluster see: node cluster.mjs --a URL --b URL [--reorders a|b].
// A node that reorders, as zishang520 does, handles what its clients send in no order: there the server makes many
// messages of one. It also loses what a client sends at once after the handshake: there clients connect again.
import { parse } from "./args.mjs";
import { directed, equal, run } from "./check.mjs";
import { Client } from "./client.mjs";

const urls = parse({ a: undefined, b: undefined, reorders: "" });
const bytes = Buffer.from([0, 1, 2, 127, 128, 255]);

// open connects clients by name; the first letter of a name tells the node.
async function open(t, names, namespace = "/") {
  const clients = {};
  for (const name of names) {
    const url = urls[name[0]];
    const client = await (url === urls[urls.reorders] ? Client.patient : Client.open)(url, "websocket", namespace);
    t.defer(() => client.close());
    clients[name] = client;
  }
  return clients;
}

const all = ["a1", "a2", "b1", "b2"];

// marked waits until what from has sent before has reached all clients: a broadcast follows it.
async function marked(from, clients) {
  from.emit("bcast", -1, "mark");
  for (const client of Object.values(clients)) equal(await client.next("msg"), [-1, "mark"], "the broadcast after it");
}

// both is a check from a to b and from b to a. fn gets the clients, of two namespaces if it takes so many, named as if it
// were the first.
function both(checks, name, fn) {
  const turned = (c) => ({ a1: c.b1, a2: c.b2, b1: c.a1, b2: c.a2 });
  const opened = async (t) => {
    const main = await open(t, all);
    return fn.length > 1 ? [main, await open(t, all, "/custom")] : [main];
  };
  directed(checks, name, "a to b", async (t) => fn(...(await opened(t))));
  directed(checks, name, "b to a", async (t) => fn(...(await opened(t)).map(turned)));
}

// No whole number beyond 64 bits is among them: Node's own adapter makes 0 of 1e300.
const values = {
  text: "Ünïcödé 日本語 👩‍👩‍👧‍👦 \u2028 \u0000 \"\\",
  numbers: [0, -1, 1.5, 127, 128, 65_536, 4_294_967_296, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 5e-324],
  "true, false, null": [true, false, null],
  nested: { a: [{ b: [[], {}, ""] }], ключ: { x: null } },
  binary: bytes,
  "nested binary": { a: [bytes, { b: Buffer.from("second") }], text: "beside" },
  "100 KB of text": "0123456789".repeat(10_000),
  "100 KB of binary": Buffer.alloc(100_000, bytes),
};

const byID = (x, y) => (x.id < y.id ? -1 : 1);
const checks = {};

both(checks, "broadcast", async (c) => {
  for (const [kind, value] of Object.entries(values)) {
    c.a1.emit("bcast", 1, value);
    for (const client of Object.values(c)) equal(await client.next("msg"), [1, value], kind);
  }
});

both(checks, "500 broadcasts in order", async (c) => {
  if (c.a1.manager.uri === urls[urls.reorders]) {
    c.a1.emit("burst", 500);
    for (const client of Object.values(c)) {
      for (let n = 0; n < 500; n++) equal(await client.next("msg"), [n, null], `message ${n}`);
    }
    return;
  }
  for (let n = 0; n < 500; n++) c.a1.emit("bcast", n, n % 10 === 9 ? bytes : null);
  for (const client of Object.values(c)) {
    for (let n = 0; n < 500; n++) equal(await client.next("msg"), [n, n % 10 === 9 ? bytes : null], `message ${n}`);
  }
});

both(checks, "server-side emit", async (c) => {
  for (const x of ["text", { a: [1, null] }]) {
    c.a1.emit("announce", x);
    for (const name of ["b1", "b2"]) equal(await c[name].next("announced"), [x], name);
  }
  await marked(c.a1, c);
  c.a1.none("announced");
});

both(checks, "broadcast to all but the sender", async (c) => {
  c.a1.emit("others", { data: bytes });
  for (const name of ["a2", "b1", "b2"]) equal(await c[name].next("msg"), [0, { data: bytes }], name);
  await marked(c.a1, c);
});

both(checks, "broadcast to a room", async (c) => {
  for (const name of ["a1", "b1"]) await c[name].ask("join", "röom");
  for (const x of ["text", bytes]) {
    c.a2.emit("room", "röom", x);
    for (const name of ["a1", "b1"]) equal(await c[name].next("msg"), [0, x], name);
  }
  await c.b1.ask("leave", "röom");
  c.a1.emit("room", "röom", "after b1 left");
  equal(await c.a1.next("msg"), [0, "after b1 left"], "a1");
  await marked(c.a1, c);
});

both(checks, "event to one socket", async (c) => {
  await c.b2.ask("join", "any"); // Node may hear of the ids of its sockets later than these can be known
  c.a1.emit("room", c.b2.id, "direct");
  equal(await c.b2.next("msg"), [0, "direct"], "b2");
  await marked(c.a1, c);
});

both(checks, "broadcast with acknowledgements", async (c) => {
  for (const name of ["a1", "b1", "b2"]) {
    await c[name].ask("join", "asked");
    c[name].socket.on("question", (x, done) => done({ id: c[name].id, x }));
  }
  for (const x of ["text", bytes]) {
    const [answers] = await c.a1.ask("ask", "asked", x);
    equal(answers.sort(byID), ["a1", "b1", "b2"].map((name) => ({ id: c[name].id, x })).sort(byID), "answers");
  }
});

both(checks, "the same to clients of the other node only", async (c) => {
  await c.b1.ask("join", "there");
  c.b1.socket.on("question", (x, done) => done([x]));
  equal(await c.a1.ask("ask", "there", 1), [[[1]]], "answers");
});

both(checks, "fetch sockets", async (c) => {
  for (const name of ["a1", "b1", "b2"]) await c[name].ask("join", "fetched");
  await c.b2.ask("join", "second");
  const [sockets] = await c.a2.ask("fetch", "fetched");
  const want = ["a1", "b1", "b2"].map((name) => {
    const rooms = [c[name].id, "fetched"];
    if (name === "b2") rooms.push("second");
    return { id: c[name].id, rooms: rooms.sort() };
  });
  const got = sockets.map(({ id, rooms }) => ({ id, rooms: rooms.sort() }));
  equal(got.sort(byID), want.sort(byID), "sockets");
});

both(checks, "disconnect sockets", async (c) => {
  for (const name of ["a1", "b1"]) await c[name].ask("join", "out");
  c.a2.emit("kick", "out");
  for (const name of ["a1", "b1"]) equal((await c[name].next("disconnect"))[0], "io server disconnect", name);
  equal(await c.a2.ask("fetch", "out"), [[]], "sockets left in the room");
  for (const name of ["a2", "b2"]) c[name].none("disconnect");
});

both(checks, "fetch after a socket has gone", async (c) => {
  for (const name of ["a1", "b1"]) await c[name].ask("join", "left");
  c.b1.socket.disconnect();
  let sockets;
  do [sockets] = await c.a1.ask("fetch", "left");
  while (sockets.length !== 1);
  equal(sockets[0].id, c.a1.id, "who is left");
});

both(checks, "sockets join and leave", async (c) => {
  for (const name of ["a1", "b1"]) await c[name].ask("join", "moved from");
  // Node carries it out later, also on its own node.
  const members = async (room, n) => {
    let sockets;
    do [sockets] = await c.a2.ask("fetch", room);
    while (sockets.length !== n);
  };
  c.a2.emit("move", "moved from", "moved to");
  await members("moved to", 2);
  c.a2.emit("room", "moved to", "here now");
  for (const name of ["a1", "b1"]) equal(await c[name].next("msg"), [0, "here now"], name);
  c.a2.emit("expel", "moved from", "moved to");
  await members("moved to", 0);
  c.a2.emit("room", "moved to", "nobody is left");
  c.a2.emit("room", "moved from", "still here");
  for (const name of ["a1", "b1"]) equal(await c[name].next("msg"), [0, "still here"], name);
  await marked(c.a2, c);
});

both(checks, "server-side emit with answers", async (c) => {
  for (const x of ["text", { nested: [1, null] }]) {
    c.a1.emit("notify", x);
    for (const name of ["b1", "b2"]) equal(await c[name].next("msg"), [0, x], name);
    equal(await c.a1.ask("poll", x), [[{ x }]], "answers");
  }
  await marked(c.a1, c);
});

both(checks, "namespaces are apart", async (main, custom) => {
  for (const c of [main, custom]) await c.b1.ask("join", "same name");
  custom.a1.emit("bcast", 1, bytes);
  for (const client of Object.values(custom)) equal(await client.next("msg"), [1, bytes], "/custom");
  custom.a1.emit("room", "same name", "custom only");
  equal(await custom.b1.next("msg"), [0, "custom only"], "/custom");
  equal((await custom.a1.ask("fetch", "same name"))[0].map((s) => s.id), [custom.b1.id], "sockets of /custom");
  await marked(main.a1, main);
});

process.exit((await run(checks)) ? 0 : 1);
