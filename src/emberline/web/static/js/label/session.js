// One annotator's way through the questions: what is shown, what was answered, what is fetched beforehand.

import { unique } from "./tab.js";

// Questions whose spectra are here before they are wanted; a benchmark switches it off to see what it is worth.
const AHEAD = window.emberlineNoPrefetch ? 1 : 6;
const MOST = 200; // questions that the server gives at once

/** Whether a question that was handed out has no answer yet. */
const isOpen = (item) => Boolean(item.task) && !item.decision;

export class Session extends EventTarget {
  /**
   * @param {import("./client.js").Client} client
   * @param {import("./outbox.js").Outbox} outbox
   */
  constructor(client, outbox) {
    super();
    this.client = client;
    this.outbox = outbox;
    this.items = []; // in the order in which they were shown; each {identifier, task, decision, note}
    this.at = -1;
    this.done = []; // actions that can be undone, oldest first: {id, identifier, kind}
    this.ended = false;
    this.fetching = null;
    this.views = new Map();
  }

  /** What one has done: earlier decisions come from the server, then the actions that it does not have yet. */
  async load() {
    const { items, actions } = await this.client.history();
    this.items = items;
    this.done = actions;
    this.at = items.length - 1;
    await this.applyPending();
  }

  async applyPending() {
    for (const action of await this.outbox.pending()) {
      if (!this.done.some((known) => known.id === action.id)) this.apply(action);
    }
  }

  /** Take what holds now from the server: it knows what an action replaced that this page has not seen. */
  async refresh() {
    await this.outbox.idle();
    const { items, actions } = await this.client.history();
    const held = new Map(items.map((item) => [this.key(item), item]));
    const byName = new Map(items.map((item) => [item.identifier, item]));
    for (const item of this.items) {
      const found = held.get(this.key(item)) ?? (item.task ? null : byName.get(item.identifier));
      Object.assign(item, { decision: found?.decision ?? null, note: found?.note ?? {} });
    }
    this.done = actions;
    await this.applyPending();
    this.dispatchEvent(new CustomEvent("change"));
  }

  /** Begin at the spectrum of an address, as far as it may be seen, else where one was. */
  async begin(wanted, task) {
    await this.load();
    if (!wanted) return this.onward();
    const find = () => this.items.findLastIndex((item) => item.identifier === wanted && (!task || item.task === task));
    if (find() < 0) await this.fetch(AHEAD).catch(() => {}); // it may be in this window's hands
    if (find() >= 0) return this.go(find());
    const open = await this.view({ identifier: wanted, task: "" }).then(() => true, () => false);
    return open ? this.lookAt(wanted) : this.onward();
  }

  /** To the question without an answer that one has before oneself, or has left behind; else to new ones. */
  async onward() {
    if (this.current && isOpen(this.current)) return this.go(this.at);
    const place = this.items.findIndex(isOpen);
    if (place >= 0) return this.go(place);
    this.at = this.items.length - 1;
    return this.next();
  }

  get current() {
    return this.items[this.at] ?? null;
  }

  /** The spectra that are shown next, as far as they are known. */
  get ahead() {
    return this.items.slice(this.at + 1, this.at + 1 + AHEAD).map((item) => item.identifier);
  }

  /** A question is its spectrum and the token under which it was handed out: it may come again later. */
  key(item) {
    return item.task ? `${item.identifier}#${item.task}` : item.identifier;
  }

  view(item) {
    const key = this.key(item);
    if (!this.views.has(key)) {
      const promise = this.client.view(item.identifier, item.task);
      promise.catch(() => this.views.delete(key));
      this.views.set(key, promise);
      if (this.views.size > 60) this.views.delete(this.views.keys().next().value);
    }
    return this.views.get(key);
  }

  /** Have the next questions and their spectra here before they are asked for. */
  async prefetch() {
    const left = this.items.length - 1 - this.at;
    if (AHEAD > 1) this.items.slice(this.at + 1, this.at + 1 + AHEAD).forEach((item) => this.view(item).catch(() => {}));
    if (left >= AHEAD || this.ended) return;
    this.fetching ??= this.fetch(AHEAD).finally(() => {
      this.fetching = null;
    });
    await this.fetching;
  }

  async fetch(count) {
    // The server gives those in this window's hands first: who looks ahead without answering has many.
    const held = this.items.filter((item) => item.task && !item.decision);
    const { questions, ended } = await this.client.queue(Math.min(held.length + count, MOST));
    // A question that was skipped comes again under another token.
    const known = new Set(this.items.map((item) => this.key(item)));
    const fresh = questions.filter((question) => !known.has(this.key(question)) && !this.renew(question));
    this.items.push(...fresh.map((question) => ({ decision: null, note: {}, ...question })));
    this.ended = ended && !fresh.length;
    if (AHEAD > 1) fresh.forEach((item) => this.view(item).catch(() => {}));
    this.dispatchEvent(new CustomEvent("ahead"));
  }

  /** Whether a question waits here already, under a token whose time ran out while nobody worked. */
  renew({ identifier, task }) {
    const waiting = this.items.find((item) => item.identifier === identifier && isOpen(item));
    if (waiting) waiting.task = task;
    return Boolean(waiting);
  }

  async go(place) {
    this.at = Math.max(0, Math.min(place, this.items.length - 1));
    const item = this.current;
    if (!item) return;
    this.shownAt = performance.now();
    this.dispatchEvent(new CustomEvent("show", { detail: { item, view: this.view(item) } }));
    this.prefetch().catch((error) => this.dispatchEvent(new CustomEvent("trouble", { detail: error })));
  }

  /** The next spectrum, or the end of what there is to ask. Asked for twice while it is fetched, it comes once. */
  async next({ answered = false } = {}) {
    this.advancing ??= this.advance(answered).finally(() => {
      this.advancing = null;
    });
    return this.advancing;
  }

  /** One step on; after an answer never through answers alone, but to what has none. */
  async advance(answered) {
    const ahead = this.items.slice(this.at + 1);
    if (answered ? ahead.some(isOpen) : ahead.length) {
      await this.go(this.at + 1);
      return;
    }
    try {
      // The server must know what has been answered before it can say that nothing is left.
      await this.fetching?.catch(() => {});
      await this.outbox.idle();
      await this.fetch(AHEAD);
    } catch (error) {
      this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
      return;
    }
    const open = [...this.items.keys()].filter((place) => place !== this.at && isOpen(this.items[place]));
    if (open.length) await this.go(open.find((place) => place > this.at) ?? open[0]);
    else this.dispatchEvent(new CustomEvent("end"));
  }

  /** Show a spectrum that is not next: by its address, or from the card, to which the decision leads back. */
  async lookAt(identifier, { secondLook = false, fromCard = false } = {}) {
    let place = this.items.findIndex((item) => item.identifier === identifier);
    if (place < 0) {
      place = this.at + 1;
      this.items.splice(place, 0, { identifier, task: "", decision: null, note: {} });
    }
    Object.assign(this.items[place], { secondLook, fromCard });
    await this.go(place);
  }

  /** The present spectrum, asked for anew. */
  async again() {
    this.views.delete(this.key(this.current));
    await this.go(this.at);
  }

  async previous() {
    if (this.at > 0) await this.go(this.at - 1);
  }

  seconds() {
    return Math.round((performance.now() - this.shownAt) / 100) / 10;
  }

  /** Decide on the present spectrum and go on. What is decided is in the outbox before the next is painted. */
  async decide(kind, answer, shown) {
    const item = this.current;
    if (!item || this.deciding) return; // a second key before the next spectrum is seen means nothing
    const { identifier, task, fromCard } = item;
    this.deciding = true;
    try {
      if (!(await this.record({ kind, answer, identifier, task, seconds: this.seconds(), shown }))) return;
      item.fromCard = false;
      if (fromCard) this.dispatchEvent(new CustomEvent("looked"));
      else await this.next({ answered: true });
    } finally {
      this.deciding = false;
    }
  }

  /** Decide on several at once: one action, taken back as one. */
  async decideMany(answers, tasks) {
    return this.record({ kind: "many", answers, tasks, seconds: this.seconds(), shown: { grid: true } });
  }

  async note(note) {
    const item = this.current;
    if (item) await this.record({ kind: "note", identifier: item.identifier, task: item.task, note: { ...item.note, ...note } });
  }

  /** Keep an action; false when not even this browser could. */
  async record(action) {
    const whole = { id: unique(), ...action };
    const taken = this.apply(whole);
    this.dispatchEvent(new CustomEvent("change", { detail: whole }));
    try {
      await this.outbox.add(whole);
      return true;
    } catch (error) {
      if (taken) this.done.push(taken);
      else this.takeBack(whole.id);
      this.dispatchEvent(new CustomEvent("change"));
      this.dispatchEvent(new CustomEvent("trouble", { detail: new Error(`This could not be kept, and was not done: ${error.message}`) }));
      return false;
    }
  }

  /** What an action means for what is here; the server comes to the same by its own record. */
  apply(action) {
    if (action.kind === "undo") return this.takeBack(action.undoes);
    const before = [];
    const touch = (identifier, task, change) => {
      const item = this.items.findLast((each) => each.identifier === identifier && (!task || each.task === task));
      if (!item) return;
      before.push({ item, decision: item.decision, note: item.note });
      Object.assign(item, change(item));
    };
    if (action.kind === "note") touch(action.identifier, action.task, () => ({ note: action.note }));
    else if (action.kind === "many") {
      for (const [identifier, answer] of Object.entries(action.answers)) {
        touch(identifier, action.tasks?.[identifier], () => ({ decision: { kind: "label", answer } }));
      }
    } else if (action.kind !== "adjudication") {
      touch(action.identifier, action.task, () => ({ decision: { kind: action.kind, answer: action.answer ?? null } }));
    }
    this.done.push({ id: action.id, identifier: action.identifier ?? null, task: action.task, kind: action.kind, before });
    return null;
  }

  takeBack(id) {
    const place = this.done.findIndex((action) => action.id === id);
    if (place < 0) return null;
    const [action] = this.done.splice(place, 1);
    for (const { item, decision, note } of action.before ?? []) Object.assign(item, { decision, note });
    return action;
  }

  /** Take the last action back and show what it was about; returns the action, or null when there was none. */
  async undo() {
    if (!this.done.length) await this.refresh().catch(() => {}); // of a long history only the end was fetched
    const last = this.done[this.done.length - 1];
    if (!last || !(await this.record({ kind: "undo", undoes: last.id }))) return null;
    if (!last.before) await this.refresh().catch(() => {});
    const of = (item) => item.identifier === last.identifier && (!last.task || item.task === last.task);
    const place = this.items.findLastIndex(of);
    if (place >= 0 && last.kind !== "many") await this.go(place);
    return last;
  }
}
