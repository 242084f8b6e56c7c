// Many spectra at once: choose several thumbnails, give them one answer, see what will happen, confirm, undo.

import { byId, make, sparkline } from "./elements.js";

const COUNT = 48;

export class Grid {
  constructor(client, campaign, session) {
    this.client = client;
    this.campaign = campaign;
    this.session = session;
    this.box = byId("grid");
  }

  async open() {
    this.box.hidden = false;
    this.box.replaceChildren(make("p", { class: "soft" }, "Fetching spectra …"));
    await this.session.outbox.idle(); // what has just been answered is not asked for again
    const { items } = await this.client.grid(COUNT);
    if (!items.length) {
      this.box.replaceChildren(make("p", {}, "There is nothing left to ask in this round."));
      return;
    }
    this.tasks = Object.fromEntries(items.map((item) => [item.identifier, item.task]));
    const cells = items.map((item) => this.cell(item));
    this.status = make("span", { role: "status", class: "small" }, "None chosen");
    this.bar = make("div", { class: "gridbar" }, this.status, this.buttons());
    this.box.replaceChildren(this.bar, make("div", { class: "cells" }, cells));
    this.box.onchange = () => this.count();
    this.box.querySelector("input")?.focus();
  }

  close() {
    this.box.hidden = true;
    this.box.replaceChildren();
  }

  cell(item) {
    const box = make("input", { type: "checkbox", value: item.identifier, "aria-label": `Choose ${item.name}` });
    const line = make("span", { class: "line" }, box, make("span", { class: "name", title: item.identifier }, item.name));
    return make("label", { class: "cell" }, sparkline(item.values, `Spectrum of ${item.name}`, 180, 80), line);
  }

  buttons() {
    const all = make("button", { type: "button", onclick: () => this.all(true) }, "Choose all");
    const none = make("button", { type: "button", onclick: () => this.all(false) }, "Choose none");
    const answers = [...this.campaign.classes, "not sure", "bad"].map((answer) =>
      make("button", { type: "button", onclick: () => this.confirm(answer) }, answer === "bad" ? "bad data" : answer),
    );
    return make("span", { class: "gridbar" }, all, none, ...answers);
  }

  all(on) {
    for (const box of this.box.querySelectorAll(".cell input")) box.checked = on;
    this.count();
  }

  get chosen() {
    return [...this.box.querySelectorAll(".cell input:checked")].map((box) => box.value);
  }

  count() {
    this.status.textContent = this.chosen.length ? `${this.chosen.length} chosen` : "None chosen";
  }

  confirm(answer) {
    const { chosen } = this;
    if (!chosen.length) {
      this.status.textContent = "Choose one spectrum or more first";
      return;
    }
    const text = `Label ${chosen.length} ${chosen.length === 1 ? "spectrum" : "spectra"} as “${answer}”?`;
    const yes = make("button", { type: "button", class: "main", onclick: () => this.give(chosen, answer) }, `Label ${chosen.length}`);
    const no = make("button", { type: "button", onclick: () => this.again() }, "Back");
    this.bar.replaceChildren(make("strong", { role: "status" }, text), yes, no);
    yes.focus();
  }

  again() {
    this.status = make("span", { role: "status", class: "small" }, "");
    this.bar.replaceChildren(this.status, this.buttons());
    this.count();
  }

  async give(chosen, answer) {
    const each = (of) => Object.fromEntries(chosen.map((identifier) => [identifier, of(identifier)]));
    if (!(await this.session.decideMany(each(() => answer), each((identifier) => this.tasks[identifier])))) return;
    for (const box of this.box.querySelectorAll(".cell input")) {
      if (chosen.includes(box.value)) box.closest(".cell").remove();
    }
    this.again();
    this.status.textContent = `${chosen.length} labelled as “${answer}”; Undo takes them all back`;
    if (!this.box.querySelector(".cell")) await this.open();
  }
}
