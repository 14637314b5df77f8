// Nothing is lost, doubled or out of order while a client goes from polling to WebSocket:
// node ledger.mjs --url URL [--rounds N] [--count N] [--window N] [--client 2].
//
// In each round a client sends numbered messages and gets them back, while a second client broadcasts numbered messages
// to it; somewhere in the midst it upgrades. With --client 2 it is a client of Socket.IO 2. Each sender is at most window messages ahead of what has arrived, since a
// server may close a connection that falls behind.
import { parse } from "./args.mjs";
import { print, sleep, within } from "./check.mjs";
import { Client } from "./client.mjs";
import { OldClient } from "./old-client.mjs";

const { url, rounds, count, window, client } = parse({ url: undefined, rounds: 1, count: 10_000, window: 512, client: 4 });

// Messages that are sent at once, before others get their turn.
const burst = 32;
// How long a round may take at all, and how long it may stand still, in milliseconds.
const roundLimit = 60_000;
const stillLimit = 10_000;

// Ledger takes in the numbers of one direction; each must be the one after the last.
class Ledger {
  next = 0;
  faults = [];

  take(n) {
    if (n === this.next) this.next++;
    else if (this.faults.push({ want: this.next, got: n }) && n > this.next) this.next = n + 1;
  }

  get done() {
    return this.next >= count;
  }
}

// send calls emit for each number, never more than window ahead of the ledger.
async function send(emit, ledger, stop) {
  for (let n = 0; n < count && !stop.now; ) {
    const end = Math.min(count, n + burst, ledger.next + window);
    while (n < end) emit(n++);
    await new Promise(setImmediate);
  }
}

async function until(condition, stop) {
  while (!condition() && !stop.now) await sleep(5);
}

// watch sets stop.now when the ledgers stand still.
function watch(ledgers, stop) {
  let [last, since] = [-1, performance.now()];
  return setInterval(() => {
    const sum = ledgers.reduce((s, l) => s + l.next, 0);
    if (sum !== last) [last, since] = [sum, performance.now()];
    else if (performance.now() - since > stillLimit) stop.now = "nothing arrives any more";
  }, 100);
}

async function round(number) {
  const [subject, sender] = await Promise.all([(client === 2 ? OldClient : Client).open(url, "late"), Client.open(url, "websocket")]);
  const stop = { now: "" };
  const [echo, received, copy] = [new Ledger(), new Ledger(), new Ledger()];
  subject.socket.on("echo", (n) => echo.take(n));
  subject.socket.on("msg", (n, x) => x === number && received.take(n));
  sender.socket.on("msg", (n, x) => x === number && copy.take(n));
  for (const [name, client] of Object.entries({ subject, sender })) {
    client.socket.on("disconnect", (reason) => (stop.now ||= `${name} disconnected: ${reason}`));
  }
  const timer = watch([echo, received, copy], stop);
  const start = performance.now();
  // Each round upgrades at another place.
  const place = Math.floor(count * 0.8 * Math.random());
  const upgrade = { begun: undefined, over: undefined };
  try {
    await within(
      roundLimit,
      Promise.all([
        send((n) => subject.emit("echo", n), echo, stop),
        send((n) => sender.emit("bcast", n, number), received, stop),
        (async () => {
          await until(() => echo.next >= place, stop);
          upgrade.begun = { echo: echo.next, msg: received.next };
          await subject.upgrade();
          upgrade.over = { echo: echo.next, msg: received.next };
        })(),
        until(() => echo.done && received.done && copy.done, stop),
      ]),
      `round ${number}`,
    );
    // What comes twice may come late.
    await Promise.all([subject.ask("message-with-ack"), sender.ask("message-with-ack")]);
  } catch (e) {
    stop.now ||= String(e);
  }
  clearInterval(timer);
  const stopped = stop.now;
  subject.close();
  sender.close();
  const ledgers = { echo, received, copy };
  const faults = Object.entries(ledgers).flatMap(([name, l]) => l.faults.slice(0, 5).map((f) => ({ name, ...f })));
  const missing = Object.entries(ledgers).flatMap(([name, l]) => (l.done ? [] : [{ name, from: l.next }]));
  const inside = (at) => at !== undefined && at.echo < count;
  const ok = !stopped && faults.length === 0 && missing.length === 0 && upgrade.over !== undefined;
  print({
    check: `round ${number}`,
    ok,
    error: ok ? undefined : JSON.stringify({ stopped, faults, missing }),
    upgrade,
    "upgraded in the midst": inside(upgrade.begun) && inside(upgrade.over),
    ms: Math.round(performance.now() - start),
  });
  return ok;
}

let all = true;
for (let number = 1; number <= rounds; number++) all = (await round(number)) && all;
process.exit(all ? 0 : 1);
