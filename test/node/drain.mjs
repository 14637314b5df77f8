// Clients whose node is drained come back by themselves, on another one: node drain.mjs --url URL --transports MODE
// [--clients N]. The drain begins when the first check has been printed.
import { parse } from "./args.mjs";
import { equal, run } from "./check.mjs";
import { Client } from "./client.mjs";

const { url, transports: mode, clients: count } = parse({ url: undefined, transports: undefined, clients: 20 });

const clients = await Promise.all(Array.from({ length: count }, () => Client.open(url, mode)));
const nodes = async () => (await Promise.all(clients.map((c) => c.ask("whoami", null)))).map(([who]) => who.node);

let first;
const limit = 60_000;
const ok = await run(
  {
    connected: async () => {
      if (mode === "upgrade") await Promise.all(clients.map((c) => c.upgraded()));
      const all = new Set(await nodes());
      equal(all.size, 1, "number of nodes");
      [first] = all;
    },
    "come back": async () => {
      for (const client of clients) {
        const [reason] = await client.next("disconnect", limit);
        // Clients do not come back by themselves after "io server disconnect".
        equal(reason, "transport close", "reason");
        await client.next("connect", limit);
      }
      const all = new Set(await nodes());
      equal([all.size, all.has(first)], [1, false], "number of nodes, and whether the old one is among them");
      for (const client of clients) client.none("disconnect");
    },
  },
  limit,
);
process.exit(ok ? 0 : 1);
