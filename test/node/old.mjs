// What clients of Socket.IO 2 see: node old.mjs --url URL [--transports polling|websocket|upgrade].
import { parse } from "./args.mjs";
import { assert, equal, limit, run, within } from "./check.mjs";
import { Client } from "./client.mjs";
import { OldClient } from "./old-client.mjs";

const { url, transports: mode } = parse({ url: undefined, transports: "upgrade" });

// open connects an old client that is closed with its check.
function open(t, namespace, options) {
  const client = new OldClient(url, mode, namespace, options);
  t.defer(() => client.close());
  return client;
}

async function connected(t, namespace, options) {
  const client = open(t, namespace, options);
  await client.next("connect");
  return client;
}

const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const values = {
  empty: "",
  unicode: "Ünïcödé – 日本語 👩‍👩‍👧‍👦 𝒳",
  separators: "line\u2028paragraph\u2029\u001e:12:",
  numbers: [0, -1, 1.5],
  nested: { a: [null, true, { b: [] }] },
  binary: bytes,
  "empty binary": Buffer.alloc(0),
  "nested binary": { a: [bytes, "日本 👍", Buffer.from("second")] },
  "100 KB of text": "0123456789".repeat(10_000),
  "100 KB of binary": Buffer.alloc(100_000, bytes),
};

const echoes = (options) => async (t) => {
  const client = await connected(t, "", options);
  for (const [kind, value] of Object.entries(values)) {
    client.emit("echo", value);
    equal(await client.next("echo"), [value], kind);
  }
};

const ok = await run({
  connect: async (t) => {
    const client = await connected(t);
    equal(client.socket.id, client.socket.io.engine.id, "id");
    equal((await client.ask("whoami"))[0].id, client.socket.id, "the id that the server knows");
    equal(await client.next("auth"), [{}], "auth");
  },
  values: echoes(),
  "values in base64": echoes({ forceBase64: true }),
  "several at once": async (t) => {
    const client = await connected(t);
    for (let n = 0; n < 200; n++) client.emit("echo", n % 3 ? `ü${n}` : { n, bytes });
    for (let n = 0; n < 200; n++) equal(await client.next("echo"), [n % 3 ? `ü${n}` : { n, bytes }], `echo ${n}`);
  },
  acks: async (t) => {
    const client = await connected(t);
    equal(await client.ask("message-with-ack", 1, "ü", bytes), [1, "ü", bytes]);
    client.socket.on("question", (x, done) => done({ x, bytes }));
    await client.ask("join", "asked");
    equal(await client.ask("ask", "asked", "?"), [[{ x: "?", bytes }]], "answers");
  },
  "namespace with query": async (t) => {
    const client = await connected(t, "/custom?token=abc&n=1");
    equal(await client.next("auth"), [{ token: "abc", n: "1" }], "auth");
    equal(client.socket.id, `/custom#${client.socket.io.engine.id}`, "id");
    equal((await client.ask("whoami"))[0].id, client.socket.id, "the id that the server knows");
    client.emit("echo", bytes);
    equal(await client.next("echo"), [bytes], "echo");
    client.socket.close();
    equal((await client.next("disconnect"))[0], "io client disconnect");
  },
  "unknown namespace": async (t) => {
    const client = open(t, "/unknown");
    equal(await client.next("error"), [{ message: "Invalid namespace" }], "error");
  },
  "refused by middleware": async (t) => {
    equal(await open(t, "/guarded?token=wrong").next("error"), ["wrong token"], "error");
    equal(await open(t, "/guarded?token=data").next("error"), [{ code: 7 }], "error with data");
    const client = await connected(t, "/guarded?token=sesame");
    equal(client.socket.connected, true, "connected");
  },
  "several namespaces of one connection": async (t) => {
    const client = await connected(t);
    const refused = client.socket.io.socket("/guarded");
    equal(await within(limit, new Promise((resolve) => refused.once("error", resolve)), "error"), "wrong token", "error");
    const custom = client.socket.io.socket("/custom");
    const ask = (...args) => within(limit, new Promise((resolve) => custom.emit("message-with-ack", ...args, resolve)), "ack");
    for (let n = 0; n < 10; n++) equal([await ask(bytes), await client.ask("message-with-ack", n)], [bytes, [n]], "acks");
    custom.close();
    equal(await client.ask("message-with-ack", "left"), ["left"], "ack when one has left");
  },
  "old and new together": async (t) => {
    const old = await connected(t);
    const young = await Client.open(url, "websocket");
    t.defer(() => young.close());
    await old.ask("join", "mixed");
    await young.ask("join", "mixed");
    for (const x of ["text", bytes, { list: [bytes, "ü"] }]) {
      for (const client of [old, young]) {
        client.emit("room", "mixed", x);
        for (const c of [old, young]) equal(await c.next("msg"), [0, x]);
      }
    }
    young.emit("kick", old.socket.id);
    equal((await old.next("disconnect"))[0], "io server disconnect");
  },
  "heartbeats of its own": async (t) => {
    const client = await connected(t);
    let pongs = 0;
    client.socket.io.on("pong", () => pongs++);
    await within(limit, new Promise((resolve) => {
      const look = setInterval(() => {
        if (pongs >= 3) resolve(clearInterval(look));
      }, 20);
    }), "three pongs");
    client.emit("echo", "still here");
    equal(await client.next("echo"), ["still here"]);
    assert(client.socket.connected, "disconnected");
  },
  "ledger through the upgrade": async (t) => {
    const client = await connected(t);
    const total = 2000;
    const sent = (async () => {
      for (let n = 0; n < total; n++) {
        client.emit("echo", n);
        if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    for (let n = 0; n < total; n++) equal(await client.next("echo"), [n], `echo ${n}`);
    await sent;
  },
});
process.exitCode = ok ? 0 : 1;
