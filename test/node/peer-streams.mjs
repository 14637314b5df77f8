// A server on Node's own socket.io that shares Redis Streams with other nodes:
// node peer-streams.mjs [--port N] --redis URL [--recovery MS] [--prefix NAME] [--sharded yes] [--plaintext yes].
// It prints "listening on ADDR" when it hears the others. Then it takes orders: one line of JSON on its standard input
// for each, [id, verb, ...arguments], which it answers with a line [id, result] or [id, null, error].
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { parse } from "./args.mjs";
import { sleep } from "./check.mjs";
import { serve } from "./contract.mjs";

const { port, redis, recovery, prefix, sharded, plaintext } = parse({
  port: 0, redis: undefined, recovery: 0, prefix: "socket.io", sharded: "no", plaintext: "no",
});
const useShardedPubSub = sharded === "yes";

const client = createClient({ url: redis });
client.on("error", (e) => console.error(String(e)));
await client.connect();
const http = createServer();
const options = {
  adapter: createAdapter(client, {
    streamName: prefix, channelPrefix: prefix, useShardedPubSub, onlyPlaintext: plaintext === "yes",
  }),
};
if (recovery > 0) options.connectionStateRecovery = { maxDisconnectionDuration: recovery };
const io = new Server(http, options);
serve(io, `node-${process.pid}`);

const events = []; // what other nodes sent with serverSideEmit
io.on("greet", (...args) => {
  const reply = typeof args.at(-1) === "function" ? args.pop() : undefined;
  events.push(args);
  reply?.(`hello of ${process.pid}`);
});

// The adapter says neither when it is subscribed nor when it reads: it is when it has had an event of its own making.
const others = (rooms) => (rooms.length > 0 ? io.to(rooms) : io);
async function heard() {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(20)) {
    const list = await client.sendCommand(["CLIENT", "LIST"]);
    const count = await client.sendCommand(["PUBSUB", useShardedPubSub ? "SHARDNUMSUB" : "NUMSUB", `${prefix}#/#`, `${prefix}#/custom#`]);
    if (/cmd=xread/.test(list) && count[1] > 0 && count[3] > 0) return;
  }
  throw new Error("the adapter does not hear");
}

const clients = new Map(); // of this process, by name
const verbs = {
  emit: (rooms, ...args) => void others(rooms).emit(...args),
  volatile: (rooms, ...args) => void others(rooms).volatile.emit(...args),
  binary: (rooms, event, hex) => void others(rooms).emit(event, { bytes: Buffer.from(hex, "hex") }),
  ask: (rooms, ms, ...args) =>
    new Promise((resolve) => others(rooms).timeout(ms).emit(...args, (err, answers) => resolve([err?.message ?? "", answers]))),
  fetch: async (rooms) => {
    const sockets = await (rooms.length > 0 ? io.in(rooms) : io).fetchSockets();
    return sockets.map(({ id, rooms, data }) => ({ id, rooms: [...rooms], data }));
  },
  join: (rooms, more) => void io.in(rooms).socketsJoin(more),
  leave: (rooms, more) => void io.in(rooms).socketsLeave(more),
  disconnect: (rooms, close) => void io.in(rooms).disconnectSockets(close),
  serverSideEmit: (...args) => void io.serverSideEmit(...args),
  serverSideAsk: (...args) => io.serverSideEmitWithAck(...args),
  events: () => events,
  count: () => io.of("/").adapter.serverCount(),

  // connect connects a client to this server, with what it kept of a session elsewhere.
  connect: (name, pid, offset) => {
    const socket = connect(`http://127.0.0.1:${http.address().port}`, {
      transports: ["websocket"], forceNew: true, reconnection: false, autoConnect: false,
    });
    if (pid) Object.assign(socket, { _pid: pid, _lastOffset: offset });
    const c = { socket, received: [] };
    clients.set(name, c);
    socket.onAny((...args) => c.received.push(args.filter((a) => typeof a !== "function")));
    const state = () => ({ id: socket.id, pid: socket._pid, offset: socket._lastOffset, recovered: socket.recovered });
    c.state = state;
    socket.on("question", (x, done) => done([name, x]));
    return new Promise((resolve, reject) => {
      socket.once("connect", () => resolve(state()));
      socket.once("connect_error", reject);
      socket.connect();
    });
  },
  enter: async (name, room, data) => {
    const socket = io.sockets.sockets.get(clients.get(name).socket.id);
    await socket.join(room);
    Object.assign(socket.data, data);
  },
  received: (name) => ({ ...clients.get(name).state(), events: clients.get(name).received }),
  // cut ends the connection of a client, as a broken network does.
  cut: async (name) => {
    const c = clients.get(name);
    const id = c.socket.id;
    const state = c.state();
    c.socket.io.engine.close();
    while (io.sockets.sockets.has(id)) await sleep(5);
    return state;
  },
};

await heard();
http.listen(port, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${http.address().port}`));

for await (const line of createInterface({ input: process.stdin })) {
  const [id, verb, ...args] = JSON.parse(line);
  Promise.resolve()
    .then(() => verbs[verb](...args))
    .then((result) => console.log(JSON.stringify([id, result ?? null])))
    .catch((e) => console.log(JSON.stringify([id, null, e?.stack ?? String(e)])));
}
