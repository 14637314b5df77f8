// What every server of the benchmark does, on the Socket.IO server io.
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";

export async function serve(io) {
  if (process.env.REDIS) {
    const pub = createClient({ url: process.env.REDIS });
    const sub = pub.duplicate();
    await Promise.all([pub.connect(), sub.connect()]);
    io.adapter(createAdapter(pub, sub));
  }
  io.on("connection", (socket) => {
    socket.on("echo", (x) => socket.emit("echo", x));
    socket.on("bcast", (n, x) => io.emit("msg", n, x));
    socket.on("join", (room) => socket.join(room));
    socket.on("leave", (room) => socket.leave(room));
    socket.on("room", (room, x) => io.to(room).emit("msg", 0, x));
  });
}

export const options = {
  transports: ["polling", "websocket"],
  pingInterval: Number(process.env.PING_INTERVAL ?? 25000),
  perMessageDeflate: process.env.DEFLATE ? { threshold: 1024 } : false,
};
