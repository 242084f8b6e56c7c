// Actions on their way to the server: kept in the browser until the server has them on its disk, sent in order,
// again and again if need be. Each has an id of its own, so that sending one twice does no harm.

import { openStore } from "./store.js";

export class Outbox extends EventTarget {
  /**
   * @param {string} name   one outbox a campaign and user: `emberline:user:campaign`
   * @param {(actions: object[]) => Promise<{results: object[]}>} send   resolves when the server has decided on
   *   each: on its disk, or refused for a reason; rejects when it cannot be reached
   */
  constructor(name, send) {
    super();
    this.name = name;
    this.send = send;
    this.state = "saved";
    this.waiting = 0;
    this.delay = 500;
    this.timer = null;
    this.busy = false;
    this.reason = "";
    window.addEventListener("online", () => this.flush());
  }

  async open() {
    this.store = await openStore(this.name);
    await this.flush();
    return this;
  }

  /** Whether what waits outlives this tab. */
  get lasting() {
    return this.store.lasting;
  }

  async add(action) {
    const { state } = this;
    this.announce("saving"); // at once: "saved" must not stand there while the browser writes
    try {
      await this.store.add(action);
    } catch (error) {
      this.announce(state, this.reason);
      throw error;
    }
    this.waiting += 1;
    this.announce("saving");
    this.flush();
  }

  /** Resolves when nothing is on its way any more: all of it is with the server, or it cannot be reached now. */
  async idle() {
    while (this.waiting && this.state !== "offline") {
      await new Promise((resolve) => {
        this.addEventListener("state", resolve, { once: true });
      });
    }
  }

  async pending() {
    return this.store.waiting();
  }

  /** Send what waits, oldest first. Several tabs may send the same: the server takes doubles for what they are. */
  async flush() {
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    try {
      for (;;) {
        const waiting = await this.pending();
        this.waiting = waiting.length;
        if (!waiting.length) break;
        const actions = waiting.slice(0, 50);
        this.announce(this.state === "offline" ? "offline" : "saving", this.reason);
        const reply = await this.send(actions.map(({ order, ...action }) => action));
        await this.settle(actions, reply.results ?? []);
        this.waiting -= actions.length;
        this.delay = 500;
        this.dispatchEvent(new CustomEvent("sent", { detail: { actions, reply } }));
      }
      this.announce("saved");
    } catch (error) {
      await this.failed(error);
    } finally {
      this.busy = false;
    }
  }

  /** Forget what the server has; what it refused is kept apart, with the reason, for the person to see. */
  async settle(actions, results) {
    const refused = [];
    for (const [index, { order, ...plain }] of actions.entries()) {
      if (results[index]?.status === "refused") refused.push({ ...plain, message: results[index].message });
    }
    await this.store.settle(actions, refused);
  }

  async refused() {
    return this.store.refused();
  }

  /** The person has seen what was refused. */
  async forget() {
    await this.store.forget();
  }

  async failed(error) {
    this.reason = error.message;
    this.announce("offline", error.message);
    this.timer = setTimeout(() => this.flush(), this.delay);
    this.delay = Math.min(this.delay * 2, 15000);
  }

  announce(state, message = "") {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, message, waiting: this.waiting } }));
  }
}
