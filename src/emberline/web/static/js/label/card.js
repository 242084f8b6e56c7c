// The card between two rounds: what changed, estimates, class counts, agreement, the learning curve, advice, what next.

import { byId, interval, make, svg } from "./elements.js";
import { asides, completeness, gain, purity } from "./estimates.js";

/** Purity and completeness against labels, with their intervals; told apart by dash and mark, not by colour alone. */
function curve(points) {
  const width = 360;
  const height = 170;
  const box = { left: 34, right: width - 8, top: 8, bottom: height - 26 };
  const most = Math.max(1, ...points.map((point) => point.labels));
  const x = (labels) => box.left + (labels / most) * (box.right - box.left);
  const y = (value) => box.bottom - value * (box.bottom - box.top);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": described(points) });
  for (const value of [0, 0.5, 1]) {
    picture.append(svg("line", { x1: box.left, x2: box.right, y1: y(value), y2: y(value), class: "rule" }));
    picture.append(svg("text", { x: box.left - 4, y: y(value) + 4, "text-anchor": "end" }, String(value)));
  }
  picture.append(svg("text", { x: box.right, y: height - 6, "text-anchor": "end" }, `${most} labels`));
  for (const kind of ["purity", "completeness"]) {
    const known = points.filter((point) => point[kind]?.value != null);
    const line = known.map((point, i) => `${i ? "L" : "M"}${x(point.labels)} ${y(point[kind].value)}`).join("");
    if (line) picture.append(svg("path", { d: line, class: `curve ${kind}` }));
    for (const point of known) {
      const at = x(point.labels) + (kind === "purity" ? -2 : 2);
      picture.append(svg("line", { x1: at, x2: at, y1: y(point[kind].low), y2: y(point[kind].high), class: `bar ${kind}` }));
      picture.append(kind === "purity" ? svg("circle", { cx: at, cy: y(point[kind].value), r: 3, class: kind }) : svg("rect", { x: at - 3, y: y(point[kind].value) - 3, width: 6, height: 6, class: kind }));
    }
  }
  return picture;
}

function described(points) {
  const last = points[points.length - 1];
  return last ? `Learning curve over ${points.length} rounds: purity ${interval(last.purity)}, completeness ${interval(last.completeness)}` : "Learning curve: no round is finished yet";
}

function counts(table) {
  const rows = Object.entries(table).map(([name, count]) => make("tr", {}, make("td", {}, name), make("td", { class: "right number" }, String(count))));
  return make("table", {}, make("tbody", {}, rows));
}

export class Card {
  constructor(client, session, hooks) {
    this.client = client;
    this.session = session;
    this.hooks = hooks;
    this.box = byId("card");
  }

  async open(ended) {
    this.box.hidden = false;
    const [card, looks] = await Promise.all([this.client.card(), this.client.secondLooks()]);
    this.box.replaceChildren(...(await this.parts(card, looks.items, ended)).filter(Boolean));
    this.box.querySelector("button, a[href]")?.focus();
  }

  close() {
    this.box.hidden = true;
  }

  async parts(card, looks, ended) {
    const title = ended && card.round != null ? `Round ${card.round}: every question has been put to you` : card.title;
    return [
      make("h2", {}, title),
      ...card.changes.map((text) => make("p", {}, text)),
      make(
        "div",
        { class: "cardgrid" },
        purity(card),
        completeness(card),
        gain(card),
        make("div", {}, make("h3", {}, "Labels"), counts(card.labels)),
        make("div", {}, make("h3", {}, "Agreement"), ...card.agreement.map((text) => make("p", { class: "small" }, text))),
        card.curve.some((point) => point.purity || point.completeness) ? make("div", { class: "curve" }, make("h3", {}, "Learning curve ", make("span", { class: "soft small" }, "● purity, ■ completeness")), curve(card.curve)) : null,
      ),
      ...asides(card),
      this.candidates(card),
      make("div", { class: "note advice" }, make("p", {}, make("strong", {}, `${card.advice.title}. `), card.advice.text), make("ul", { class: "small soft" }, card.advice.reasons.map((reason) => make("li", {}, reason.text)))),
      this.looks(looks),
      card.disputed ? await this.disputes(card) : null,
      this.buttons(card, ended),
    ];
  }

  candidates(card) {
    if (!card.new_candidates.length) return null;
    const items = card.new_candidates.map((found) => make("li", { class: "chip" }, `${found.identifier} ${found.probability.toFixed(2)}`));
    return make("section", {}, make("h3", {}, "New candidates"), make("ul", { class: "gridbar" }, items));
  }

  /** You against the model, and your own repeats: offered for a second look. */
  looks(items) {
    if (!items.length) return null;
    const rows = items.slice(0, 20).map((item) =>
      make(
        "tr",
        {},
        make("td", {}, make("button", { type: "button", onclick: () => this.hooks.look(item) }, item.name)),
        make("td", {}, item.answer),
        make("td", {}, item.text),
      ),
    );
    const head = make("thead", {}, make("tr", {}, ...["Spectrum", "You said", "Why look again"].map((text) => make("th", {}, text))));
    return make("section", {}, make("h3", {}, "Worth a second look"), make("div", { class: "scroll" }, make("table", {}, head, make("tbody", {}, rows))));
  }

  /** Where annotators disagree: everybody's answer and comment, and for those who may the last word. */
  async disputes(card) {
    const { items } = await this.client.disputes();
    const rows = items.slice(0, 100).map((item) => {
      const said = Object.entries(item.answers).map(([who, answer]) => {
        const comment = item.comments[who] ? ` – ${item.comments[who]}` : "";
        return make("li", {}, `${who}: ${answer}${comment}`);
      });
      const cells = [make("td", {}, this.lookButton(item)), make("td", {}, make("ul", {}, said))];
      if (card.may_adjudicate) cells.push(make("td", {}, this.decision(item)));
      return make("tr", {}, cells);
    });
    const heads = ["Spectrum", "Answers", ...(card.may_adjudicate ? ["Decision"] : [])];
    const head = make("thead", {}, make("tr", {}, heads.map((text) => make("th", {}, text))));
    return make("section", {}, make("h3", {}, "In dispute"), make("div", { class: "scroll" }, make("table", {}, head, make("tbody", {}, rows))));
  }

  lookButton(item) {
    return make("button", { type: "button", onclick: () => this.hooks.look({ ...item, name: item.identifier }) }, item.identifier);
  }

  decision(item) {
    const options = ["", ...this.hooks.answers].map((answer) => make("option", { value: answer }, answer || "not decided"));
    const select = make("select", { "aria-label": `Decision on ${item.identifier}` }, options);
    select.addEventListener("change", () => {
      if (select.value) this.session.record({ kind: "adjudication", identifier: item.identifier, answer: select.value });
    });
    return select;
  }

  buttons(card, ended) {
    const more = card.left > 0;
    const label = make("button", { type: "button", class: more && !ended ? "main" : "", onclick: () => this.hooks.label() }, ended ? "Look for more questions" : "Label");
    const train = make("button", { type: "button", class: more ? "" : "main", onclick: () => this.train(card) }, this.next(card));
    this.state = make("p", { role: "status" });
    if (card.job) this.follow(card.job);
    const waiting = !more && card.others ? make("span", { class: "small soft" }, `${card.others} questions wait for other annotators.`) : null;
    return make("div", {}, make("p", { class: "gridbar" }, more ? label : null, card.may_finish && !card.job ? train : null, waiting), this.state);
  }

  next(card) {
    if (card.open_round == null) return card.curve.length ? "Start the next round" : "Start the first round";
    return card.left || card.others ? "Train now, without the answers that are missing" : "Finish the round and train";
  }

  /** Start the next round's training as a job, and follow it; labelling may go on meanwhile. */
  async train(card) {
    try {
      const { job } = await this.client.nextRound(card.left + card.others > 0);
      this.follow(job);
    } catch (error) {
      this.state.textContent = `The round could not be started: ${error.message}`;
    }
  }

  follow(job) {
    const bar = make("progress", { max: 1, "aria-label": "Training" });
    const text = make("span", { class: "small" });
    const link = make("a", { href: `/jobs/${encodeURIComponent(job.id)}` }, "the job's page");
    this.state.replaceChildren("The next round is being prepared. ", bar, " ", text, " ", link);
    this.source?.close(); // browsers allow few streams to one server
    const source = new EventSource(`/api/jobs/${encodeURIComponent(job.id)}/events`);
    this.source = source;
    source.addEventListener("job", (event) => {
      const now = JSON.parse(event.data);
      if (now.progress != null) bar.value = now.progress;
      text.textContent = `${now.phase.toLowerCase()} ${now.message}`;
      if (!["COMPLETED", "ERROR", "ABORTED"].includes(now.phase)) return;
      source.close();
      if (now.phase === "COMPLETED") this.hooks.newRound();
      else this.state.replaceChildren(`The round's job ended: ${now.error?.message ?? now.phase.toLowerCase()}. `, link);
    });
  }
}
