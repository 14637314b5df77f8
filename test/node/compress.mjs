// Compression as clients see it: node compress.mjs --url URL. The server compresses polls and WebSockets, from 1024 bytes on.
import { randomBytes } from "node:crypto";
import { WebSocket } from "ws";
import { parse } from "./args.mjs";
import { assert, equal, limit, run, within } from "./check.mjs";
import { Client } from "./client.mjs";

const { url } = parse({ url: undefined });

async function open(t, mode) {
  const client = await Client.open(url, mode);
  t.defer(() => client.close());
  await client.upgraded();
  return client;
}

const stat = async (name) => Number(new RegExp(`${name}:(\\d+)`).exec(await (await fetch(`${url}/stats`)).text())[1]);

// socket opens a WebSocket of the module ws, joins, and returns a function for the next message.
async function socket(t, perMessageDeflate) {
  const ws = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate });
  t.defer(() => ws.terminate());
  const messages = [];
  let wake = () => {};
  ws.on("message", (data) => {
    messages.push(data.toString());
    wake();
  });
  const next = async (prefix) => {
    for (;;) {
      const at = messages.findIndex((m) => m.startsWith(prefix));
      if (at >= 0) return messages.splice(at, 1)[0];
      await within(limit, new Promise((resolve) => (wake = resolve)), `message ${prefix}`);
    }
  };
  await next("0");
  ws.send("40");
  await next("40");
  return { ws, next };
}

const checks = {};

for (const mode of ["websocket", "upgrade"]) {
  checks[`${mode}: what is long is compressed`] = async (t) => {
    const client = await open(t, mode);
    const { ws } = client.manager.engine.transport;
    equal(ws.extensions, "permessage-deflate", "extension");
    const tcp = ws._socket;
    const long = "compressible ".repeat(20_000);
    for (const [event, compressed] of [["echo", true], ["plain", false]]) {
      const [read, written] = [tcp.bytesRead, tcp.bytesWritten];
      client.emit(event, long);
      equal(await client.next("echo"), [long], event);
      assert(tcp.bytesWritten - written < long.length / 10, `${tcp.bytesWritten - written} bytes written`);
      assert(compressed === tcp.bytesRead - read < long.length / 10, `${event}: ${tcp.bytesRead - read} bytes read`);
    }
  };

  checks[`${mode}: all lengths, both ways`] = async (t) => {
    const client = await open(t, mode);
    for (const n of [0, 1, 125, 126, 1000, 1010, 1020, 1024, 1030, 4096, 65_520, 65_530, 65_536, 70_000, 400_000]) {
      const random = randomBytes(n);
      for (const x of ["x".repeat(n), random.toString("latin1"), random, Buffer.alloc(n), { a: ["y".repeat(n), random, Buffer.alloc(n)] }]) {
        equal(await client.ask("message-with-ack", x), [x], `${n} bytes`);
      }
    }
  };
}

checks["one compression for all"] = async (t) => {
  const clients = [];
  while (clients.length < 20) clients.push(await open(t, "websocket"));
  const before = await stat("Compressions");
  const long = "broadcast ".repeat(1000);
  for (let i = 0; i < 10; i++) clients[0].emit("bcast", i, long);
  for (const client of clients) {
    for (let i = 0; i < 10; i++) equal(await client.next("msg"), [i, long], "broadcast");
  }
  equal((await stat("Compressions")) - before, 10, "compressions");
};

for (const [name, options, agreed] of [
  ["off", false, ""],
  ["all that is sent", { threshold: 0 }, "permessage-deflate"],
  ["client_max_window_bits", { clientMaxWindowBits: 9, threshold: 0 }, "permessage-deflate"],
  ["no hint of windows", { clientMaxWindowBits: false, threshold: 0 }, "permessage-deflate"],
  ["no context takeover", { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 }, "permessage-deflate"],
  ["server_max_window_bits=15", { serverMaxWindowBits: 15, threshold: 0 }, "permessage-deflate"],
  ["server_max_window_bits=10", { serverMaxWindowBits: 10, threshold: 0 }, ""],
]) {
  checks[`offer: ${name}`] = async (t) => {
    const { ws, next } = await socket(t, options);
    equal(ws.extensions, agreed, "extension");
    for (let i = 0; i < 20; i++) {
      const event = `42["echo","${`${i} `.repeat(2000)}"]`;
      // In fragments, of which only the first says that it is compressed.
      ws.send(event.slice(0, 1500), { fin: false });
      ws.send(event.slice(1500, 1700), { fin: false });
      ws.ping("between");
      ws.send(event.slice(1700));
      equal(await next(`42["echo","${i} `), event, "echo");
    }
  };
}

checks["a bomb closes the connection"] = async (t) => {
  const { ws } = await socket(t, { threshold: 0 });
  const closed = within(limit, new Promise((resolve) => ws.once("close", resolve)), "close");
  ws.send(`42["echo","${"0".repeat(50_000_000)}"]`);
  equal(await closed, 1009, "code");
};

for (const [accepted, coding] of [["gzip, deflate, br", "gzip"], ["deflate", "deflate"], ["gzip;q=0.1, deflate;q=0.2", "deflate"], ["br", null]]) {
  checks[`polling: ${accepted}`] = async () => {
    const ask = async (query, options) => {
      const answer = await fetch(`${url}/socket.io/?EIO=4&transport=polling${query}`, { headers: { "Accept-Encoding": accepted }, ...options });
      equal(answer.status, 200, "status");
      return { coding: answer.headers.get("content-encoding"), text: await answer.text() };
    };
    const opened = await ask("");
    equal(opened.coding, null, "coding of the handshake");
    const sid = `&sid=${JSON.parse(opened.text.slice(1)).sid}`;
    await ask(sid, { method: "POST", body: "40" });
    for (let text = ""; !text.includes("auth"); text = (await ask(sid)).text);
    for (const [event, want] of [["echo", coding], ["plain", null]]) {
      const long = "compressible ".repeat(1000);
      await ask(sid, { method: "POST", body: `42["${event}","${long}"]` });
      equal(await ask(sid), { coding: want, text: `42["echo","${long}"]` }, event);
    }
  };
}

process.exit((await run(checks, 3 * limit)) ? 0 : 1);
