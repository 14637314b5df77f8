// What options of the HTTP side mean to a client: node http.mjs --url URL --files FOLDER. The server sets the sticky
// cookie and insists on it, wants the token "sesame", lets a socket send 1 event per second and 20 at once, gives ids
// that begin with "test:", and serves the client from the folder.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { io } from "socket.io-client";
import { parse } from "./args.mjs";
import { assert, equal, run, within, limit } from "./check.mjs";
import { transports } from "./client.mjs";

const { url, files } = parse({ url: undefined, files: undefined });

function open(t, mode, options = {}) {
  const socket = io(url, {
    transports: transports[mode],
    extraHeaders: { "X-Token": "sesame" },
    withCredentials: true,
    forceNew: true,
    reconnection: false,
    timeout: limit,
    ...options,
  });
  t.defer(() => socket.disconnect());
  return socket;
}

const next = (socket, event) => within(limit, new Promise((resolve) => socket.once(event, resolve)), event);

const connected = async (socket) => {
  const failed = next(socket, "connect_error").then((e) => Promise.reject(e), () => {});
  await Promise.race([next(socket, "connect"), failed]);
};

const checks = {};

for (const mode of ["polling", "websocket", "upgrade"]) {
  checks[`${mode}: cookie and token`] = async (t) => {
    const socket = open(t, mode);
    await connected(socket);
    assert(socket.id.startsWith("test:"), `id ${socket.id}`);
    assert(socket.io.engine.id.startsWith("test:"), `session id ${socket.io.engine.id}`);
    if (mode === "upgrade" && socket.io.engine.transport.name !== "websocket") await next(socket.io.engine, "upgrade");
    for (let i = 0; i < 3; i++) equal(await within(limit, socket.emitWithAck("message-with-ack", i), "ack"), i);
  };

  checks[`${mode}: wrong token`] = async (t) => {
    const socket = open(t, mode, { extraHeaders: { "X-Token": "open" } });
    let answer;
    // The client forgets the answer when its listeners have returned.
    socket.once("connect_error", (e) => (answer = [e.description, e.context?.responseText]));
    await next(socket, "connect_error");
    if (mode === "websocket") return;
    equal([answer[0], JSON.parse(answer[1])], [403, { code: 4, message: "wrong token" }], "answer");
  };
}

checks["polling: without the cookie"] = async (t) => {
  const socket = open(t, "polling", { withCredentials: false });
  await connected(socket).then(() => Promise.reject(new Error("connected")), () => {});
};

checks["rate limit"] = async (t) => {
  const socket = open(t, "websocket");
  await connected(socket);
  const reason = next(socket, "disconnect");
  const answers = [];
  for (let i = 0; i < 100; i++) socket.emit("message-with-ack", i, (answer) => answers.push(answer));
  equal(await reason, "io server disconnect", "reason");
  const refused = answers.filter((a) => a.error === "rate limit").length;
  assert(refused >= 10 && refused < 80, `${refused} of ${answers.length} refused`);
};

for (const name of ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js.map"]) {
  checks[name] = async () => {
    const script = await fetch(`${url}/socket.io/${name}`);
    equal(script.status, 200, "status");
    assert(/^application\/java|^application\/json/.test(script.headers.get("content-type")), "content type");
    equal(await script.text(), await readFile(join(files, name), "utf8"), "content");
    const again = await fetch(script.url, { headers: { "If-None-Match": script.headers.get("etag") } });
    equal(again.status, 304, "status of the second request");
  };
}

process.exit((await run(checks, 3 * limit)) ? 0 : 1);
