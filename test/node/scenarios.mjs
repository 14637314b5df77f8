// What a client of one server sees: node scenarios.mjs --url URL [--transports polling|websocket|upgrade] [--parser msgpack].
import { parse } from "./args.mjs";
import { assert, equal, run } from "./check.mjs";
import { Client, manage, useParser } from "./client.mjs";

const { url, transports: mode, parser } = parse({ url: undefined, transports: "upgrade", parser: "" });
await useParser(parser);

// open connects a client that is closed with its check.
async function open(t, namespace, options) {
  const client = await Client.open(url, mode, namespace, options);
  t.defer(() => client.close());
  return client;
}

// several connects n clients, so that their order of connection is known.
async function several(t, n, namespace) {
  const clients = [];
  while (clients.length < n) clients.push(await open(t, namespace));
  return clients;
}

// marked waits until what was sent to the clients before has reached them: a broadcast follows it.
async function marked(from, clients) {
  from.emit("bcast", -1, "mark");
  for (const client of clients) equal(await client.next("msg"), [-1, "mark"], "the broadcast after it");
}

const text = {
  empty: "",
  ascii: "hello",
  unicode: "Ünïcödé – 日本語 – ‏עברית",
  astral: "👩‍👩‍👧‍👦 𝒳 🏳️‍🌈",
  escapes: "\"quotes\" \\ / \b\f\n\r\t \u0000\u001e\u001f\u007f",
  separators: "line\u2028paragraph\u2029end",
  markup: "<script>&amp;</script>",
  digits: "42",
  json: '["event",{"a":1}]',
  protocol: "451-/nsp,12[]",
};

const values = {
  ...text,
  zero: 0,
  negative: -1,
  fraction: 1.5,
  small: 5e-324,
  large: 1.7976931348623157e308,
  "largest integer": Number.MAX_SAFE_INTEGER,
  true: true,
  false: false,
  null: null,
  "empty array": [],
  "empty object": {},
  nested: { a: [1, [2, [3, { b: null, c: [{}, [], ""] }]]], "ключ \"": { "": 0 } },
  "text in all places": { ...text, list: Object.values(text) },
  "what looks like a placeholder": { _placeholder: true, num: 0 },
};

// The encoder of socket.io-msgpack-parser makes 0 of a whole number beyond 64 bits.
if (parser === "msgpack") delete values.large;

const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const binaries = {
  "at the top": bytes,
  empty: Buffer.alloc(0),
  "a Uint8Array": new Uint8Array([0, 1, 254, 255]),
  "an ArrayBuffer": new Uint8Array([3, 2, 1]).buffer,
  nested: { a: { b: [1, bytes, "x"] } },
  several: [bytes, { x: Buffer.from("first"), y: [Buffer.from("second"), Buffer.alloc(0)] }, Buffer.from("third")],
  "with unicode beside": { "ä": bytes, "日": "本" },
};

const echoes = (kinds) => async (t) => {
  const client = await open(t);
  for (const [kind, value] of Object.entries(kinds)) {
    client.emit("echo", value);
    equal(await client.next("echo"), [value], kind);
  }
};

async function inOrder(client, from, to) {
  for (let n = from; n < to; n++) equal(await client.next("echo"), [n], `echo ${n}`);
}

const checks = {
  "connect": async (t) => {
    const client = await open(t);
    assert(client.id, "no id");
    assert(client.id !== client.manager.engine.id, "the id of the socket is that of the session");
    equal(await client.next("auth"), [{}], "auth");
    equal((await client.ask("whoami"))[0].id, client.id, "whoami");
    if (mode === "upgrade") await client.upgraded();
    const used = client.manager.engine.transport.name;
    equal(used, mode === "polling" ? "polling" : "websocket", "transport");
    client.emit("echo", "still here");
    equal(await client.next("echo"), ["still here"], "echo");
  },
  "auth": async (t) => {
    const auth = { token: "tökén", n: 1, list: [true, null] };
    for (const nsp of ["/", "/custom"]) {
      const client = await open(t, nsp, { auth });
      equal(await client.next("auth"), [auth], `auth of ${nsp}`);
    }
  },
  "several namespaces on one connection": async (t) => {
    const manager = manage(url, mode);
    const [main, custom] = [new Client(manager), new Client(manager, "/custom")];
    t.defer(() => main.close());
    await Promise.all([main.connect(), custom.connect()]);
    assert(main.id !== custom.id, "the namespaces share an id");
    main.emit("echo", "main");
    custom.emit("echo", bytes);
    equal(await custom.next("echo"), [bytes], "echo of /custom");
    equal(await main.next("echo"), ["main"], "echo of /");
    equal(await custom.ask("message-with-ack", "custom"), ["custom"], "ack of /custom");
    custom.emit("bcast", 1, "custom only");
    equal(await custom.next("msg"), [1, "custom only"], "broadcast to /custom");
    custom.socket.disconnect();
    main.emit("echo", "after");
    equal(await main.next("echo"), ["after"], "echo of / after /custom was left");
    main.none("msg");
    main.none("disconnect");
  },
  "namespace that does not exist": async (t) => {
    const manager = manage(url, mode);
    const [main, wrong] = [new Client(manager), new Client(manager, "/nope")];
    t.defer(() => main.close());
    wrong.socket.connect();
    equal((await wrong.next("connect_error"))[0].message, "Invalid namespace", "connect_error");
    await main.connect();
    equal(await main.ask("message-with-ack", 1), [1], "ack of / on the same connection");
    main.none("connect_error");
  },
  "values": echoes(values),
  "binary": echoes(binaries),
  "any number of arguments": async (t) => {
    const client = await open(t);
    for (const args of [[], [1], [1, "2", { 3: [4] }], [null, null], [bytes, "x", { bytes }], Array(20).fill("x")]) {
      client.emit("message", ...args);
      equal(await client.next("message-back"), args, "message-back");
    }
  },
  "ack of the server": async (t) => {
    const client = await open(t);
    for (const args of [[], [1], ["a", null, { b: [1] }], [bytes], [{ x: bytes }, [bytes, Buffer.from("y")]]]) {
      equal(await client.ask("message-with-ack", ...args), args, "ack");
    }
    const many = await Promise.all(Array.from({ length: 200 }, (_, i) => client.ask("message-with-ack", i)));
    equal(many, Array.from({ length: 200 }, (_, i) => [i]), "200 acks at once");
  },
  "ack of the client": async (t) => {
    const clients = await several(t, 2);
    for (const [i, client] of clients.entries()) {
      await client.ask("join", "asked");
      client.socket.on("question", (x, done) => done({ from: i, x }));
    }
    for (const x of ["plain", { deep: [bytes] }]) {
      const [answers] = await clients[0].ask("ask", "asked", x);
      answers.sort((a, b) => a.from - b.from);
      equal(answers, [{ from: 0, x }, { from: 1, x }], "answers");
    }
  },
  "clients that do not answer": async (t) => {
    const clients = await several(t, 3);
    for (const client of clients) await client.ask("join", "half");
    clients[1].socket.on("question", (x, done) => done(x));
    equal(await clients[0].ask("ask", "half", "x"), [["x"]], "the one answer that came");
  },
  "a room that nobody is in": async (t) => {
    const client = await open(t);
    equal(await client.ask("ask", "nobody", "x"), [[]], "answers");
    equal(await client.ask("fetch", "nobody"), [[]], "sockets");
  },
  "1000 events in order": async (t) => {
    const client = await open(t);
    for (let n = 0; n < 1000; n++) client.emit("echo", n);
    await inOrder(client, 0, 1000);
  },
  "order with binary in between": async (t) => {
    const client = await open(t);
    const sent = Array.from({ length: 300 }, (_, n) => (n % 3 === 1 ? { n, data: [bytes, Buffer.from(`${n}`)] } : n));
    for (const x of sent) client.emit("echo", x);
    for (const x of sent) equal(await client.next("echo"), [x], "echo");
  },
  "broadcast": async (t) => {
    const clients = await several(t, 3);
    const stranger = await open(t, "/custom");
    clients[0].emit("bcast", 7, { text: "ü", data: bytes });
    for (const client of clients) equal(await client.next("msg"), [7, { text: "ü", data: bytes }], "broadcast");
    equal(await stranger.ask("message-with-ack"), [], "ack on /custom");
    stranger.none("msg");
  },
  "others": async (t) => {
    const clients = await several(t, 3);
    clients[1].emit("others", "hi");
    for (const client of [clients[0], clients[2]]) equal(await client.next("msg"), [0, "hi"], "others");
    await marked(clients[1], clients);
  },
  "rooms": async (t) => {
    const [a, b, c] = await several(t, 3);
    equal(await a.ask("rooms"), [[a.id]], "rooms at first");
    for (const client of [a, b]) equal(await client.ask("join", "röom 1"), [], "ack of join");
    equal(await a.ask("join", "röom 1"), [], "ack of joining again");
    equal((await a.ask("rooms"))[0].sort(), [a.id, "röom 1"].sort(), "rooms after join");
    c.emit("room", "röom 1", "one");
    for (const client of [a, b]) equal(await client.next("msg"), [0, "one"], "to the room");
    equal(await b.ask("leave", "röom 1"), [], "ack of leave");
    equal(await b.ask("leave", "never joined"), [], "ack of leaving another");
    c.emit("room", "röom 1", bytes);
    equal(await a.next("msg"), [0, bytes], "to the room after leave");
    c.emit("room", b.id, "direct");
    equal(await b.next("msg"), [0, "direct"], "to the room of the id");
    await marked(c, [a, b, c]);
  },
  "fetch": async (t) => {
    const [a, b, c] = await several(t, 3);
    for (const client of [a, b]) await client.ask("join", "fetched");
    await b.ask("join", "second");
    const [sockets] = await c.ask("fetch", "fetched");
    const sorted = sockets.map(({ id, rooms }) => ({ id, rooms: rooms.sort() })).sort((x, y) => (x.id < y.id ? -1 : 1));
    const want = [
      { id: a.id, rooms: [a.id, "fetched"].sort() },
      { id: b.id, rooms: [b.id, "fetched", "second"].sort() },
    ].sort((x, y) => (x.id < y.id ? -1 : 1));
    equal(sorted, want, "sockets");
  },
  "kick": async (t) => {
    const [a, b] = await several(t, 2);
    await a.ask("join", "out");
    b.emit("kick", "out");
    equal((await a.next("disconnect"))[0], "io server disconnect", "reason");
    assert(!a.socket.connected && !a.socket.active, "the client believes that it is to come back");
    equal(await b.ask("fetch", "out"), [[]], "sockets left in the room");
    b.none("disconnect");
    const before = a.id;
    await a.connect();
    assert(a.id && a.id !== before, "the old id");
    equal(await a.ask("message-with-ack", 1), [1], "ack after coming back");
  },
  "500 KB of text": async (t) => {
    const client = await open(t);
    const large = "0123456789".repeat(50_000);
    client.emit("echo", large);
    equal(await client.next("echo"), [large], "echo");
    client.emit("echo", "after");
    equal(await client.next("echo"), ["after"], "echo after it");
  },
  "500 KB of binary": async (t) => {
    const client = await open(t);
    const large = Buffer.alloc(500_000, bytes);
    client.emit("echo", large);
    equal(await client.next("echo"), [large], "echo");
    equal(await client.ask("message-with-ack", { large }), [{ large }], "ack");
  },
  "client leaves and comes back": async (t) => {
    const client = await open(t);
    const before = client.id;
    await client.ask("join", "left");
    client.socket.disconnect();
    equal((await client.next("disconnect"))[0], "io client disconnect", "reason");
    await client.connect();
    assert(client.id !== before, "the old id");
    equal(await client.ask("rooms"), [[client.id]], "rooms");
    equal(await client.ask("fetch", "left"), [[]], "sockets left in the room");
  },
  "server closes the connection": async (t) => {
    const [client, other] = await several(t, 2);
    const before = client.id;
    if (mode === "upgrade") await client.upgraded();
    // A packet that is no Socket.IO packet costs its sender the connection, and it alone.
    client.manager.engine.write("no packet");
    const [reason] = await client.next("disconnect");
    assert(["transport close", "transport error"].includes(reason), `reason ${reason}`);
    await client.next("connect");
    assert(client.id !== before, "the old id");
    equal(await client.ask("message-with-ack", 1), [1], "ack after coming back");
    other.none("disconnect");
  },
};

if (mode === "upgrade") {
  checks["order across the upgrade"] = async (t) => {
    const client = await Client.open(url, "late");
    t.defer(() => client.close());
    let n = 0;
    const value = (i) => (i % 5 === 4 ? [i, bytes] : i);
    const burst = async (rounds) => {
      for (let i = 0; i < rounds; i++) {
        for (let k = 0; k < 20; k++) client.emit("echo", value(n++));
        await new Promise(setImmediate);
      }
    };
    await burst(5);
    let over = false;
    const upgrade = client.upgrade().then(() => (over = true));
    while (!over) await burst(1);
    await upgrade;
    await burst(5);
    for (let i = 0; i < n; i++) equal(await client.next("echo"), [value(i)], `echo ${i} of ${n}`);
  };
}

process.exit((await run(checks)) ? 0 : 1);
