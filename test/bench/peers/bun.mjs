// socket.io on Bun, with its own engine.
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { options, serve } from "./events.mjs";

const io = new Server();
const engine = new Engine({ path: "/socket.io/", pingInterval: options.pingInterval });
io.bind(engine);
await serve(io);
const handler = engine.handler();
Bun.serve({
  port: Number(process.env.PORT),
  hostname: "127.0.0.1",
  ...handler,
  ...(process.env.TLS_CERT && {
    tls: { cert: Bun.file(process.env.TLS_CERT), key: Bun.file(process.env.TLS_KEY) },
  }),
});
console.log("listening");
