// What a client sees that is cut off and comes back: node recovery.mjs --url URL
// [--transports polling|websocket|upgrade] [--expires MS].
//
// The server keeps the state of clients, and asks for pongs every second or so; with --expires it keeps the state for no
// longer than that, and only its end is checked.
import { parse } from "./args.mjs";
import { assert, equal, run, sleep, within } from "./check.mjs";
import { Client, manage } from "./client.mjs";
import { cutOff, proxy, settled } from "./proxy.mjs";

const { url, transports: mode, expires } = parse({ url: undefined, transports: "websocket", expires: 0 });

// unique returns the name of a room that no other run has used.
const unique = (room) => `${room} ${process.pid} ${performance.now()}`;

// guest connects a client through a proxy. It reconnects only when it is told to.
async function guest(t, namespace) {
  const way = await proxy(url);
  const manager = manage(way.url, mode);
  manager.reconnection(false);
  const client = new Client(manager, namespace);
  client.proxy = way;
  t.defer(() => {
    client.close();
    way.close();
  });
  return client.connect();
}

async function helper(t) {
  const client = await Client.open(url, "websocket");
  t.defer(() => client.close());
  return client;
}

// leave cuts a client off and returns when the server has noticed, at the latest because there is no pong: nobody is in
// the room any more.
async function leave(client, how, witness, room) {
  if (mode === "upgrade") await settled(client);
  await cutOff(client, how);
  await within(
    20_000,
    (async () => {
      while ((await witness.ask("fetch", room))[0].length > 0) await sleep(5);
    })(),
    "the server notices",
  );
}

// own takes the offset off the arguments of an event, where the server puts it.
function own(args) {
  assert(typeof args.at(-1) === "string", `no offset: ${JSON.stringify(args)}`);
  return args.slice(0, -1);
}

async function inRoom(client, room, data) {
  await client.ask("join", room);
  await client.ask("set", data);
  return client.id;
}

// recovers cuts a client off while others send, and looks at everything that it should have afterwards.
async function recovers(t, how) {
  const [subject, other, room] = [await guest(t), await helper(t), unique("room")];
  const id = await inRoom(subject, room, { name: "Ada" });
  other.emit("bcast", 0, "before");
  equal(own(await subject.next("msg")), [0, "before"], "before");
  await leave(subject, how, other, room);
  other.emit("bcast", 1, "all");
  other.emit("room", room, "room");
  other.emit("room", "other room", "not for it");
  other.emit("room", id, "id");
  other.emit("bcast", 2, { binary: Buffer.from([1, 2, 0]) });
  await other.ask("message-with-ack");
  await subject.connect();
  assert(subject.socket.recovered, "the client is not recovered");
  equal(subject.id, id, "id");
  const want = [[1, "all"], [0, "room"], [0, "id"], [2, { binary: Buffer.from([1, 2, 0]) }]];
  for (const event of want) equal(own(await subject.next("msg")), event, "missed");
  const [state] = await subject.ask("state");
  equal(state, { recovered: true, rooms: [id, room], data: { name: "Ada" } }, "state");
  other.emit("room", room, "after");
  equal(own(await subject.next("msg")), [0, "after"], "after");
  subject.emit("echo", "direct");
  equal(own(await subject.next("echo")), ["direct"], "direct");
  subject.none("msg");
}

const checks = {
  "recovered after the network failed": (t) => recovers(t, "network"),

  "recovered after the engine closed": (t) => recovers(t, "engine"),

  async "recovered again and again"(t) {
    const [subject, other, room] = [await guest(t), await helper(t), unique("room")];
    const id = await inRoom(subject, room, {});
    other.emit("bcast", 0, "again");
    equal(own(await subject.next("msg")), [0, "again"]);
    for (let n = 1; n <= 5; n++) {
      await leave(subject, n % 2 ? "network" : "engine", other, room);
      other.emit("bcast", n, "again");
      await other.ask("message-with-ack");
      await subject.connect();
      equal([subject.id, subject.socket.recovered], [id, true], `time ${n}`);
      equal(own(await subject.next("msg")), [n, "again"]);
    }
  },

  async "recovered in two namespaces"(t) {
    const [subject, other, room] = [await guest(t), await helper(t), unique("room")];
    const custom = new Client(subject.manager, "/custom");
    await custom.connect();
    const ids = [await inRoom(subject, room, {}), await inRoom(custom, room, {})];
    subject.emit("bcast", 0, "main");
    custom.emit("bcast", 0, "custom");
    await Promise.all([subject.next("msg"), custom.next("msg")]);
    await leave(subject, "engine", other, room);
    other.emit("bcast", 1, "main");
    await other.ask("message-with-ack");
    await subject.connect();
    if (!custom.socket.connected) await custom.next("connect");
    equal([subject.id, custom.id], ids, "ids");
    equal(own(await subject.next("msg")), [1, "main"]);
    custom.none("msg");
    assert(subject.socket.recovered && custom.socket.recovered, "not recovered");
  },

  async "not recovered after a disconnect of either side"(t) {
    const [subject, other] = [await guest(t), await helper(t)];
    for (const end of [() => subject.socket.disconnect(), (room) => other.emit("kick", room)]) {
      const room = unique("left");
      const id = await inRoom(subject, room, { name: "Ada" });
      other.emit("bcast", 0, "before");
      await subject.next("msg");
      end(room);
      await subject.next("disconnect");
      await subject.connect();
      assert(!subject.socket.recovered && subject.id !== id, "recovered");
      equal((await subject.ask("state"))[0].rooms, [subject.id], "rooms");
    }
  },
};

const expiry = {
  async "not recovered after its time"(t) {
    const [subject, other, room] = [await guest(t), await helper(t), unique("room")];
    const id = await inRoom(subject, room, { name: "Ada" });
    other.emit("bcast", 0, "before");
    await subject.next("msg");
    await leave(subject, "engine", other, room);
    other.emit("bcast", 1, "missed");
    await sleep(2 * expires);
    await subject.connect();
    assert(!subject.socket.recovered, "recovered");
    const [state] = await subject.ask("state");
    equal([state.recovered, state.rooms], [false, [subject.id]], "state");
    assert(subject.id !== id && state.data?.name === undefined, "it has something of before");
    other.emit("bcast", 2, "new");
    equal(own(await subject.next("msg")), [2, "new"], "after");
  },
};

process.exit((await run(expires ? expiry : checks, 60_000)) ? 0 : 1);
