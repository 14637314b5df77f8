// Does on @socket.io/redis-emitter what the lines of its standard input say: node emitter-redis.mjs --redis URL.
// After each line it prints "done". test/testemitter is its counterpart.
import { createInterface } from "node:readline";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { parse } from "./args.mjs";

const client = createClient({ url: parse({ redis: undefined }).redis });
await client.connect();
const main = new Emitter(client);

for await (const line of createInterface({ input: process.stdin })) {
  const o = JSON.parse(line);
  const emitter = o.Namespace ? main.of(o.Namespace) : main;
  const args = o.Binary ? [...o.Args, Buffer.from(o.Binary, "base64")] : o.Args;
  const target = emitter.to(o.Rooms ?? []).except(o.Except ?? []);
  if (o.Do === "emit") target.emit(o.Event, ...args);
  if (o.Do === "join") target.socketsJoin(o.Join);
  if (o.Do === "leave") target.socketsLeave(o.Join);
  if (o.Do === "disconnect") target.disconnectSockets(false);
  if (o.Do === "serverSideEmit") emitter.serverSideEmit(o.Event, ...args);
  // Redis answers in order: after the answer to one more command, all before have been published.
  await client.ping();
  console.log("done");
}
client.destroy();
