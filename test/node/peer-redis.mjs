// A server on Node's own socket.io: node peer-redis.mjs [--port N] [--redis URL] [--family redis|sharded] [--mode M]
// [--specific yes] [--parser msgpack] [--eio3 yes] [--recovery MS].
// It prints "listening on ADDR" when it hears the other nodes in that Redis; without --redis it is alone.
import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { parse } from "./args.mjs";
import { parserOf } from "./client.mjs";
import { serve } from "./contract.mjs";

const { port, redis, family, mode, specific, parser, eio3, recovery } = parse({
  port: 0, redis: "", family: "redis", mode: "dynamic", specific: "", parser: "", eio3: "", recovery: 0,
});

const http = createServer();
const options = parser ? { parser: await parserOf(parser) } : {};
if (eio3) Object.assign(options, { allowEIO3: true, pingInterval: 300 });
if (recovery) {
  Object.assign(options, {
    connectionStateRecovery: { maxDisconnectionDuration: recovery },
    pingInterval: 1000,
    pingTimeout: 5000,
  });
}
let heard = async () => {};
if (redis) {
  const pub = createClient({ url: redis });
  const sub = pub.duplicate();
  for (const client of [pub, sub]) client.on("error", (e) => console.error(String(e)));
  await Promise.all([pub.connect(), sub.connect()]);
  options.adapter = family === "sharded"
    ? createShardedAdapter(pub, sub, { subscriptionMode: mode })
    : createAdapter(pub, sub, { publishOnSpecificResponseChannel: specific === "yes" });
  // The adapter subscribes without saying when it is done. Redis answers in order: after the answer to one more, it is.
  let asked = 0;
  const subscribe = (family === "sharded" ? sub.sSubscribe : sub.subscribe).bind(sub);
  heard = () => subscribe(`ready of ${process.pid}, ${asked++}`, () => {});
}
const io = new Server(http, options);
serve(io, `node-${process.pid}`, family === "sharded" ? heard : undefined);
await heard();
http.listen(port, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${http.address().port}`));
