// SAMP 1.3 (IVOA), Web profile: a page as a client of the hub on the reader's machine.

const HUBS = ["http://localhost:21012/", "http://127.0.0.1:21012/"];
const POLL_S = 10; // how long the hub may keep a poll before it says that there is nothing
const SHORT_MS = 15000;
const CONSENT_MS = 180000; // somebody has to be asked
const PAUSE_MS = 1000;

/** What a hub or another program has refused; the message can be shown. */
export class SampError extends Error {}

// XML-RPC: SAMP knows strings, lists and maps -------------------------------------------------------------------------

function element(name, ...children) {
  const made = document.implementation.createDocument(null, name).documentElement;
  for (const child of children) made.append(child.nodeType ? made.ownerDocument.importNode(child, true) : child);
  return made;
}

/** A string, list or map as `<value>`. */
export function encode(value) {
  if (Array.isArray(value)) return element("value", element("array", element("data", ...value.map(encode))));
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).map(([name, item]) => element("member", element("name", name), encode(item)));
    return element("value", element("struct", ...members));
  }
  return element("value", element("string", String(value ?? "")));
}

export function request(method, parameters) {
  const listed = parameters.map((value) => element("param", encode(value)));
  const root = element("methodCall", element("methodName", method), element("params", ...listed));
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(root)}`;
}

const child = (node, name) => [...node.children].find((item) => item.tagName === name);

/** What a `<value>` holds. Numbers and truths, which SAMP does not know, are given as text. */
export function decode(value) {
  const inside = value.firstElementChild;
  if (!inside) return value.textContent;
  if (inside.tagName === "array") return [...(child(inside, "data")?.children ?? [])].map(decode);
  if (inside.tagName === "struct") {
    const pairs = [...inside.children].map((member) => [child(member, "name").textContent, decode(child(member, "value"))]);
    return Object.assign(Object.create(null), Object.fromEntries(pairs));
  }
  return inside.textContent;
}

/** The result in an answer; a fault is thrown. */
export function result(text) {
  const root = new DOMParser().parseFromString(text, "text/xml").documentElement;
  const fault = child(root, "fault");
  if (fault) throw new SampError(readable(decode(child(fault, "value")).faultString));
  const value = root.tagName === "methodResponse" && child(root, "params")?.querySelector("param > value");
  if (!value) throw new SampError("the SAMP hub's answer cannot be understood");
  return decode(value);
}

/** Without the name of a class that hubs put before what they say. */
function readable(text) {
  return (text ?? "").replace(/^(<class '[^']*'>|[\w.]+(Error|Exception)): ?/, "").slice(0, 300) || "the SAMP hub has refused";
}

// The client ----------------------------------------------------------------------------------------------------------

const matches = (pattern, mtype) => pattern === mtype || pattern === "*" || (pattern.endsWith(".*") && mtype.startsWith(pattern.slice(0, -1)));

/**
 * A page at the hub. Tells of `peers` when programs come, go or change, and of `gone` when the hub has ended or has
 * thrown the page out.
 */
export class SampClient extends EventTarget {
  /** @param {Object<string, string>} metadata   such as `samp.name` and `samp.description.text` */
  constructor(metadata, hubs = HUBS) {
    super();
    this.metadata = metadata;
    this.hubs = hubs;
    this.handlers = new Map();
    this.key = null;
    this.hub = null;
    this.ending = new AbortController();
  }

  get connected() {
    return this.key !== null;
  }

  /** Register; the hub asks the user first. */
  async connect() {
    this.ending = new AbortController();
    const registered = await this.register();
    this.key = registered["samp.private-key"];
    this.self = registered["samp.self-id"];
    this.hubId = registered["samp.hub-id"];
    this.translator = registered["samp.url-translator"] ?? "";
    if (!this.key) throw new SampError("the SAMP hub has given no key");
    try {
      await this.call("declareMetadata", this.metadata);
      await this.call("allowReverseCallbacks", "1");
      const events = ["samp.hub.event.*", "samp.hub.disconnect", "samp.app.ping"];
      await this.call("declareSubscriptions", Object.fromEntries([...events, ...this.handlers.keys()].map((name) => [name, {}])));
    } catch (error) {
      this.disconnect();
      throw error;
    }
    this.listen(this.ending.signal);
  }

  async register() {
    const identity = { "samp.name": this.metadata["samp.name"] };
    let unreachable;
    for (const hub of this.hubs) {
      try {
        const answer = await this.post(hub, "register", [identity], CONSENT_MS);
        this.hub = hub;
        return answer;
      } catch (error) {
        if (error instanceof SampError) throw error;
        if (error.name === "TimeoutError") throw new SampError("the SAMP hub was not told whether this page may come in");
        unreachable = error;
      }
    }
    console.info("no SAMP hub:", unreachable.message);
    throw new SampError("no SAMP hub answers on this machine: start TOPCAT, Aladin, or “emberline samp hub --pages”");
  }

  /** Leave the hub; also when the page is left. */
  disconnect() {
    if (!this.connected) return;
    const body = request("samp.webhub.unregister", [this.key]);
    // As plain text no question goes before it, so it is sent even while the page ends.
    fetch(this.hub, { method: "POST", body, headers: { "Content-Type": "text/plain" }, keepalive: true }).catch(() => {});
    this.end();
  }

  end() {
    if (!this.connected) return;
    this.key = null;
    this.ending.abort();
    this.dispatchEvent(new CustomEvent("gone"));
  }

  async post(hub, method, parameters, limit = SHORT_MS) {
    const signal = AbortSignal.any([this.ending.signal, AbortSignal.timeout(limit)]);
    const body = request(`samp.webhub.${method}`, parameters);
    const reply = await fetch(hub, { method: "POST", body, signal, headers: { "Content-Type": "text/xml" }, credentials: "omit" });
    if (!reply.ok) throw new SampError(`the SAMP hub answered ${reply.status}`);
    return result(await reply.text());
  }

  async call(method, ...parameters) {
    return this.callWithin(SHORT_MS, method, ...parameters);
  }

  async callWithin(limit, method, ...parameters) {
    if (!this.connected) throw new SampError("this page is not at a SAMP hub");
    try {
      return await this.post(this.hub, method, [this.key, ...parameters], limit);
    } catch (error) {
      if (error instanceof SampError) throw error;
      if (error.name === "TimeoutError") throw new SampError("no answer in time");
      throw new SampError("the SAMP hub cannot be reached");
    }
  }

  // Who is there ------------------------------------------------------------------------------------------------------

  /** The other programs, the hub apart: `{id, name, subscriptions, accepts(mtype)}`, by name. */
  async peers() {
    const ids = (await this.call("getRegisteredClients")).filter((id) => id !== this.hubId && id !== this.self);
    const found = await Promise.all(ids.map((id) => this.peer(id).catch(() => null)));
    return found.filter(Boolean).sort((a, b) => a.name.localeCompare(b.name));
  }

  async peer(id) {
    const [about, taken] = await Promise.all([this.call("getMetadata", id), this.call("getSubscriptions", id)]);
    const subscriptions = Object.keys(taken);
    const accepts = (mtype) => subscriptions.some((pattern) => matches(pattern, mtype));
    return { id, name: about["samp.name"] || id, subscriptions, accepts };
  }

  /**
   * Send to one program, and wait until it has taken it.
   *
   * @param {object} peer       one of `peers`
   * @param {Array} messages    `[mtype, parameters]` pairs: the first that it takes is sent
   * @returns {Promise<string>} the type that was sent
   */
  async send(peer, messages, seconds = 60) {
    const chosen = messages.find(([mtype]) => peer.accepts(mtype));
    if (!chosen) throw new SampError(`${peer.name} takes no ${messages.map(([mtype]) => mtype).join(" and no ")}`);
    const message = { "samp.mtype": chosen[0], "samp.params": chosen[1] };
    const answer = await this.callWithin((seconds + 10) * 1000, "callAndWait", peer.id, message, String(seconds));
    if (answer["samp.status"] === "samp.error") {
      throw new SampError(`${peer.name}: ${answer["samp.error"]?.["samp.errortxt"]?.slice(0, 300) || "it could not be used"}`);
    }
    return chosen[0];
  }

  /** The address under which a page may read what another program has named, through the hub. */
  translated(url) {
    return this.translator ? this.translator + encodeURIComponent(url) : url;
  }

  // What comes --------------------------------------------------------------------------------------------------------

  /** Take messages of a type, before `connect`. `handler(parameters, senderId)` may throw: the sender hears of it. */
  on(mtype, handler) {
    this.handlers.set(mtype, handler);
  }

  async listen(ending) {
    while (!ending.aborted) {
      try {
        const begun = performance.now();
        const callbacks = await this.callWithin((POLL_S + 20) * 1000, "pullCallbacks", String(POLL_S));
        for (const callback of callbacks) this.take(callback["samp.methodName"] ?? "", callback["samp.params"] ?? []);
        // Some hubs answer at once, whatever one asks for.
        if (!callbacks.length && performance.now() - begun < PAUSE_MS) await pause(PAUSE_MS, ending);
      } catch {
        if (!ending.aborted && !(await this.alive())) this.end();
      }
    }
  }

  async alive() {
    for (let tries = 0; tries < 3; tries += 1) {
      try {
        await this.call("getRegisteredClients");
        return true;
      } catch {
        await pause(PAUSE_MS, this.ending.signal);
      }
    }
    return false;
  }

  take(method, parameters) {
    const kind = method.split(".").pop();
    if (kind === "receiveNotification") this.deal(parameters[0], null, parameters[1]);
    else if (kind === "receiveCall") this.deal(parameters[0], parameters[1], parameters[2]);
  }

  async deal(sender, tag, message) {
    const mtype = message["samp.mtype"] ?? "";
    const parameters = message["samp.params"] ?? {};
    let error = "";
    if (mtype === "samp.hub.event.shutdown" || mtype === "samp.hub.disconnect") this.end();
    else if (mtype.startsWith("samp.hub.event.")) this.dispatchEvent(new CustomEvent("peers"));
    else {
      try {
        await this.handlers.get(mtype)?.(parameters, sender);
      } catch (problem) {
        error = problem.message || "it could not be used";
      }
    }
    if (tag === null || !this.connected) return;
    const answer = { "samp.status": error ? "samp.error" : "samp.ok", "samp.result": {} };
    if (error) answer["samp.error"] = { "samp.errortxt": error };
    await this.call("reply", tag, answer).catch(() => {});
  }
}

function pause(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
  });
}
