// Beside the spectrum: the answers, quality, flags and comment, the model's opinion, neighbours, facts.

import { byId, classColour, make, percent, sparkline } from "./elements.js";

const WORDS = { "not sure": "Not sure", bad: "Bad data" };

export class Sidebar {
  constructor(campaign, keys, actions) {
    this.campaign = campaign;
    this.keys = keys;
    this.actions = actions;
    this.revealed = false;
    this.suggestion = null;
    this.drawAnswers();
    this.drawFlags();
    this.drawGuidelines();
    for (const input of document.querySelectorAll('input[name="quality"]')) {
      input.addEventListener("change", () => actions.note({ quality: input.value ? Number(input.value) : null }));
    }
    const comment = byId("comment");
    comment.addEventListener("change", () => this.keepComment());
    comment.addEventListener("keydown", (event) => {
      if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) {
        event.preventDefault();
        comment.blur();
        byId("object-name").focus();
      }
    });
  }

  drawAnswers() {
    byId("classes").replaceChildren(
      ...this.campaign.classes.map((name, i) => {
        const mark = make("span", { class: "mark", "aria-hidden": "true" });
        mark.style.setProperty("--c", classColour(i));
        const label = make("span", { class: "name" }, name);
        const key = make("kbd", { data: { key: `class-${i + 1}` } }, this.keys.name(`class-${i + 1}`));
        return make("button", { type: "button", data: { action: `class-${i + 1}`, answer: name } }, mark, label, key);
      }),
    );
  }

  drawFlags() {
    byId("flags").replaceChildren(
      ...this.campaign.flags.map((name) =>
        make("label", {}, make("input", { type: "checkbox", value: name, onchange: () => this.keepFlags() }), ` ${name}`),
      ),
    );
  }

  drawGuidelines() {
    const box = byId("guidelines");
    const { html, classes } = this.campaign.guidelines;
    const parts = [];
    if (html) {
      const prose = make("div", { class: "prose small" });
      prose.innerHTML = html; // made by the server from Markdown, with markup in the text switched off
      parts.push(prose);
    }
    for (const entry of classes) {
      parts.push(make("h3", {}, entry.name), entry.text ? make("p", { class: "small" }, entry.text) : null);
      if (!entry.examples.length) continue;
      const thumbs = entry.examples.map((example) => this.thumb(example, entry.name));
      parts.push(make("div", { class: "thumbs" }, ...thumbs));
    }
    box.replaceChildren(...parts.filter(Boolean));
  }

  thumb(item, what) {
    const picture = sparkline(item.values, `${what}: ${item.identifier}`);
    return make("figure", { class: "thumb", title: item.identifier }, picture, make("span", { class: "what" }, what));
  }

  keepComment() {
    this.actions.note({ comment: byId("comment").value.trim() });
  }

  keepFlags() {
    const flags = [...document.querySelectorAll("#flags input:checked")].map((input) => input.value);
    this.actions.note({ flags });
  }

  flag() {
    const input = document.querySelector("#flags input");
    if (!input) return;
    input.checked = !input.checked;
    this.keepFlags();
  }

  /** A comment that is still being typed is kept before the page goes on. */
  leave() {
    const comment = byId("comment");
    if (document.activeElement === comment) comment.blur();
  }

  show(item) {
    this.revealed = false;
    this.suggestion = null;
    const note = item.note ?? {};
    byId("comment").value = note.comment ?? "";
    for (const input of document.querySelectorAll('input[name="quality"]')) {
      input.checked = input.value === String(note.quality ?? "");
    }
    for (const input of document.querySelectorAll("#flags input")) input.checked = note.flags?.includes(input.value) ?? false;
    this.decided(item);
    this.hideOpinion();
  }

  decided(item) {
    const { decision } = item;
    const answer = decision?.kind === "skip" ? null : decision?.answer;
    for (const button of document.querySelectorAll(".answers button[data-action]")) {
      const mine = button.dataset.answer ?? { "not-sure": "not sure", bad: "bad" }[button.dataset.action];
      const chosen = decision ? (mine ? mine === answer : decision.kind === "skip") : false;
      button.classList.toggle("chosen", chosen);
      button.setAttribute("aria-pressed", String(chosen));
    }
    const text = !decision ? "" : decision.kind === "skip" ? "You skipped this one; it comes again at the end." : `You said: ${WORDS[answer] ?? answer}.`;
    byId("decided").textContent = text;
  }

  hideOpinion() {
    const key = make("kbd", { data: { key: "reveal" } }, this.keys.name("reveal"));
    const button = make("button", { type: "button", data: { action: "reveal" } }, "Reveal ", key);
    byId("opinion").replaceChildren(make("p", { class: "soft small" }, "Hidden until you have answered."), button);
  }

  opinion(opinion) {
    this.revealed = true;
    this.suggestion = opinion.suggestion;
    const box = byId("opinion");
    if (!opinion.classes?.length) {
      box.replaceChildren(make("p", { class: "soft small" }, opinion.text || "No network has read this spectrum yet."));
      return;
    }
    const rows = opinion.classes.map(([name, p]) =>
      make("li", {}, make("span", {}, name), make("meter", { min: 0, max: 1, value: p, title: percent(p) }), make("span", { class: "number" }, percent(p))),
    );
    const key = make("kbd", { data: { key: "accept" } }, this.keys.name("accept"));
    const accept = make("button", { type: "button", data: { action: "accept" } }, `Accept “${opinion.suggestion}” `, key);
    const asked = make("p", { class: "small soft" }, opinion.text);
    box.replaceChildren(make("ul", { class: "bars" }, rows), asked, accept);
  }

  panels(view) {
    const near = view.neighbours.map((item) => this.thumb(item, item.answer));
    byId("neighbours").replaceChildren(...(near.length ? near : [make("p", { class: "soft small" }, "None yet.")]));
    byId("facts").replaceChildren(...view.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  }
}
