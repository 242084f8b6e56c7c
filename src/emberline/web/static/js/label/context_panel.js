// One panel beside the spectrum: a heading that collapses it, and a body whose height stays whatever comes.

import { make } from "./elements.js";

const REMEMBERED = "emberline.panel.";
const STATES = {
  nothing: "nothing found",
  failed: "failed",
  offline: "offline",
  waiting: "waiting …",
};

/** A link for what a service has named: to the web or to nothing, and without telling it where one comes from. */
export function outside(text, href, properties = {}) {
  let address = null;
  try {
    address = new URL(href);
  } catch {
    return make("span", properties, text);
  }
  if (!["http:", "https:"].includes(address.protocol)) return make("span", properties, text);
  return make("a", { ...properties, href: address.href, target: "_blank", rel: "noopener noreferrer" }, text);
}

const ICONS = { danger: "⚠", caution: "△" };

/** A warning in words and with a mark of its own shape: never by colour alone. */
export function warning({ severity, text }, name = "li") {
  const danger = severity === "danger";
  const mark = make("span", { class: "mark", "aria-hidden": "true" }, ICONS[danger ? "danger" : "caution"]);
  return make(name, { class: `warning ${danger ? "danger" : "caution"}` }, mark, make("strong", {}, danger ? "Danger: " : "Caution: "), String(text));
}

function moment(asked) {
  const date = new Date(asked);
  if (!asked || Number.isNaN(date.getTime())) return null;
  const iso = date.toISOString();
  return make("time", { dateTime: iso, title: `${iso.slice(0, 19).replace("T", " ")} UTC` }, iso.slice(0, 10));
}

function fact({ label, value, unit, link, title }) {
  const text = value == null || value === "" ? "–" : String(value);
  const shown = link ? outside(text, link) : text;
  return [make("dt", { title: title || null }, String(label ?? "")), make("dd", {}, shown, unit ? make("span", { class: "unit" }, `${/^[″′°]/.test(unit) ? "" : " "}${unit}`) : null)];
}

export class ContextPanel {
  /**
   * @param {string} name
   * @param {string} title
   * @param {(name: string) => void} retry   asks the panel's service again
   */
  constructor(name, title, retry) {
    this.name = name;
    this.retry = retry;
    this.kind = "";
    const id = `context-${name.replace(/\W/g, "-")}`;
    this.word = make("span", { class: "state small" });
    this.more = make("button", { type: "button", class: "plain more", hidden: true, onclick: () => this.enlarge(!this.large) }, "All");
    this.toggle = make("button", { type: "button", class: "plain toggle", "aria-controls": id, onclick: () => this.collapse(this.open) }, title);
    this.body = make("div", { class: "body", id, tabIndex: -1 });
    this.element = make("section", { class: "context-panel", data: { panel: name, state: "waiting" } }, make("h3", {}, this.toggle, this.word, this.more), this.body);
    this.collapse(this.remembered() === "closed", false);
    this.enlarge(this.remembered() === "large", false);
  }

  remembered() {
    return localStorage.getItem(REMEMBERED + this.name);
  }

  remember() {
    localStorage.setItem(REMEMBERED + this.name, !this.open ? "closed" : this.large ? "large" : "open");
  }

  get open() {
    return !this.body.hidden;
  }

  get large() {
    return this.element.classList.contains("large");
  }

  collapse(closed, byHand = true) {
    this.body.hidden = closed;
    this.toggle.setAttribute("aria-expanded", String(!closed));
    if (byHand) this.remember();
    if (byHand) this.element.dispatchEvent(new CustomEvent("opened", { bubbles: true }));
    this.measure();
  }

  enlarge(large, byHand = true) {
    this.element.classList.toggle("large", large);
    this.more.textContent = large ? "Less" : "All";
    this.more.setAttribute("aria-label", `${large ? "Less" : "All"} of ${this.toggle.textContent}`);
    if (byHand) this.remember();
    this.measure();
  }

  /** Offer "All" where the body has more than it shows; it can be scrolled by keys, too, then. */
  measure() {
    requestAnimationFrame(() => {
      const cut = this.open && this.body.scrollHeight > this.body.clientHeight + 2;
      this.more.hidden = !this.open || !(cut || this.large);
      this.body.tabIndex = cut ? 0 : -1;
    });
  }

  /** What the panel says about the spectrum that is seen; `extra` are elements of whoever shows pictures or spectra. */
  update(panel, extra = []) {
    const mine = this.body.contains(document.activeElement);
    if (panel.title) this.toggle.textContent = panel.title;
    this.element.dataset.state = panel.state;
    this.word.textContent = STATES[panel.state] ?? "";
    const facts = (panel.facts ?? []).flatMap(fact);
    const links = (panel.links ?? []).map((link) => make("li", {}, outside(String(link.text), link.href)));
    const warnings = (panel.warnings ?? []).map((each) => warning(each));
    this.fill(
      warnings.length ? make("ul", { class: "warnings" }, warnings) : null,
      this.condition(panel),
      ...extra,
      facts.length ? make("dl", { class: "facts" }, facts) : null,
      links.length ? make("ul", { class: "links" }, links) : null,
      this.source(panel),
    );
    if (mine && !this.body.contains(document.activeElement)) this.toggle.focus({ preventScroll: true }); // not lost
    this.measure();
  }

  /** Put these into the body, leaving in place what is there already: a picture that moves would load anew. */
  fill(...children) {
    const wanted = children.filter(Boolean);
    for (const child of [...this.body.children]) if (!wanted.includes(child)) child.remove();
    wanted.forEach((child, place) => {
      if (this.body.children[place] !== child) this.body.insertBefore(child, this.body.children[place] ?? null);
    });
    this.body.scrollTop = 0;
  }

  condition({ state, message, service }) {
    const said = message ? String(message) : "";
    if (state === "failed") {
      const again = make("button", { type: "button", onclick: () => this.retry(this.name) }, "Try again");
      return make("div", { class: "failure" }, make("p", {}, make("strong", {}, service || this.toggle.textContent), said ? `: ${said}` : " did not answer."), again);
    }
    const words = {
      waiting: said || "Has not been asked yet; it fills in by itself.",
      offline: said || "Not asked: Emberline is set to be offline.",
      nothing: said || "Nothing is known here.",
    }[state];
    return words || said ? make("p", { class: "soft small" }, words ?? said) : null;
  }

  source({ service, asked, state }) {
    const when = moment(asked);
    const who = state === "failed" ? null : service; // it is named above
    if (!who && !when) return null;
    return make("p", { class: "source" }, who ? `${who}${when ? ", " : ""}` : null, when);
  }
}
