// Other spectra of the object, wherever they come from: one list, and those that are laid over the plot.

import { byId, make } from "./elements.js";

const AT_ONCE = 3; // how many the key lays over the plot
const SLOTS = 5; // colours and dashes that can be told apart

const median = (values) => {
  const sorted = values.filter((value) => Number.isFinite(value) && value !== 0).sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : NaN;
};

/** The flux of a spectrum between two wavelengths. */
function between({ wavelength, flux, mask }, low, high) {
  return Array.from(flux).filter((_, i) => wavelength[i] >= low && wavelength[i] <= high && !mask?.[i]);
}

/** The factor that brings another spectrum to the level of this one: of their medians, where both have been observed. */
export function levelFactor(other, own) {
  const last = (values) => values[values.length - 1];
  const low = Math.max(other.wavelength[0], own.wavelength[0]);
  const high = Math.min(last(other.wavelength), last(own.wavelength));
  const common = low < high;
  const level = (spectrum) => median(common ? between(spectrum, low, high) : Array.from(spectrum.flux));
  const factor = level(own) / level(other);
  return Number.isFinite(factor) && factor > 0 ? factor : 1;
}

function scaled(other, own) {
  const factor = levelFactor(other, own);
  return { ...other, factor, flux: Float64Array.from(other.flux, (value) => (value == null ? NaN : value * factor)) };
}

export class Overlays extends EventTarget {
  /**
   * Tells of `change` when what is laid over the plot has changed.
   *
   * @param {import("./plot.js").SpectrumPlot} plot
   * @param {import("./client.js").Client} client
   * @param {() => void} again   asks anew for archives that failed
   */
  constructor(plot, client, again) {
    super();
    this.plot = plot;
    this.client = client;
    this.again = again;
    this.element = make("div", { id: "others" });
    this.legend = byId("overlay-legend");
    this.clear();
  }

  get on() {
    return this.entries.some((entry) => entry.chosen);
  }

  /** Another spectrum is on its way: nothing that was laid over the one before stays. */
  clear() {
    this.control?.abort();
    this.control = new AbortController();
    const drawn = this.entries?.some((entry) => entry.spectrum);
    this.view = null;
    this.entries = [];
    if (drawn) this.draw();
  }

  /** The spectra that the campaign's own archives have of the object. */
  show(view) {
    this.view = view;
    const kept = new Map(this.entries.map((entry) => [entry.key, entry]));
    const own = view.others.map((other) => this.own(view, other));
    this.entries = [...own, ...this.entries.filter((entry) => !entry.identifier)].map((entry) => kept.get(entry.key) ?? entry);
    this.list();
  }

  own(view, other) {
    const facts = [other.survey, other.date, other.snr == null ? null : `S/N ${Math.round(other.snr)}`, other.answer ? `labelled ${other.answer}` : null];
    return {
      key: `archive:${other.archive}:${other.identifier}`,
      identifier: other.identifier,
      title: other.identifier,
      detail: facts.filter(Boolean).join(", "),
      load: (signal) => this.client.spectrum(view.identifier, other, signal),
    };
  }

  /**
   * The spectra that a panel has found; an answer that comes later leaves alone what is laid over the plot. Those of
   * the campaign's own archives are in the list already: the panel's is taken for them, it is in the common frame.
   *
   * @returns {object[]} the facts that say more than the list
   */
  found(identifier, overlays, facts = []) {
    const left = [...facts];
    const kept = new Map(this.entries.map((entry) => [entry.key, entry]));
    const fresh = overlays.map((overlay) => {
      const title = String(overlay.title || overlay.id);
      const place = left.findIndex((fact) => fact.label && title.startsWith(fact.label));
      const [said] = place < 0 ? [] : left.splice(place, 1);
      const own = said?.title && this.entries.find((entry) => entry.identifier === said.title && !entry.spectrum && !entry.chosen);
      const load = (signal) => this.client.overlay(identifier, overlay, signal);
      if (own) Object.assign(own, { load });
      if (own || this.entries.some((entry) => said?.title && entry.identifier === said.title)) return null;
      return { key: `vo:${overlay.panel}:${overlay.id}`, title, detail: said ? `${said.value ?? ""} ${said.unit ?? ""}` : "", load };
    });
    this.entries = [...this.entries.filter((entry) => entry.identifier), ...fresh.filter(Boolean)].map((entry) => kept.get(entry.key) ?? entry);
    this.list();
    return left;
  }

  /** The key: the first few over the plot, or all of them away. */
  toggle() {
    const wanted = this.on ? [] : this.entries.slice(0, AT_ONCE);
    for (const entry of this.entries) this.choose(entry, wanted.includes(entry));
    if (!this.entries.length && this.view) this.say("There is no other spectrum of this object");
    return this.on;
  }

  async choose(entry, chosen) {
    if (Boolean(entry.chosen) === chosen) return;
    const { control, view } = this;
    entry.chosen = chosen;
    entry.error = null;
    this.list();
    this.dispatchEvent(new CustomEvent("change"));
    if (chosen && !entry.spectrum) {
      try {
        const spectrum = scaled(await entry.load(control.signal), view.spectrum);
        if (this.control !== control) return;
        entry.spectrum = spectrum;
      } catch (error) {
        if (this.control !== control) return;
        Object.assign(entry, { chosen: false, error });
        this.say(`${entry.title} could not be fetched`);
      }
      this.list();
      this.dispatchEvent(new CustomEvent("change"));
    }
    this.draw();
  }

  slot(entry) {
    return this.entries.indexOf(entry) % SLOTS;
  }

  draw() {
    const drawn = this.entries.filter((entry) => entry.chosen && entry.spectrum);
    this.plot.set({ overlays: drawn.map((entry) => ({ ...entry.spectrum, slot: this.slot(entry) })) });
    this.plot.element.dataset.overlays = drawn.length;
    this.legend.hidden = !drawn.length;
    this.legend.replaceChildren(...drawn.map((entry) => make("li", {}, swatch(this.slot(entry)), make("span", { class: "what" }, short(entry)), make("span", { class: "soft" }, words(entry.spectrum, this.view?.metadata.velocity_frame)))));
  }

  say(text) {
    byId("spoken").textContent = text;
  }

  list() {
    const focused = this.element.contains(document.activeElement) ? document.activeElement.value : null;
    const items = this.entries.map((entry) => this.item(entry));
    const again = () => make("button", { type: "button", onclick: this.again }, "Ask again");
    const failed = (this.view?.failures ?? []).map((each) => make("p", { class: "failure" }, make("strong", {}, each.archive), ` could not be asked: ${each.message} `, again()));
    this.element.replaceChildren(items.length ? make("ul", {}, items) : make("p", { class: "soft small" }, "None in these archives."), ...failed);
    if (focused != null) [...this.element.querySelectorAll("input")].find((input) => input.value === focused)?.focus({ preventScroll: true });
  }

  item(entry) {
    const box = make("input", { type: "checkbox", value: entry.key, checked: Boolean(entry.chosen), onchange: (event) => this.choose(entry, event.target.checked) });
    const waiting = entry.chosen && !entry.spectrum ? " fetching …" : "";
    const error = entry.error ? make("span", { class: "failure" }, ` ${entry.error.message}`) : null;
    return make("li", {}, make("label", {}, box, swatch(this.slot(entry)), make("span", {}, make("span", { class: "what" }, entry.title), make("span", { class: "soft" }, ` ${entry.detail}${waiting}`), error)));
  }
}

/** The title without the note, which stands beside it. */
function short({ title, spectrum: { note } }) {
  return note && title.endsWith(` (${note})`) ? title.slice(0, -note.length - 3) : title;
}

/** How much it was scaled, and what is not known of its frame. */
function words({ factor, frame, note }, own) {
  const sun = ["barycentric", "heliocentric"]; // they differ by 0.013 km/s at most
  const common = frame === own || (sun.includes(frame) && sun.includes(own));
  const strange = frame === "unknown" ? "frame not known" : `${frame} frame`;
  return [`× ${factor.toPrecision(3)}`, note || (common ? "" : strange)].filter(Boolean).join(", ");
}

const SVG = "http://www.w3.org/2000/svg";

/** The line by which a spectrum is told on the plot: its colour and its dashes. */
function swatch(slot) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `plot-colour overlay-${slot + 1} dash`);
  svg.setAttribute("viewBox", "0 0 28 8");
  svg.setAttribute("aria-hidden", "true");
  const line = svg.appendChild(document.createElementNS(SVG, "path"));
  line.setAttribute("d", "M0 4H28");
  return svg;
}
