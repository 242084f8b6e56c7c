// The three numbers of a card, each as text, as a picture of its interval, and with what it rests on.

import { make, svg } from "./elements.js";

const NEARLY_ALL = 0.95;

/** An interval and its value on a line from 0 to `most`; `at` is marked on it. It repeats what is written beside it. */
function meter(found, most, kind, at) {
  const x = (value) => 4 + Math.min(Math.max(value / most, 0), 1) * 192;
  const picture = svg("svg", { viewBox: "0 0 200 18", class: `meter ${kind}`, "aria-hidden": "true" });
  picture.append(svg("line", { x1: 4, x2: 196, y1: 9, y2: 9, class: "track" }));
  picture.append(svg("line", { x1: x(found.low), x2: x(found.high), y1: 9, y2: 9, class: "span" }));
  if (at != null) picture.append(svg("line", { x1: x(at), x2: x(at), y1: 1, y2: 17, class: "limit" }));
  picture.append(svg("circle", { cx: x(found.value), cy: 9, r: 4.5, class: "dot" }));
  return picture;
}

const known = (share) => share?.value != null;
const between = (share) => `${share.low.toFixed(2)} to ${share.high.toFixed(2)}`;

/** The number to show alone: of a sample that met no counterexample only the lower end is shown by it. */
function headline(share) {
  if (share.value === 1 && share.low < NEARLY_ALL) return `≥\u00a0${share.low.toFixed(2)}`;
  return share.value.toFixed(2);
}

function share(title, found, kind, ...notes) {
  if (!known(found)) {
    const why = "It takes control labels: spectra drawn at random and labelled for nothing else.";
    return make("div", { class: "estimate" }, make("h3", {}, title), make("p", { class: "big none" }, "not yet estimated"), make("p", { class: "soft small" }, why));
  }
  const head = [make("h3", {}, title), make("p", { class: "big" }, headline(found)), meter(found, 1, kind)];
  return make("div", { class: "estimate" }, ...head, make("p", { class: "small" }, `95 % interval ${between(found)}, from ${found.n} control labels`), ...notes);
}

export function purity(card) {
  return share("Purity", card.purity, "purity", make("p", { class: "soft small" }, "The share of the candidates that are targets."));
}

/** With what it assumes, and beside it the interval that assumes nothing. */
export function completeness(card) {
  const alone = card.completeness_from_draw;
  const notes = [make("p", { class: "soft small" }, `The share of all targets in the pool that are candidates. ${card.basis}`)];
  if (known(alone)) notes.push(make("p", { class: "small" }, `From the random draw alone, without that: ${headline(alone)} (${between(alone)})`), meter(alone, 1, "completeness alone"));
  return share("Completeness", card.completeness, "completeness", ...notes);
}

/** What the next 100 labels would bring, held against what makes them worth the work. */
export function gain(card) {
  const found = card.gain;
  const title = make("h3", {}, "The next 100 labels");
  if (!found) {
    return make("div", { class: "estimate" }, title, make("p", { class: "big none" }, "not yet known"), make("p", { class: "soft small" }, "It takes a round that a network has chosen."));
  }
  const most = Math.min(100, Math.max(2 * found.worth, 1.2 * found.high));
  const number = make("p", { class: "big" }, found.expected, make("span", { class: "unit" }, " new targets"));
  const text = make("p", { class: "small" }, `95 % interval ${found.low.toFixed(0)} to ${found.high.toFixed(0)} (the mark: ${found.worth})`);
  const advice = make("p", { class: "small verdict", data: { outlook: found.outlook } }, found.advice);
  return make("div", { class: "estimate" }, title, number, meter(found, most, "gain", found.worth), text, advice);
}

/** What the estimates had to do without. */
export function asides(card) {
  return card.asides.map((text) => make("p", { class: "small" }, text));
}
