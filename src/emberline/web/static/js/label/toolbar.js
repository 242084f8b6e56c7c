// How the spectrum is shown: smoothing, lines at a redshift, vacuum or air, units, other spectra, zoom and pan.

import { byId, make } from "./elements.js";
import { Scale, UNITS, redshiftOf, velocityOf } from "./wavelengths.js";

const MAX_SIGMA = 10;

function remembered(name, otherwise) {
  return localStorage.getItem(`emberline.view.${name}`) ?? otherwise;
}

function remember(name, value) {
  localStorage.setItem(`emberline.view.${name}`, String(value));
}

export class Toolbar {
  /** @param {import("./plot.js").SpectrumPlot[]} plots  all that follow these settings */
  constructor(plots, lineLists, changed) {
    this.plots = plots;
    this.changed = changed;
    this.lists = Object.fromEntries(lineLists.map((list) => [list.name, list.lines]));
    this.sigma = Number(remembered("sigma", 0));
    this.scale = new Scale(remembered("medium", "vacuum"), remembered("unit", "Å"));
    this.redshift = 0;
    this.selected = null;
    this.overlaysOn = false;
    byId("lines").append(...lineLists.map((list) => make("option", { value: list.name }, list.name)));
    byId("lines").value = this.lists[remembered("lines", "")] ? remembered("lines", "") : "";
    byId("medium").value = this.scale.medium;
    byId("unit").value = this.scale.unit in UNITS ? this.scale.unit : "Å";
    this.listen();
    this.smoothing(this.sigma);
    this.choose(byId("lines").value);
  }

  listen() {
    byId("smoothing").addEventListener("input", (event) => this.smoothing(Number(event.target.value)));
    byId("lines").addEventListener("change", (event) => this.choose(event.target.value));
    byId("redshift").addEventListener("change", (event) => this.typedRedshift(event.target.value));
    for (const id of ["medium", "unit", "frame"]) byId(id).addEventListener("change", () => this.rescale());
    for (const plot of this.plots) plot.addEventListener("redshift", (event) => this.shift(event.detail.redshift));
  }

  smoothing(sigma) {
    this.sigma = Math.max(0, Math.min(MAX_SIGMA, sigma));
    byId("smoothing").value = this.sigma;
    byId("smoothing-value").textContent = this.sigma ? `${this.sigma} px` : "off";
    remember("sigma", this.sigma);
    for (const plot of this.plots) plot.set({ sigma: this.sigma });
  }

  choose(name) {
    byId("lines").value = name;
    remember("lines", name);
    this.selected = null;
    this.mark();
  }

  /** The next list of lines; after the last, none. */
  cycleLists() {
    const names = ["", ...Object.keys(this.lists)];
    this.choose(names[(names.indexOf(byId("lines").value) + 1) % names.length]);
  }

  /** Put the next or previous line of the list in the middle of the whole spectrum. */
  cycleLine(step) {
    const lines = this.lists[byId("lines").value] ?? [];
    if (!lines.length) return;
    const at = lines.findIndex((line) => line === this.selectedLine);
    const line = lines[(at + step + lines.length) % lines.length];
    this.selectedLine = line;
    this.selected = line.name;
    this.mark();
    const whole = this.plots[this.plots.length - 1];
    const centre = line.fixed ? line.vacuum : line.vacuum * (1 + this.redshift);
    whole.view(this.scale.show(centre - 100), this.scale.show(centre + 100));
  }

  mark() {
    const lines = this.lists[byId("lines").value] ?? [];
    for (const plot of this.plots) plot.set({ lines, redshift: this.redshift, selected: this.selected });
  }

  shift(redshift) {
    this.redshift = redshift;
    byId("redshift").value = redshift.toFixed(6).replace(/\.?0+$/, "");
    byId("velocity").textContent = `${velocityOf(redshift).toFixed(1)} km/s`;
    if (byId("frame").value === "rest") this.rescale();
    else this.mark();
  }

  /** A redshift, or a velocity when it ends in km/s. */
  typedRedshift(text) {
    const number = parseFloat(text.replace(",", "."));
    if (!Number.isFinite(number)) this.shift(this.redshift);
    else this.shift(/km/i.test(text) ? redshiftOf(number) : number);
  }

  rescale() {
    const redshift = byId("frame").value === "rest" ? this.redshift : 0;
    this.scale = new Scale(byId("medium").value, byId("unit").value, redshift);
    remember("medium", this.scale.medium);
    remember("unit", this.scale.unit);
    this.mark();
    this.changed();
  }

  overlays(on) {
    this.overlaysOn = on;
    document.querySelector('[data-action="overlays"]').setAttribute("aria-pressed", String(on));
  }

  get shown() {
    return { smoothing: this.sigma, lines: byId("lines").value, redshift: this.redshift, medium: this.scale.medium, frame: byId("frame").value, overlays: this.overlaysOn };
  }
}
