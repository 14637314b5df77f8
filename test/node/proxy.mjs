// A TCP proxy on the loopback interface whose connections can be cut, as by a network that fails.
import { connect, createServer } from "node:net";
import { sleep } from "./check.mjs";

// The client's XMLHttpRequest on Node never ends a request whose connection was kept alive and is reset, so that
// polling has to be told that it failed.
const failure = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

// proxy listens in front of the servers at urls, which get its connections in turn.
export async function proxy(...urls) {
  const targets = urls.map((url) => new URL(url));
  let turn = 0;
  const open = new Map(); // the two ends of each connection
  const server = createServer((near) => {
    const target = targets[turn++ % targets.length];
    const far = connect({ host: target.hostname, port: Number(target.port) });
    open.set(near, far);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.setNoDelay(true);
      from.on("error", () => {});
      from.on("close", () => {
        open.delete(near);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    // cut ends all connections at once: on the side of the server without a word, and on that of a WebSocket too.
    cut(polling) {
      for (const [near, far] of open) {
        near.unpipe(far);
        far.unpipe(near);
        far.destroy();
        if (polling) near.end(failure);
        else near.destroy();
      }
    },
    close() {
      server.close();
      for (const near of open.keys()) near.destroy();
    },
  };
}

// settled returns when client and server have both upgraded.
export async function settled(client) {
  await client.upgraded();
  await client.ask("message-with-ack");
}

// cutOff cuts a client off whose connection goes through client.proxy: by the network, or by its own engine, without a
// disconnect packet. A client that polls does not notice a failure between two polls.
export async function cutOff(client, how) {
  let gone = false;
  const noticed = client.next("disconnect").then(() => (gone = true));
  while (!gone) {
    if (how === "network") client.proxy.cut(client.manager.engine.transport.name === "polling");
    else client.manager.engine.close();
    await Promise.race([noticed, sleep(200)]);
  }
}
