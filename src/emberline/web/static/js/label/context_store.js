// What is known beside each spectrum, fetched ahead: few requests at a time, the least wanted given up first, so that
// they never stand in the way of a spectrum or an action.

const MOST = 2; // requests at a time: browsers open six connections to a server, and spectra and actions need theirs
const KEPT = 80;

export class ContextStore extends EventTarget {
  /**
   * Tells of `document` (detail {identifier, document}) and `failed` (detail {identifier, error}).
   *
   * @param {(identifier: string, signal: AbortSignal) => Promise<object>} ask
   */
  constructor(ask) {
    super();
    this.ask = ask;
    this.documents = new Map();
    this.failed = new Map();
    this.stale = new Set(); // known, but not any more as it is
    this.running = new Map(); // identifier → AbortController
    this.wanted = [];
  }

  /** Say what is wanted, the most urgent first. What is not among it any more is given up. */
  want(identifiers) {
    this.wanted = [...new Set(identifiers)];
    for (const identifier of this.running.keys()) if (!this.wanted.includes(identifier)) this.giveUp(identifier);
    const [first] = this.wanted;
    if (first && this.missing(first) && !this.running.has(first) && this.running.size >= MOST) {
      this.giveUp([...this.running.keys()].reduce((a, b) => (this.wanted.indexOf(a) > this.wanted.indexOf(b) ? a : b)));
    }
    this.pump();
  }

  /** Ask anew for what is here already, or could not be had. */
  renew(identifier) {
    this.stale.add(identifier);
    this.failed.delete(identifier);
    this.giveUp(identifier); // its answer may be older than what happened
    this.pump();
  }

  /** Something new is known of it: an answer on its way is taken, and then asked for once more. */
  touch(identifier) {
    this.stale.add(identifier);
    this.failed.delete(identifier);
    this.pump();
  }

  missing(identifier) {
    return (!this.documents.has(identifier) || this.stale.has(identifier)) && !this.failed.has(identifier);
  }

  giveUp(identifier) {
    this.running.get(identifier)?.abort();
    this.running.delete(identifier);
  }

  pump() {
    for (const identifier of this.wanted) {
      if (this.running.size >= MOST) return;
      if (this.missing(identifier) && !this.running.has(identifier)) this.fetch(identifier);
    }
  }

  async fetch(identifier) {
    const control = new AbortController();
    this.running.set(identifier, control);
    this.stale.delete(identifier);
    let told;
    try {
      const document = await this.ask(identifier, control.signal);
      if (control.signal.aborted) return;
      this.keep(identifier, document);
      told = new CustomEvent("document", { detail: { identifier, document } });
    } catch (error) {
      if (control.signal.aborted) return;
      this.failed.set(identifier, error);
      told = new CustomEvent("failed", { detail: { identifier, error } });
    }
    this.running.delete(identifier);
    this.dispatchEvent(told);
    this.pump();
  }

  keep(identifier, document) {
    this.failed.delete(identifier);
    this.documents.delete(identifier);
    this.documents.set(identifier, document);
    if (this.documents.size > KEPT) this.documents.delete(this.documents.keys().next().value);
  }
}
