// socket.io on Node, with ws.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { Server } from "socket.io";
import { options, serve } from "./events.mjs";

const tls = process.env.TLS_CERT && {
  cert: readFileSync(process.env.TLS_CERT),
  key: readFileSync(process.env.TLS_KEY),
};
const server = tls ? https.createServer(tls) : http.createServer();
await serve(new Server(server, options));
server.listen(Number(process.env.PORT), "127.0.0.1", 8192, () => console.log("listening"));
