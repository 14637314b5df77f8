// What clients see of two nodes of Roomspan that are in a fleet of Node and in one of Python at once, of one node of
// Node and of one of Python: node joined.mjs --j1 URL --j2 URL --node URL --python URL.
import { parse } from "./args.mjs";
import { assert, directed, equal, run, sleep } from "./check.mjs";
import { Client } from "./client.mjs";

const urls = parse({ j1: undefined, j2: undefined, node: undefined, python: undefined });

async function open(t) {
  const clients = {};
  for (const [name, url] of Object.entries(urls)) {
    clients[name] = await Client.open(url, "websocket");
    t.defer(() => clients[name].close());
  }
  return clients;
}

// How each says something to all or to a room, and who hears it: nobody passes on what others say.
const ours = {
  all: (c, x) => c.emit("tell", x),
  room: (c, room, x) => c.emit("tell-room", room, x),
  event: "told",
  heard: ["j1", "j2", "node", "python"],
};
const sides = {
  j1: ours,
  j2: ours,
  python: { ...ours, heard: ["j1", "j2", "python"] },
  node: {
    all: (c, x) => c.emit("bcast", 0, x),
    room: (c, room, x) => c.emit("room", room, x),
    event: "msg",
    heard: ["j1", "j2", "node"],
  },
};

// heardOnce waits until all who hear a side have heard x, then sees that nobody has heard it once more.
async function heardOnce(c, from, x) {
  const { event, heard } = sides[from];
  for (const name of heard) equal((await c[name].next(event)).at(-1), x, `${name} from ${from}`);
}

const checks = {};
for (const from of Object.keys(sides)) {
  directed(checks, "300 broadcasts, each once and in order", `${from} to all`, async (t) => {
    const c = await open(t);
    for (let n = 0; n < 300; n++) sides[from].all(c[from], n);
    for (let n = 0; n < 300; n++) await heardOnce(c, from, n);
    await sleep(100);
    for (const client of Object.values(c)) for (const event of ["told", "msg"]) client.none(event);
  });

  directed(checks, "broadcast to a room", `${from} to all`, async (t) => {
    const c = await open(t);
    for (const name of ["j1", "j2", "python"]) await c[name].ask("enter", "r");
    await c.node.ask("join", "r");
    sides[from].room(c[from], "r", "hello");
    await heardOnce(c, from, "hello");
    sides[from].all(c[from], "mark");
    await heardOnce(c, from, "mark");
  });
}

for (const name of ["j2", "node", "python"]) {
  directed(checks, "disconnect a socket", `j1 to ${name}`, async (t) => {
    const c = await open(t);
    c.j1.emit("drop", c[name].id);
    equal((await c[name].next("disconnect"))[0], "io server disconnect", name);
  });

  directed(checks, "acknowledgement of one socket", `j1 to ${name}`, async (t) => {
    const c = await open(t);
    let asked = 0;
    c[name].socket.on("question", (x, done) => done(`${x} ${++asked}`));
    equal(await c.j1.ask("call", c[name].id, "times"), ["times 1"], "answer");
  });
}

directed(checks, "broadcast with acknowledgements, each client asked once", "j1 to all", async (t) => {
  const c = await open(t);
  const asked = {};
  for (const name of ["j1", "j2", "python"]) await c[name].ask("enter", "asked");
  await c.node.ask("join", "asked");
  for (const [name, client] of Object.entries(c)) {
    asked[name] = 0;
    client.socket.on("question", (x, done) => {
      asked[name]++;
      done(name);
    });
  }
  const [answers] = await c.j1.ask("call-room", "asked", 1);
  assert(Array.isArray(answers), JSON.stringify(answers));
  equal(answers.sort(), ["j1", "j2", "node", "python"], "answers");
  equal(asked, { j1: 1, j2: 1, node: 1, python: 1 }, "asked");
});

directed(checks, "fetch sockets, each found once", "j1 to all but Python", async (t) => {
  const c = await open(t);
  for (const name of ["j1", "j2"]) await c[name].ask("enter", "fetched");
  await c.node.ask("join", "fetched");
  const [sockets] = await c.j1.ask("fetch", "fetched");
  equal(sockets.map((s) => s.id).sort(), [c.j1.id, c.j2.id, c.node.id].sort(), "sockets");
});

process.exit((await run(checks)) ? 0 : 1);
