import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { parse } from "./args.mjs";
import { serve } from "./contract.mjs";
const { redis } = parse({ redis: "" });
const http = createServer();
const options = {};
if (redis) {
  const pub = createClient({ url: redis, socket: { reconnectStrategy: 200 } });
  const sub = pub.duplicate();
  for (const client of [pub, sub]) client.on("error", (e) => console.error(String(e)));
  pub.connect(); sub.connect();
  options.adapter = createAdapter(pub, sub);
}
const io = new Server(http, options);
serve(io, `node-${process.pid}`);
if (redis) await new Promise((r) => setTimeout(r, 500));
http.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${http.address().port}`));
