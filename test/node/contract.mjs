// The events that every server of these tests answers, on the namespaces / and /custom. /guarded lets in the token "sesame" alone.

// serve lets io, a socket.io Server, answer them; node is the name that whoami tells.
// joined resolves when the adapter hears the rooms that were joined before.
export function serve(io, node, joined = async () => {}) {
  io.of("/guarded").use(({ handshake }, next) => {
    const { token } = handshake.auth;
    if (token === "sesame") next();
    else if (token === "data") next(Object.assign(new Error("refused"), { data: { code: 7 } }));
    else next(new Error("wrong token"));
  });
  for (const name of ["/", "/custom"]) {
    const nsp = io.of(name);
    nsp.on("announce", (x) => nsp.local.emit("announced", x));
    nsp.on("connection", (socket) => {
      socket.emit("auth", socket.handshake.auth);
      socket.on("message", (...args) => socket.emit("message-back", ...args));
      socket.on("message-with-ack", (...args) => args.pop()(...args));
      socket.on("echo", (x) => socket.emit("echo", x));
      socket.on("bcast", (n, x) => nsp.emit("msg", n, x));
      socket.on("join", async (room, done) => {
        await socket.join(room);
        await joined();
        done();
      });
      socket.on("leave", async (room, done) => {
        await socket.leave(room);
        done();
      });
      socket.on("room", (room, x) => nsp.to(room).emit("msg", 0, x));
      socket.on("others", (x) => socket.broadcast.emit("msg", 0, x));
      socket.on("rooms", (done) => done([...socket.rooms]));
      socket.on("set", (data, done) => {
        socket.data = data;
        done(true);
      });
      socket.on("state", (done) => done({ recovered: socket.recovered, rooms: [...socket.rooms], data: socket.data }));
      socket.on("whoami", (done) => done({ id: socket.id, node }));
      socket.on("ask", (room, x, done) => {
        nsp.to(room).timeout(2000).emit("question", x, (_, answers) => done(answers));
      });
      socket.on("fetch", async (room, done) => {
        const sockets = await nsp.in(room).fetchSockets();
        done(sockets.map(({ id, rooms }) => ({ id, rooms: [...rooms] })));
      });
      socket.on("announce", (x) => nsp.serverSideEmit("announce", x));
      socket.on("kick", (room) => nsp.in(room).disconnectSockets());
      socket.on("move", (from, to) => nsp.in(from).socketsJoin(to));
      socket.on("expel", (from, to) => nsp.in(from).socketsLeave(to));
      socket.on("notify", (x) => nsp.serverSideEmit("notified", x));
      socket.on("poll", (x, done) => nsp.serverSideEmit("asked", x, (_, answers) => done(answers)));
    });
    nsp.on("notified", (x) => nsp.local.emit("msg", 0, x));
    nsp.on("asked", (x, done) => done({ x }));
  }
}
