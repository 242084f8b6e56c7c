// What the Virtual Observatory knows, beside every spectrum: fetched ahead, shown once the spectrum has been painted.

import { ContextLive } from "./context_live.js";
import { ContextPanel, warning } from "./context_panel.js";
import { Sky } from "./context_sky.js";
import { ContextStore } from "./context_store.js";
import { byId, make } from "./elements.js";

const SHOWN = "emberline.context";
const KNOWN = "emberline.context.panels"; // names and titles, so that the places are there before the answer is
const PATIENCE = 300000; // milliseconds for which a panel that is asked again is said to be
const PAUSE = 500; // milliseconds between two looks at what comes while a whole round is asked about
const OTHERS = { name: "others", title: "Other spectra" };

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KNOWN)) ?? [];
  } catch {
    return [];
  }
}

/** Call `act` when the browser has painted and has nothing better to do. */
export function afterPaint(act) {
  requestAnimationFrame(() => {
    if (window.requestIdleCallback) requestIdleCallback(act, { timeout: 200 });
    else setTimeout(act, 0);
  });
}

/** Whether the panel is the one that has other spectra: they have one place, whoever knows them. */
const isOthers = (panel) => panel.overlays?.length > 0 || ["spectra", "others"].includes(panel.name);

export class Context {
  /**
   * @param {import("./client.js").Client} client
   * @param {import("./overlays.js").Overlays} overlays
   * @param {{sky: string, focus: () => void}} options
   */
  constructor(client, overlays, { sky, focus }) {
    this.client = client;
    this.overlays = overlays;
    this.column = byId("context");
    this.box = byId("context-panels");
    this.line = byId("warnings");
    this.panels = new Map();
    this.asking = new Map(); // "spectrum panel" that is asked again → when it was asked before, and until when we wait
    this.identifier = null; // of the spectrum that is seen, once it has been painted
    this.position = null;
    this.sky = new Sky(sky, { left: focus, changed: () => this.render(this.identifier) });
    this.store = new ContextStore((identifier, signal) => client.context(identifier, signal));
    this.live = new ContextLive(client.liveAddress(), (news) => this.heard(news));
    this.store.addEventListener("document", ({ detail }) => detail.identifier === this.identifier && afterPaint(() => this.render(detail.identifier)));
    this.store.addEventListener("failed", ({ detail }) => detail.identifier === this.identifier && this.unreachable(detail));
    this.box.addEventListener("opened", () => this.render(this.identifier));
    this.column.addEventListener("click", (event) => event.detail && event.target.closest("button, a, input, label") && setTimeout(focus));
    this.fit(this.column.parentElement);
    this.arrange(remembered());
    this.show(localStorage.getItem(SHOWN) !== "off");
    this.leave();
  }

  /** The columns end where the window does, whatever stands above them, and the answers are seen whole. */
  fit(beside) {
    const answers = beside.querySelector(".answers");
    const measure = () => {
      const { top } = beside.parentElement.getBoundingClientRect();
      if (!beside.offsetParent) return;
      beside.style.setProperty("--above", `${Math.round(top + window.scrollY)}px`);
      beside.style.setProperty("--answers", `${answers.offsetHeight}px`);
    };
    const observer = new ResizeObserver(measure);
    for (const element of [answers, document.querySelector(".round"), byId("help")]) observer.observe(element);
  }

  get shown() {
    return !this.column.hidden;
  }

  /** Whether the oracle had what was found about the spectrum before the eyes: it is kept beside the answer. */
  get seen() {
    return this.shown && this.column.dataset.state === "shown" && this.store.documents.has(this.identifier);
  }

  show(on) {
    this.column.hidden = !on;
    this.column.parentElement.classList.toggle("without-context", !on);
    document.querySelector('[data-action="panels"]').setAttribute("aria-pressed", String(on));
    if (on && this.identifier) this.render(this.identifier);
  }

  toggle() {
    this.show(!this.shown);
    localStorage.setItem(SHOWN, this.shown ? "on" : "off");
  }

  /** Another spectrum is on its way: what is said of the one before must not stand beside it. */
  leave() {
    this.identifier = null;
    this.column.dataset.state = "leaving";
    this.line.dataset.state = "leaving";
  }

  /** A spectrum has been painted: show what is known of it, and fetch what is known of those that come next. */
  enter(identifier, position, ahead) {
    if (window.emberlineNoContext) return; // a benchmark looks what panels cost
    this.coming = identifier;
    afterPaint(() => {
      if (this.coming !== identifier) return;
      this.identifier = identifier;
      this.position = position;
      this.sky.clear();
      if (this.waiting(this.store.documents.get(identifier)) || this.store.failed.has(identifier)) this.store.renew(identifier);
      this.store.want([identifier, ...ahead]);
      this.render(identifier);
    });
  }

  /** More questions have come that will be shown next. */
  ahead(identifiers) {
    if (this.identifier) this.store.want([this.identifier, ...identifiers]);
  }

  waiting(document) {
    return document?.panels.some((panel) => panel.state === "waiting") ?? false;
  }

  /** What is stored of a spectrum; a panel that is being asked again waits, whatever it said before. */
  known(identifier) {
    const found = this.store.documents.get(identifier);
    const panels = found?.panels.map((panel) => {
      const key = `${identifier} ${panel.name}`;
      const asked = this.asking.get(key);
      if (asked?.before === panel.asked && performance.now() < asked.until) return { ...panel, state: "waiting", message: "Asking again …" };
      this.asking.delete(key);
      return panel;
    });
    return found && { ...found, panels };
  }

  render(identifier) {
    if (!identifier || identifier !== this.identifier) return;
    const found = this.known(identifier);
    this.live.want(this.waiting(found));
    if (found) {
      this.trouble(null);
      this.arrange(found.panels);
      const { scrollTop } = this.column;
      for (const panel of found.panels) if (!isOthers(panel)) this.fill(panel);
      this.column.scrollTop = scrollTop;
    } else for (const name of this.panels.keys()) if (name !== OTHERS.name) this.fill({ name, state: "waiting", message: "Reading …" });
    this.others(identifier, found);
    this.warn(found);
    this.column.dataset.state = "shown";
    this.column.dataset.spectrum = identifier;
  }

  fill(panel) {
    const mine = this.panels.get(panel.name);
    if (panel.image || panel.name === "sky") this.pictures ??= panel.name;
    if (panel.name === OTHERS.name) return mine.update(panel, [this.overlays.element]);
    if (panel.name !== this.pictures) return mine.update(panel);
    mine.element.classList.add("pictures");
    this.sky.show(panel.image, this.position, this.shown && mine.open);
    // Aladin Lite fetches the sky itself: that the cut-out could not be had is then no matter.
    return mine.update(this.sky.active ? { ...panel, state: "found", message: "" } : panel, [this.sky.element]);
  }

  others(identifier, found) {
    const sources = found?.panels.filter(isOthers) ?? [];
    const overlays = sources.flatMap((panel) => (panel.overlays ?? []).map((each) => ({ ...each, panel: panel.name })));
    const facts = this.overlays.found(identifier, overlays, sources.flatMap((panel) => panel.facts ?? []));
    const worst = ["failed", "waiting", "offline"].map((state) => sources.find((panel) => panel.state === state)).find(Boolean);
    const said = { ...OTHERS, state: found ? "found" : "waiting", ...sources[0], ...worst, facts, name: OTHERS.name, title: OTHERS.title };
    this.service = (worst ?? sources[0])?.name;
    if (said.state === "nothing" && !said.message) said.message = "Services know no other.";
    if (!found) said.message = "Asking what others have …";
    this.fill(said);
  }

  /** Have a place for each panel, in the order in which they come; those that are there already stay as they are. */
  arrange(list) {
    const each = list.map((panel) => (isOthers(panel) ? OTHERS : { name: String(panel.name), title: String(panel.title) }));
    const known = [...each.filter((panel, place) => each.indexOf(panel) === place), ...(each.includes(OTHERS) ? [] : [OTHERS])];
    const names = known.map((each) => each.name);
    if (names.join("\n") === [...this.panels.keys()].join("\n")) return;
    for (const [name, panel] of this.panels) if (!names.includes(name)) panel.element.remove();
    this.panels = new Map(known.map(({ name, title }) => [name, this.panels.get(name) ?? new ContextPanel(name, title, (each) => this.retry(each))]));
    for (const panel of this.panels.values()) this.box.append(panel.element);
    localStorage.setItem(KNOWN, JSON.stringify(known));
  }

  /** Beside the spectrum's title: what may spoil the label, or that nothing is known to. */
  warn(found) {
    const all = found?.panels.flatMap((panel) => panel.warnings ?? []) ?? [];
    const dangers = all.filter((each) => each.severity === "danger");
    const cautions = all.length - dangers.length;
    const judge = found?.panels.find((panel) => panel.name === "confusion");
    const open = !found || (judge ? judge.state === "waiting" : this.waiting(found));
    this.line.dataset.state = dangers.length ? "danger" : cautions ? "caution" : open ? "waiting" : "clear";
    const first = dangers[0] ?? all[0];
    const more = all.length - 1;
    const nothing = open ? "Not yet known whether other sources confuse this one" : this.unknown(judge ? { panels: [judge] } : found) ? "Not known whether other sources confuse this one" : "No warnings";
    const text = first ? [warning(first, "span"), more > 0 ? make("span", { class: "soft" }, `and ${more} more`) : null] : [make("span", { class: "soft" }, nothing)];
    this.line.title = all.map((each) => each.text).join("\n");
    const words = text.filter(Boolean);
    if (this.line.textContent !== words.map((each) => each.textContent).join("")) this.line.replaceChildren(...words);
  }

  /** Whether a panel that could have warned did not answer. */
  unknown(found) {
    return found.panels.some((panel) => ["failed", "offline"].includes(panel.state));
  }

  async retry(place) {
    const { identifier } = this;
    const name = place === OTHERS.name ? this.service : place;
    const key = `${identifier} ${name}`;
    const before = this.store.documents.get(identifier)?.panels.find((panel) => panel.name === name)?.asked;
    this.asking.set(key, { before, until: performance.now() + PATIENCE });
    this.render(identifier);
    try {
      await this.client.retryContext(identifier, name);
    } catch (error) {
      this.asking.delete(key);
      if (this.identifier === identifier) this.fill({ name: place, state: "failed", service: "The server", message: error.message });
    }
  }

  heard({ spectrum, panel }) {
    if (spectrum && panel) this.asking.delete(`${spectrum} ${panel}`);
    if (spectrum && spectrum !== this.identifier) {
      if (this.store.documents.has(spectrum)) this.store.stale.add(spectrum);
    } else {
      this.looking ??= setTimeout(() => {
        this.looking = null;
        if (this.identifier) this.store.touch(this.identifier);
      }, this.pause());
    }
  }

  /** The first news is looked at once, and what follows now and then. */
  pause() {
    const wait = Math.max(0, PAUSE - (performance.now() - (this.looked ?? -PAUSE)));
    this.looked = performance.now() + wait;
    return wait;
  }

  unreachable({ identifier, error }) {
    const again = () => {
      this.trouble(null);
      this.store.renew(identifier);
    };
    this.trouble(error, again);
    this.warn({ panels: [{ state: "failed" }] });
  }

  trouble(error, again) {
    const box = byId("context-trouble");
    box.hidden = !error;
    box.replaceChildren(...(error ? [`What is known could not be read: ${error.message}. `, make("button", { type: "button", onclick: again }, "Try again")] : []));
  }
}
