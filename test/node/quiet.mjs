// Clients that send nothing stay connected, by heartbeats alone, and are reached after that: node quiet.mjs --url URL
// --quiet MS [--old 1]. With --old clients of Socket.IO 2 are among them.
import { parse } from "./args.mjs";
import { equal, limit, run, sleep } from "./check.mjs";
import { Client } from "./client.mjs";
import { OldClient } from "./old-client.mjs";

const { url, quiet, old } = parse({ url: undefined, quiet: undefined, old: 0 });

const kinds = [["new", (mode) => Client.open(url, mode)]];
if (old) kinds.push(["old", (mode) => OldClient.open(url, mode)]);

const clients = [];
for (const [kind, open] of kinds) {
  for (const mode of ["polling", "websocket", "upgrade"]) {
    const client = await open(mode);
    const left = [];
    client.socket.on("disconnect", (reason) => left.push(reason));
    clients.push({ name: `${kind} client, ${mode}`, client, left });
  }
}
await sleep(Number(quiet));

const ok = await run(
  Object.fromEntries(
    clients.map(({ name, client, left }) => [
      name,
      async () => {
        equal(left, [], "disconnections");
        client.socket.emit("echo", name);
        equal(await client.next("echo"), [name], "echo");
      },
    ]),
  ),
  limit,
);
process.exit(ok ? 0 : 1);
