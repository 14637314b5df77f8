// The chat example in a real browser: two tabs on two nodes, through an outage of the Redis between them.
//
//   node browser.mjs --a http://127.0.0.1:3001 --b http://127.0.0.1:3002 --shots DIR
import { join } from "node:path";
import { chromium } from "playwright-core";
import { parse } from "./args.mjs";
import { assert, run } from "./check.mjs";

const { a, b, shots } = parse({ a: undefined, b: undefined, shots: undefined });
const patience = 15_000; // ms for what the page does by itself

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

async function tab(url, name, colorScheme = "light") {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1000, height: 700 } });
  const page = await context.newPage();
  page.loads = 0;
  page.on("load", () => page.loads++);
  page.faults = [];
  page.on("pageerror", (e) => page.faults.push(String(e)));
  await page.addInitScript((n) => { if (!sessionStorage.getItem("name")) sessionStorage.setItem("name", n); }, name);
  await page.goto(url);
  return page;
}

const has = (page, id, text) =>
  page.getByTestId(id).filter({ hasText: text }).waitFor({ timeout: patience });

async function say(page, text) {
  await page.getByTestId("text").fill(text);
  await page.getByTestId("send").click();
}

const shot = (page, name) => page.screenshot({ path: join(shots, name + ".png") });

let ada, bob, cyd;
const ok = await run({
  "two tabs on two nodes": async () => {
    ada = await tab(a, "Ada");
    bob = await tab(b, "Bob", "dark");
    cyd = await tab(a, "Cyd");
    await has(ada, "node", "node A");
    await has(bob, "node", "node B");
  },
  "the transport becomes websocket": async () => {
    for (const page of [ada, bob, cyd]) await has(page, "transport", "websocket");
  },
  "everyone is online on all nodes": async () => {
    for (const page of [ada, bob]) for (const name of ["Ada", "Bob", "Cyd"]) await has(page, "people", name);
  },
  "the nodes hear each other": async () => {
    for (const page of [ada, bob]) await has(page, "cluster", /^hear each other$/);
  },
  "they talk to each other": async () => {
    await say(ada, "hello from A <b>&</b>");
    await has(bob, "log", "hello from A <b>&</b>");
    await say(bob, "hello from B");
    for (const page of [ada, cyd, bob]) await has(page, "log", "hello from B");
    await shot(ada, "1-talking-a-light");
    await shot(bob, "2-talking-b-dark");
  },
  "Redis stops: the page says so": async () => {
    await ada.getByTestId("redis").click();
    for (const page of [ada, bob]) await has(page, "cluster", "do not hear each other");
  },
  "local delivery goes on, across nodes nothing": async () => {
    await say(ada, "during the outage, on A");
    for (const page of [ada, cyd]) await has(page, "log", "during the outage, on A");
    await say(bob, "during the outage, on B");
    await has(bob, "log", "during the outage, on B");
    assert(!(await bob.getByTestId("log").innerText()).includes("outage, on A"), "A's message reached B without Redis");
    assert(!(await ada.getByTestId("log").innerText()).includes("outage, on B"), "B's message reached A without Redis");
    await shot(ada, "3-outage-a-light");
    await shot(bob, "4-outage-b-dark");
  },
  "Redis starts: delivery resumes without a reload": async () => {
    await bob.getByTestId("redis").click();
    for (const page of [ada, bob]) await has(page, "cluster", /^hear each other$/);
    await say(ada, "after the outage, from A");
    await has(bob, "log", "after the outage, from A");
    await say(bob, "after the outage, from B");
    await has(ada, "log", "after the outage, from B");
    for (const page of [ada, bob]) for (const name of ["Ada", "Bob", "Cyd"]) await has(page, "people", name);
    await shot(ada, "5-resumed-a-light");
    for (const page of [ada, bob, cyd]) assert(page.loads === 1, "a page was loaded again");
  },
  "a narrow screen": async () => {
    await ada.setViewportSize({ width: 390, height: 800 });
    await shot(ada, "6-narrow");
  },
  "no fault in the pages": async () => {
    for (const page of [ada, bob, cyd]) assert(page.faults.length === 0, page.faults.join("\n"));
  },
}, 45_000);
await browser.close();
process.exitCode = ok ? 0 : 1;
