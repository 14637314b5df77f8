// What clients of a node of Roomspan and one of python-socketio see: node python.mjs --ours URL --theirs URL --form F.
// The form is new for python-socketio from 5.15.1 on, one for 5.14.2 to 5.15.0, old for versions up to 5.13.
import { parse } from "./args.mjs";
import { assert, directed, equal, run, sleep } from "./check.mjs";
import { Client } from "./client.mjs";

const { ours, theirs, form } = parse({ ours: undefined, theirs: undefined, form: "new" });
const old = form === "old";
const bytes = Buffer.from([0, 1, 2, 127, 128, 255]);

// open connects two clients to each node: o1, o2 to ours, t1, t2 to theirs.
async function open(t, namespace = "/") {
  const clients = {};
  for (const name of ["o1", "o2", "t1", "t2"]) {
    const client = await Client.open(name[0] === "o" ? ours : theirs, "websocket", namespace);
    t.defer(() => client.close());
    clients[name] = client;
  }
  return clients;
}

const checks = {};

// both is a check from ours to theirs and from theirs to ours. fn gets the clients by what they are to the sender: near
// or far.
function both(name, fn) {
  const sides = {
    "ours to theirs": (c) => ({ n1: c.o1, n2: c.o2, f1: c.t1, f2: c.t2, fromOurs: true }),
    "theirs to ours": (c) => ({ n1: c.t1, n2: c.t2, f1: c.o1, f2: c.o2, fromOurs: false }),
  };
  for (const [side, turn] of Object.entries(sides)) {
    directed(checks, name, side, async (t) => fn(turn(await open(t)), t));
  }
}

const everyone = (c) => [c.n1, c.n2, c.f1, c.f2];

// marked waits until what was sent before has reached all clients: a broadcast of the same node follows it.
async function marked(c) {
  const mark = `mark ${Math.random()}`;
  c.n1.emit("tell", mark);
  for (const client of everyone(c)) equal(await client.next("told"), [mark], "the broadcast after it");
}

const values = {
  text: "Ünïcödé 日本語 👩‍👩‍👧‍👦 \u2028 \" \\ \u0000",
  numbers: [0, -1, 1.5, 255, 256, 65_535, 65_536, -65_536, 2_147_483_648, Number.MAX_SAFE_INTEGER, 1e300],
  list: [[1, [2]], []],
  "true, false, null": [true, false, null],
  nested: { a: [{ b: [[], {}, ""] }], ключ: { x: null } },
  "empty text": "",
  "a placeholder that is none": { _placeholder: true, num: 7 },
  "100 KB of text": "0123456789".repeat(10_000),
};

both("broadcast", async (c) => {
  for (const [kind, value] of Object.entries(values)) {
    c.n1.emit("tell", value);
    for (const client of everyone(c)) equal(await client.next("told"), [value], kind);
  }
});

both("broadcast of binary", async (c) => {
  for (const value of [bytes, { a: [bytes, { b: Buffer.from("second") }], text: "beside" }, Buffer.alloc(100_000, bytes)]) {
    c.n1.emit("tell", value);
    // JSON that versions up to 5.13 read has no place for it.
    const hearers = old && c.fromOurs ? [c.n1, c.n2] : everyone(c);
    for (const client of hearers) equal(await client.next("told"), [value], "binary");
  }
  await marked(c);
});

both("several arguments", async (c) => {
  c.n1.emit("tell-two", 1, [2]);
  for (const client of [c.n1, c.n2]) equal(await client.next("told"), [1, [2]], "near");
  const far = form === "one" || (old && c.fromOurs) ? [[1, [2]]] : [1, [2]];
  for (const client of [c.f1, c.f2]) equal(await client.next("told"), far, "far");
});

both("no argument", async (c) => {
  c.n1.emit("tell-nothing");
  for (const client of everyone(c)) equal(await client.next("told"), [], "arguments");
});

both("500 broadcasts in order", async (c) => {
  for (let n = 0; n < 500; n++) c.n1.emit("tell", n);
  for (const client of everyone(c)) for (let n = 0; n < 500; n++) equal(await client.next("told"), [n], "number");
});

both("broadcast to a room", async (c) => {
  for (const client of [c.n1, c.f1]) await client.ask("enter", "röom");
  c.n2.emit("tell-room", "röom", "hello");
  for (const client of [c.n1, c.f1]) equal(await client.next("told"), ["hello"], "member");
  await marked(c);
});

both("event to one socket", async (c) => {
  c.n1.emit("tell-room", c.f2.id, "direct");
  equal(await c.f2.next("told"), ["direct"], "f2");
  await marked(c);
});

both("broadcast to all but some sockets", async (c) => {
  c.n1.emit("tell-but", [c.n2.id, c.f1.id], "hello");
  for (const client of [c.n1, c.f2]) equal(await client.next("told"), ["hello"], "not skipped");
  await marked(c);
});

both("acknowledgement of one socket", async (c) => {
  c.f1.socket.on("question", (x, done) => done({ x, from: "f1" }));
  for (let n = 0; n < 3; n++) equal(await c.n1.ask("call", c.f1.id, n), [{ x: n, from: "f1" }], "answer");
});

both("all leave a room", async (c) => {
  for (const client of [c.n1, c.f1, c.f2]) await client.ask("enter", "closed");
  await c.f2.ask("enter", "open");
  c.n1.emit("close", "closed");
  await marked(c);
  c.n1.emit("tell-room", "closed", "nobody");
  c.n1.emit("tell-room", "open", "somebody");
  equal(await c.f2.next("told"), ["somebody"], "f2");
  await marked(c);
});

both("disconnect a socket", async (c) => {
  c.n1.emit("drop", c.f1.id);
  equal((await c.f1.next("disconnect"))[0], "io server disconnect", "f1");
  await sleep(50);
  for (const client of [c.n1, c.n2, c.f2]) client.none("disconnect");
});

if (!old) {
  both("a socket joins and leaves", async (c) => {
    c.n1.emit("enter-there", c.f1.id, "far room");
    await marked(c);
    c.n1.emit("tell-room", "far room", "in");
    equal(await c.f1.next("told"), ["in"], "f1");
    c.n1.emit("exit-there", c.f1.id, "far room");
    await marked(c);
    c.n1.emit("tell-room", "far room", "out");
    await marked(c);
  });
}

directed(checks, "broadcast to all but a room", "ours to theirs", async (t) => {
  const c = await open(t);
  await c.o2.ask("enter", "muted");
  c.o1.emit("tell-but", ["muted"], "hello");
  equal(await c.o1.next("told"), ["hello"], "o1");
  await marked({ n1: c.o1, n2: c.o2, f1: c.t1, f2: c.t2 });
});

directed(checks, "broadcast with acknowledgements", "ours to theirs", async (t) => {
  const c = await open(t);
  for (const name of ["o1", "t1", "t2"]) {
    await c[name].ask("enter", "asked");
    c[name].socket.on("question", (x, done) => done(`${name} ${x}`));
  }
  const [answers] = await c.o2.ask("call-room", "asked", 1);
  assert(Array.isArray(answers), `answers: ${JSON.stringify(answers)}`);
  equal(answers.sort(), ["o1 1", "t1 1", "t2 1"], "answers");
});

for (const [side, near, far] of [["ours to theirs", "o1", "t1"], ["theirs to ours", "t1", "o1"]]) {
  directed(checks, "namespaces are apart", side, async (t) => {
    const [main, custom] = [await open(t), await open(t, "/custom")];
    custom[near].emit("tell", "custom");
    for (const client of Object.values(custom)) equal(await client.next("told"), ["custom"], "/custom");
    main[far].emit("tell", "main");
    for (const client of Object.values(main)) equal(await client.next("told"), ["main"], "/");
  });
}

process.exit((await run(checks)) ? 0 : 1);
