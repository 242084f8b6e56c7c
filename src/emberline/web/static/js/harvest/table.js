// The joined table of what the servers have: sorted, filtered, selected; only as many rows are drawn as one looks at.
import { link, make, plural, size } from "./client.js";

const STEP = 200; // rows that are drawn at a time
const COLUMNS = [
  ["title", "Title"], ["target", "Object"], ["service_title", "Server"], ["ra", "RA"], ["dec", "Dec"],
  ["band", "Wavelengths / Å"], ["mjd", "MJD"], ["media_type", "Format"], ["bytes", "Size"],
];
const NUMBERS = new Set(["ra", "dec", "band", "mjd", "bytes"]);

const rows = document.getElementById("rows");
const shown = document.getElementById("shown");
const more = document.getElementById("more");
const filter = document.getElementById("filter");

const number = (value, digits) => (value === null ? "" : value.toFixed(digits));
const range = ([low, high]) => (low === null || high === null ? "" : `${low.toFixed(0)}–${high.toFixed(0)}`);

function value_of(record, key) {
  const value = record[key];
  return key === "band" ? value[0] : value;
}

/** Unknown values come last, whichever way it is sorted. */
function compare(one, other, key, sign) {
  const [a, b] = [value_of(one, key), value_of(other, key)];
  const [empty_a, empty_b] = [a === null || a === "", b === null || b === ""];
  if (empty_a || empty_b) return empty_a - empty_b;
  const order = NUMBERS.has(key) ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return sign * order || one.number - other.number;
}

export class Records {
  /** @param {() => void} changed called when the selection has changed */
  constructor(changed) {
    this.changed = changed;
    this.records = [];
    this.selected = new Set();
    this.sort = null;
    this.down = false;
    this.drawn = STEP;
    this.last = null; // where a range begins
    this.header();
    rows.addEventListener("click", (event) => this.click(event));
    more.addEventListener("click", () => { this.drawn += STEP; this.draw(); });
    filter.addEventListener("input", () => { this.drawn = STEP; this.draw(); });
    document.getElementById("all").addEventListener("click", () => this.choose(true));
    document.getElementById("none").addEventListener("click", () => this.choose(false));
  }

  header() {
    const heads = COLUMNS.map(([key, title]) => {
      const button = make("button", { type: "button", textContent: title });
      button.addEventListener("click", () => this.by(key));
      return make("th", { scope: "col", className: NUMBERS.has(key) ? "right" : "", "data-key": key }, button);
    });
    const pick = make("th", { scope: "col", className: "pick" }, make("span", { className: "hidden", textContent: "Select" }));
    document.getElementById("columns").replaceChildren(pick, ...heads);
  }

  by(key) {
    this.down = this.sort === key && !this.down;
    this.sort = key;
    for (const head of document.querySelectorAll("#columns [data-key]")) {
      if (head.dataset.key === key) head.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    this.draw();
  }

  clear() {
    this.records = [];
    this.selected.clear();
    this.drawn = STEP;
    this.last = null;
    this.draw();
    this.changed();
  }

  add(records) {
    if (!records.length) return;
    this.records.push(...records);
    this.draw();
  }

  /** What the filter leaves, in the order of the table. */
  order() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (record) => {
      const text = [record.title, record.target, record.service_title, record.media_type, record.collection,
        record.creator, record.publisher_did].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const kept = words.length ? this.records.filter(fits) : [...this.records];
    if (this.sort) kept.sort((one, other) => compare(one, other, this.sort, this.down ? -1 : 1));
    return kept;
  }

  draw() {
    this.view = this.order();
    rows.replaceChildren(...this.view.slice(0, this.drawn).map((record) => this.row(record)));
    const all = this.records.length;
    shown.textContent = this.view.length === all ? plural(all, "spectrum", "spectra")
      : `${this.view.length.toLocaleString("en")} of ${plural(all, "spectrum", "spectra")}`;
    more.hidden = this.view.length <= this.drawn;
    more.textContent = `Show ${Math.min(STEP, this.view.length - this.drawn)} more`;
  }

  row(record) {
    const name = record.title || record.target || record.publisher_did || record.address;
    const box = make("input", {
      type: "checkbox", checked: this.selected.has(record.number), "aria-label": `Select ${name}`,
    });
    const cells = [
      make("td", { className: "pick" }, box),
      make("td", { className: "title-cell" }, link(record.address, name)),
      make("td", { textContent: record.target }),
      make("td", { className: "server", textContent: record.service_title }),
      make("td", { className: "right nowrap", textContent: number(record.ra, 5) }),
      make("td", { className: "right nowrap", textContent: number(record.dec, 5) }),
      make("td", { className: "right nowrap", textContent: range(record.band) }),
      make("td", { className: "right nowrap", textContent: number(record.mjd, 2) }),
      make("td", { textContent: record.media_type.replace(/^(application|image|text)\/(x-)?/, ""), title: record.media_type }),
      make("td", { className: "right nowrap", textContent: size(record.bytes) }),
    ];
    return make("tr", { "data-number": record.number }, ...cells);
  }

  /** A click on a box selects; with Shift all from the one before to this. */
  click(event) {
    const box = event.target.closest('input[type="checkbox"]');
    if (!box) return;
    const at = Number(box.closest("tr").dataset.number);
    const numbers = this.view.map((record) => record.number);
    const [from, to] = [numbers.indexOf(this.last), numbers.indexOf(at)];
    const range = event.shiftKey && from >= 0 ? numbers.slice(Math.min(from, to), Math.max(from, to) + 1) : [at];
    for (const one of range) this.mark(one, box.checked);
    this.last = at;
    this.boxes();
  }

  mark(one, on) {
    if (on) this.selected.add(one);
    else this.selected.delete(one);
  }

  /** Select, or not, all that the filter leaves, drawn or not. */
  choose(on) {
    for (const record of this.view) this.mark(record.number, on);
    this.boxes();
  }

  boxes() {
    for (const row of rows.rows) {
      row.querySelector("input").checked = this.selected.has(Number(row.dataset.number));
    }
    this.changed();
  }

  /** The selection as runs of numbers, which stay few however many are selected. */
  runs() {
    const runs = [];
    for (const one of [...this.selected].sort((a, b) => a - b)) {
      const last = runs.at(-1);
      if (last && last[1] === one - 1) last[1] = one;
      else runs.push([one, one]);
    }
    return runs;
  }
}
