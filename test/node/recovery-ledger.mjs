// Nothing is lost, doubled or out of order while a client is cut off in the midst of a stream and recovered:
// node recovery-ledger.mjs --url URL [--other URL] [--transports polling|websocket|upgrade] [--rounds N] [--count N]
// [--cuts N].
//
// In each round another client broadcasts numbered messages, never more than a window ahead of what has arrived, while
// the first is cut off, by the network or by its engine, and reconnects by itself: with --other, over WebSocket, to two
// nodes in turn.
import { parse } from "./args.mjs";
import { print, sleep, within } from "./check.mjs";
import { Client, manage } from "./client.mjs";
import { cutOff, proxy, settled } from "./proxy.mjs";

const { url, other, transports: mode, rounds, count, cuts } = parse({
  url: undefined,
  other: "",
  transports: "websocket",
  rounds: 1,
  count: 2000,
  cuts: 3,
});
const window = 512;
const limit = 120_000;

async function round(number) {
  const way = await proxy(...[url, other].filter(Boolean));
  const subject = new Client(manage(way.url, mode));
  subject.proxy = way;
  const sender = await Client.open(url, "websocket");
  await subject.connect();
  const faults = [];
  let [next, recovered, fresh] = [0, 0, 0];
  // A client that is not recovered has lost what came meanwhile, and knows it.
  let lost = false;
  const stream = { sent: 0, lost: 0, arrived: () => Math.max(next, stream.lost) };
  subject.socket.on("msg", (n, x) => {
    if (x !== number) return;
    if (n !== next && !(lost && n > next)) faults.push({ want: next, got: n });
    [next, lost] = [n + 1, false];
  });
  subject.socket.on("connect", () => {
    if (subject.socket.recovered) recovered++;
    else [fresh, lost, stream.lost] = [fresh + 1, true, stream.sent];
  });
  const start = performance.now();
  let error;
  try {
    await within(limit, Promise.all([send(sender, number, stream), cut(subject, stream)]), "round");
    while (next < count) {
      if (performance.now() - start > limit) throw new Error("the end does not come");
      // The last message may be among those that were lost.
      if (lost) sender.emit("bcast", count - 1, number);
      await sleep(5);
    }
  } catch (e) {
    error = String(e);
  }
  subject.close();
  sender.close();
  way.close();
  const ok = !error && faults.length === 0 && recovered >= (cuts - 1) / 2;
  print({
    check: `round ${number}`,
    ok,
    error: ok ? undefined : JSON.stringify({ error, next, recovered, fresh, faults: faults.slice(0, 5) }),
    recovered,
    fresh,
    ms: Math.round(performance.now() - start),
  });
  return ok;
}

async function send(sender, number, stream) {
  while (stream.sent < count) {
    const end = Math.min(count, stream.sent + 16, stream.arrived() + window);
    while (stream.sent < end) sender.emit("bcast", stream.sent++, number);
    await new Promise(setImmediate);
  }
}

// cut cuts the client off at places that are spread over the stream.
async function cut(subject, stream) {
  for (let i = 0; i < cuts; i++) {
    const place = Math.floor((count * (i + Math.random() * 0.9)) / cuts);
    while (stream.arrived() < place || !subject.socket.connected) await sleep(1);
    // The server may not know yet of a client that is cut off while it upgrades, and does not recover it then.
    if (mode === "upgrade" && i > 0) await settled(subject);
    await cutOff(subject, Math.random() < 0.5 ? "network" : "engine");
    await subject.next("connect");
  }
}

let all = true;
for (let number = 1; number <= rounds; number++) all = (await round(number)) && all;
process.exit(all ? 0 : 1);
