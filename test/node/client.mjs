// A client for tests, on socket.io-client: it keeps the events that came until they are asked for.
import { Manager } from "socket.io-client";
import { limit, sleep, within } from "./check.mjs";

export const transports = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
  // Stays on polling until upgrade() is called.
  late: ["polling", "websocket"],
};

export class Client {
  #events = new Map();
  #waiting = new Map();

  constructor(manager, namespace = "/", options = {}) {
    this.manager = manager;
    this.socket = manager.socket(namespace, options);
    for (const event of ["connect", "connect_error", "disconnect"]) {
      this.socket.on(event, (...args) => this.#push(event, args));
    }
    this.socket.onAny((event, ...args) => {
      if (typeof args.at(-1) !== "function") this.#push(event, args);
    });
  }

  // open connects a client of its own to the namespace of the server at url.
  static async open(url, mode, namespace = "/", options = {}) {
    const client = new Client(manage(url, mode), namespace, options);
    await client.connect();
    return client;
  }

  // patient is open for a server that may lose what a client sends at once after a handshake, as zishang520 does: it joins
  // the namespace a moment later, begins anew without an answer, and waits for what the server says when it listens.
  static async patient(url, mode, namespace = "/", greeting = "auth") {
    for (let pause = 20; pause < 1000; pause *= 3) {
      const client = new Client(manage(url, mode), namespace);
      await new Promise((resolve) => client.manager.open(resolve));
      await sleep(pause);
      client.socket.connect();
      if (await client.next(greeting, 1000).catch(() => null)) return client;
      client.close();
    }
    throw new Error(`${url} says nothing`);
  }

  async connect() {
    this.socket.connect();
    await this.next("connect");
    return this;
  }

  get id() {
    return this.socket.id;
  }

  #push(event, args) {
    const waiting = this.#waiting.get(event)?.shift();
    if (waiting) return waiting(args);
    if (!this.#events.has(event)) this.#events.set(event, []);
    this.#events.get(event).push(args);
  }

  // next returns the arguments of the oldest event of that name that was not asked for yet, and waits for it.
  next(event, ms = limit) {
    const kept = this.#events.get(event)?.shift();
    if (kept) return Promise.resolve(kept);
    const came = new Promise((resolve) => {
      if (!this.#waiting.has(event)) this.#waiting.set(event, []);
      this.#waiting.get(event).push(resolve);
    });
    return within(ms, came, `event ${event}`);
  }

  // none fails if an event of that name is there that was not asked for.
  none(event) {
    const kept = this.#events.get(event) ?? [];
    if (kept.length > 0) throw new Error(`unexpected ${event}: ${JSON.stringify(kept)}`);
  }

  emit(event, ...args) {
    this.socket.emit(event, ...args);
  }

  // ask emits an event and returns the arguments of its acknowledgement.
  ask(event, ...args) {
    const acked = new Promise((resolve) => this.socket.emit(event, ...args, (...answer) => resolve(answer)));
    return within(limit, acked, `ack of ${event}`);
  }

  // upgraded waits until the connection is on WebSocket.
  upgraded() {
    const { engine } = this.manager;
    if (engine.transport.name === "websocket" && !engine.upgrading) return Promise.resolve();
    return within(limit, new Promise((resolve) => engine.once("upgrade", resolve)), "upgrade");
  }

  // upgrade begins the upgrade of a client that was opened in the mode late, and waits for its end. The client's own
  // upgrade may be over before the first event is sent.
  upgrade() {
    this.manager.engine._probe("websocket");
    return this.upgraded();
  }

  // close ends the connection, and with it those of all namespaces of the same manager.
  close() {
    this.manager.reconnection(false);
    this.socket.disconnect();
    this.manager._close();
  }
}

// own are options for all connections of this process.
const own = {};

// useParser makes all connections use a parser, by name; "" is the default.
export async function useParser(name) {
  if (name) own.parser = await parserOf(name);
}

// parserOf returns a parser by name.
export async function parserOf(name) {
  if (name === "msgpack") return (await import("socket.io-msgpack-parser")).default;
  throw new Error(`unknown parser ${name}`);
}

// manage returns a connection that several namespaces can share.
export function manage(url, mode) {
  return new Manager(url, {
    ...own,
    transports: transports[mode],
    upgrade: mode !== "late",
    autoConnect: false,
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
    timeout: limit,
  });
}
