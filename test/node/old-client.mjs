// The client of Socket.IO 2 for tests: it keeps the events that came until they are asked for.
import ioc from "socket.io-client-2";
import { limit, within } from "./check.mjs";
import { transports } from "./client.mjs";

const names = ["connect", "error", "disconnect", "auth", "echo", "msg", "message-back"];

export class OldClient {
  #kept = new Map();
  #waiting = new Map();

  constructor(url, mode, namespace = "", options = {}) {
    this.socket = ioc(url + namespace, {
      transports: transports[mode], upgrade: mode !== "late", forceNew: true, reconnection: false, ...options,
    });
    for (const event of names) this.socket.on(event, (...args) => this.#push(event, args));
  }

  // open connects a client of its own to the namespace, which may have a query, of the server at url.
  static async open(...args) {
    const client = new OldClient(...args);
    await client.next("connect");
    return client;
  }

  get engine() {
    return this.socket.io.engine;
  }

  #push(event, args) {
    const waiting = this.#waiting.get(event)?.shift();
    if (waiting) return waiting(args);
    if (!this.#kept.has(event)) this.#kept.set(event, []);
    this.#kept.get(event).push(args);
  }

  // next returns the arguments of the oldest event of that name that was not asked for yet, and waits for it.
  next(event) {
    const args = this.#kept.get(event)?.shift();
    if (args) return Promise.resolve(args);
    const came = new Promise((resolve) => {
      if (!this.#waiting.has(event)) this.#waiting.set(event, []);
      this.#waiting.get(event).push(resolve);
    });
    return within(limit, came, `event ${event}`);
  }

  emit(event, ...args) {
    this.socket.emit(event, ...args);
  }

  // ask emits an event and returns the arguments of its acknowledgement.
  ask(event, ...args) {
    const acked = new Promise((resolve) => this.socket.emit(event, ...args, (...answer) => resolve(answer)));
    return within(limit, acked, `ack of ${event}`);
  }

  // upgrade begins the upgrade of a client that was opened in the mode late, and waits for its end.
  upgrade() {
    const over = new Promise((resolve) => this.engine.once("upgrade", resolve));
    this.engine.probe("websocket");
    return within(limit, over, "upgrade");
  }

  close() {
    if (this.engine) this.socket.io.close();
  }
}
