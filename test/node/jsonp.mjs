// Polling by script elements and forms, by the client of Socket.IO 2 in a real browser: node jsonp.mjs --url URL.
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { parse } from "./args.mjs";
import { assert, equal, limit, run } from "./check.mjs";

const { url } = parse({ url: undefined });
const script = fileURLToPath(new URL("node_modules/socket.io-client-2/dist/socket.io.js", import.meta.url));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});

// open returns a page of the server's own origin with a connected client, window.socket.
async function open(t, transports) {
  const page = await browser.newPage();
  t.defer(() => page.close().catch(() => {}));
  page.faults = [];
  page.on("pageerror", (e) => page.faults.push(String(e)));
  await page.goto(url + "/ready");
  await page.addScriptTag({ path: script });
  await page.evaluate(
    ([transports, ms]) =>
      new Promise((resolve, reject) => {
        setTimeout(reject, ms, new Error("not connected"));
        window.socket = io({ transports, forceJSONP: true, reconnection: false });
        socket.once("connect", resolve);
        for (const event of ["error", "connect_error"]) socket.once(event, reject);
        window.first = socket.io.engine.transport;
        // ask resolves to what comes back; of binary, to the numbers.
        window.ask = (...args) =>
          new Promise((resolve) =>
            socket.emit("message-with-ack", ...args, (...answer) =>
              resolve(answer.map((x) => (x instanceof ArrayBuffer ? [...new Uint8Array(x)] : x))),
            ),
          );
      }),
    [transports, limit],
  );
  return page;
}

const values = [
  "text", "", "</script><script>alert(1)</script>", "line\u2028paragraph\u2029", "a\nb", "a\r\nb", "a\\nb", "a\\\\nb", "\\", "&d=1;+%20",
  "Ünïcödé 日本語 👩‍👩‍👧‍👦 𝒳", '"quoted"', { a: [null, true, -1.5, { "k\n": "v" }] }, "0123456789".repeat(10_000),
];

const ok = await run({
  values: async (t) => {
    const page = await open(t, ["polling"]);
    for (const value of values) equal(await page.evaluate((x) => ask(x), value), [value]);
    assert(await page.evaluate(() => first.form !== null && first.name === "polling"), "it was no JSONP");
    equal(page.faults, [], "faults of the page");
  },
  binary: async (t) => {
    const page = await open(t, ["polling"]);
    const bytes = Array.from({ length: 256 }, (_, i) => i);
    equal(await page.evaluate((x) => ask(new Uint8Array(x).buffer, "ü", new ArrayBuffer(0)), bytes), [bytes, "ü", []]);
    equal(page.faults, [], "faults of the page");
  },
  "many at once, in order": async (t) => {
    const page = await open(t, ["polling"]);
    const numbers = Array.from({ length: 200 }, (_, i) => [i]);
    equal(await page.evaluate((all) => Promise.all(all.map((n) => ask(...n))), numbers), numbers);
    const echoes = page.evaluate(
      (total) =>
        new Promise((resolve) => {
          const got = [];
          socket.on("echo", (n) => got.push(n) === total && resolve(got));
          for (let n = 0; n < total; n++) socket.emit("echo", n);
        }),
      200,
    );
    equal(await echoes, numbers.flat(), "echoes");
    equal(page.faults, [], "faults of the page");
  },
  upgrade: async (t) => {
    const page = await open(t, ["polling", "websocket"]);
    await page.waitForFunction(() => socket.io.engine.transport.name === "websocket", undefined, { timeout: limit });
    equal(await page.evaluate(() => ask("ü", new Uint8Array([1, 2, 255]).buffer)), ["ü", [1, 2, 255]]);
    equal(page.faults, [], "faults of the page");
  },
}, 3 * limit);
await browser.close();
process.exitCode = ok ? 0 : 1;
