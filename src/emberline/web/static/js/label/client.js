// The campaign's JSON API as the page uses it: one address, time limits, arrays that come as base64.

const LIMIT_MS = 20000;
const KINDS = { f4: Float32Array, f8: Float64Array, u1: Uint8Array };

/** An error whose message can be shown; `status` is 0 when the server was not reached. */
export class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** An array as the API sends it (`{"dtype": "f4", "data": base64}`, little-endian), or a plain list. */
export function decode(value) {
  if (value == null || Array.isArray(value)) return value;
  const text = atob(value.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return new KINDS[value.dtype](bytes.buffer);
}

function decodeAll(table) {
  return table && Object.fromEntries(Object.entries(table).map(([name, item]) => [name, isArray(item) ? decode(item) : item]));
}

const isArray = (item) => item !== null && typeof item === "object" && "dtype" in item && "data" in item;

export class Client {
  /**
   * @param {string} user   whose page this is
   * @param {string} name   this window's, so that each has questions of its own
   */
  constructor(address, user, name = "") {
    this.address = address;
    this.user = user;
    this.name = name;
    this.csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  }

  /** `signal` gives the request up; `priority` is what the browser may put it behind. */
  async call(path, { method = "GET", body, query, signal, priority } = {}) {
    const url = new URL(this.address + path, window.location.href);
    for (const [name, value] of Object.entries(query ?? {})) if (value != null) url.searchParams.append(name, value);
    const ask = () =>
      this.fetch(url, {
        method,
        headers: { Accept: "application/json", "X-CSRF-Token": this.csrf, ...(body && { "Content-Type": "application/json" }) },
        body: body && JSON.stringify(body),
        ...(signal && { signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]) }),
        ...(priority && { priority }),
      });
    let reply = await ask();
    if (reply.status === 403 && method !== "GET" && (await this.signedInAgain())) reply = await ask();
    const answer = await reply.json().catch(() => null);
    if (reply.ok) return answer;
    const said = answer?.error?.message;
    if (reply.status === 401) throw new ServerError("you are signed out: sign in in another tab", 401);
    throw new ServerError(said ?? `the server answered ${reply.status}`, reply.status);
  }

  async fetch(url, options) {
    try {
      return await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS), credentials: "same-origin", ...options });
    } catch {
      throw new ServerError("the server cannot be reached");
    }
  }

  /** Who signs in again has another token for changes: it comes with the page. Somebody else's is never used. */
  async signedInAgain() {
    const reply = await this.fetch(window.location.pathname, { headers: { Accept: "text/html" }, redirect: "manual", cache: "no-store" });
    if (!reply.ok) return false;
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const user = page.getElementById("label")?.dataset.user;
    if (user !== this.user) throw new ServerError(`${user} is signed in now: sign in as ${this.user} in another tab`, 403);
    const before = this.csrf;
    this.csrf = page.querySelector('meta[name="csrf-token"]').content;
    return this.csrf !== before;
  }

  campaign() {
    return this.call("");
  }

  card() {
    return this.call("/card");
  }

  /** The next questions, those in this window's hands first; they are kept for it for a while. */
  queue(count) {
    return this.call("/queue", { method: "POST", body: { count, window: this.name } });
  }

  async view(identifier, task) {
    const view = await this.call("/view", { query: { identifier, task, encoding: "base64" } });
    view.spectrum = decodeAll(view.spectrum);
    view.window = decodeAll(view.window);
    view.neighbours = view.neighbours.map((item) => decodeAll(item));
    return view;
  }

  opinion(identifier, task) {
    return this.call("/opinion", { query: { identifier, task } });
  }

  /** Another spectrum of the same object, as `view` lists it. */
  async spectrum(identifier, other, signal) {
    const query = { identifier, other: other.identifier, archive: other.archive, encoding: "base64" };
    return decodeAll(await this.call("/spectrum", { query, signal }));
  }

  /** What the panels have found about a spectrum; nobody else is asked for it now. */
  context(identifier, signal) {
    return this.call("/context", { query: { spectrum: identifier }, signal, priority: "low" });
  }

  /** A spectrum that a service has, in vacuum Å and the frame of the archive. */
  async overlay(identifier, overlay, signal) {
    return decodeAll(await this.call("/context/overlay", { query: { spectrum: identifier, overlay: overlay.id }, signal }));
  }

  /** Have a panel's service asked again; what comes of it is told by the stream at `liveAddress`. */
  retryContext(identifier, panel) {
    return this.call("/context/retry", { method: "POST", body: { spectrum: identifier, panel } });
  }

  liveAddress() {
    return new URL(`${this.address}/context/events`, window.location.href);
  }

  act(actions) {
    return this.call("/actions", { method: "POST", body: { actions, window: this.name } });
  }

  history(limit = 500) {
    return this.call("/history", { query: { limit } });
  }

  async grid(count) {
    const page = await this.call("/grid", { method: "POST", body: { count, window: this.name, encoding: "base64" } });
    page.items = page.items.map((item) => decodeAll(item));
    return page;
  }

  secondLooks() {
    return this.call("/second-looks");
  }

  disputes() {
    return this.call("/disputes");
  }

  /** Start the job that makes the next round; `finish` closes the open one though answers are missing. */
  nextRound(finish) {
    return this.call("/round", { method: "POST", body: { finish } });
  }
}
