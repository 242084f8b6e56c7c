// The help: every key, changed by pressing a new one, or all switched off.

import { byId, make } from "./elements.js";
import { DEFAULTS, capture, keyName } from "./keys.js";

const WORDS = {
  "not-sure": "Not sure", bad: "Bad data", skip: "Skip", undo: "Undo", next: "Next", previous: "Previous",
  accept: "Accept the suggestion", reveal: "Reveal the model's opinion", flag: "Flag as noteworthy", comment: "Comment",
  "smooth-more": "More smoothing", "smooth-less": "Less smoothing", lines: "Next list of lines",
  "line-previous": "Previous line", "line-next": "Next line", "pan-left": "Pan left", "pan-right": "Pan right",
  "zoom-in": "Zoom in", "zoom-out": "Zoom out", reset: "Reset the view", overlays: "Other spectra over this one", grid: "Grid", help: "Help", panels: "Panels: what is known of the object",
};

export class Help {
  constructor(keys, campaign) {
    this.keys = keys;
    this.campaign = campaign;
    this.box = byId("help");
  }

  get open() {
    return !this.box.hidden;
  }

  toggle() {
    this.box.hidden = !this.box.hidden;
    document.querySelector('[data-action="help"]').setAttribute("aria-expanded", String(this.open));
    if (this.open) {
      this.draw();
      this.box.querySelector("input, button").focus();
    }
  }

  label(action) {
    const place = /^class-(\d)$/.exec(action);
    if (!place) return WORDS[action];
    return this.campaign.classes[Number(place[1]) - 1];
  }

  draw() {
    const rows = Object.keys(DEFAULTS).filter((action) => this.label(action)).map((action) => this.row(action));
    const on = make("input", { type: "checkbox", checked: this.keys.on, onchange: (event) => this.keys.turn(event.target.checked) });
    const reset = make("button", { type: "button", onclick: () => this.reset() }, "All keys as they were");
    this.box.replaceChildren(
      make("h2", {}, "Keys"),
      make("p", { class: "small" }, "Every key is also a button. Choose a key here and press another to change it; Escape leaves it, Delete takes it away. Keys never act while you type."),
      make("p", {}, make("label", {}, on, " Keys are on "), reset),
      make("div", { class: "keys", role: "list" }, rows),
      make("h2", {}, "Mouse"),
      make("p", { class: "small" }, "Drag over a plot to zoom in, double-click to see all; turn the wheel to zoom, with Shift to pan; drag the mark of a line to set the redshift."),
    );
  }

  row(action) {
    const name = this.label(action);
    const button = make("button", { type: "button", "aria-label": `${name}: ${keyName(this.keys.map[action])}; press to change` }, keyName(this.keys.map[action]));
    button.addEventListener("click", () => this.change(action, button));
    return make("div", { class: "keyrow", role: "listitem" }, make("span", {}, name), button);
  }

  change(action, button) {
    button.textContent = "press a key …";
    const take = (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      const key = capture(event);
      if (key === null && event.key !== "Escape") return;
      document.removeEventListener("keydown", take, true);
      if (event.key !== "Escape") this.keys.assign(action, event.key === "Delete" ? "" : key);
      this.draw();
      this.named();
      [...this.box.querySelectorAll(".keyrow button")].find((each) => each.getAttribute("aria-label").startsWith(this.label(action)))?.focus();
    };
    document.addEventListener("keydown", take, true);
  }

  reset() {
    this.keys.reset();
    this.draw();
    this.named();
  }

  /** Write the keys' names wherever the page shows them. */
  named() {
    for (const element of document.querySelectorAll("kbd[data-key]")) {
      const { key } = element.dataset;
      element.textContent = this.keys.on && this.keys.map[key] ? this.keys.name(key) : "";
    }
  }
}
