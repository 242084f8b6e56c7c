// One spectrum in a uPlot: raw and smoothed flux, noise, masked pixels, lines at a redshift, other spectra.

import { drawUnder, drawOver, lineAt } from "./marks.js";
import { fluxRange, smooth, weights } from "./smoothing.js";

const GENTLE = 2; // pixels of smoothing by which the range of flux is chosen

const COLOURS = [
  "text", "grid", "raw", "flux", "noise", "masked", "window", "line", "fixed",
  "overlay-1", "overlay-2", "overlay-3", "overlay-4", "overlay-5",
];

/** The style sheet's colours as the canvas wants them: resolved, whatever functions they are written with. */
function colours(element) {
  const probe = element.appendChild(document.createElement("span"));
  const palette = { font: getComputedStyle(element).fontFamily };
  for (const name of COLOURS) {
    probe.className = `plot-colour ${name}`;
    palette[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  palette.overlays = [1, 2, 3, 4, 5].map((slot) => palette[`overlay-${slot}`]);
  return palette;
}

export class SpectrumPlot extends EventTarget {
  /**
   * @param {HTMLElement} element
   * @param {{yLabel?: string, interactive?: boolean}} options
   */
  constructor(element, options = {}) {
    super();
    this.element = element;
    this.options = { interactive: true, ...options };
    this.state = { sigma: 0, redshift: 0, lines: [], selected: null, overlays: [], band: null, scale: null };
    this.plot = null;
    this.limits = null;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
    new MutationObserver(() => this.rebuild()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Show a spectrum: `{wavelength, flux, ivar?, mask?}` as arrays of one length, wavelength in vacuum Å. */
  show(spectrum, scale, { keepView = false } = {}) {
    const view = keepView && this.plot ? [this.plot.scales.x.min, this.plot.scales.x.max] : null;
    this.spectrum = spectrum;
    this.state.scale = scale;
    this.weight = weights(spectrum.flux, spectrum.ivar, spectrum.mask);
    this.gentle = smooth(spectrum.flux, this.weight, GENTLE);
    this.x = Float64Array.from(spectrum.wavelength, (w) => scale.show(w));
    this.limits = [this.x[0], this.x[this.x.length - 1]];
    if (!this.plot) this.build();
    else this.plot.setData(this.data(), false);
    this.plot.axes[0].label = scale.label;
    this.view(...(view ?? this.limits));
  }

  set(changes) {
    const before = this.state.sigma;
    Object.assign(this.state, changes);
    if (!this.plot) return;
    if (this.state.sigma !== before) this.plot.setData(this.data(), false);
    this.plot.redraw(true, false);
  }

  data() {
    const { flux } = this.spectrum;
    const smoothed = this.state.sigma > 0 ? smooth(flux, this.weight, this.state.sigma) : null;
    const missing = (value) => (Number.isFinite(value) ? value : null);
    return [
      this.x,
      Array.from(flux, missing),
      smoothed ? Array.from(smoothed, missing) : new Array(flux.length).fill(null),
    ];
  }

  build() {
    const palette = colours(this.element);
    this.palette = palette;
    const axis = {
      stroke: palette.text,
      font: `12px ${palette.font}`,
      labelFont: `12px ${palette.font}`,
      grid: { stroke: palette.grid, width: 1 },
      ticks: { stroke: palette.grid, width: 1, size: 4 },
    };
    const series = (extra) => ({ points: { show: false }, spanGaps: false, ...extra });
    this.plot = new window.uPlot(
      {
        width: Math.max(this.element.clientWidth, 200),
        height: this.height,
        legend: { show: false },
        scales: { x: { time: false }, y: { range: () => this.rangeOfFlux() } },
        cursor: { drag: { x: this.options.interactive, y: false }, points: { show: false }, y: false },
        axes: [
          { ...axis, label: this.state.scale.label, labelSize: 22, size: 36 },
          { ...axis, label: this.options.yLabel ?? "Flux", labelSize: 22, size: 62 },
        ],
        series: [
          {},
          series({ stroke: () => (this.state.sigma > 0 ? palette.raw : palette.flux), width: 1 }),
          series({ stroke: palette.flux, width: 1.75 }),
        ],
        hooks: {
          drawAxes: [(u) => drawUnder(u, this)],
          draw: [(u) => drawOver(u, this)],
          setCursor: [(u) => this.moved(u)],
        },
      },
      this.data(),
      this.element,
    );
    if (this.options.interactive) this.listen();
  }

  rebuild() {
    if (!this.plot) return;
    const { min, max } = this.plot.scales.x;
    this.plot.destroy();
    this.plot = null;
    this.build();
    this.view(min, max);
  }

  get height() {
    return Math.max(this.element.clientHeight, 160);
  }

  resize() {
    if (this.plot && this.element.clientWidth) {
      this.plot.setSize({ width: this.element.clientWidth, height: this.height });
    }
  }

  rangeOfFlux() {
    const { min, max } = this.plot?.scales.x ?? {};
    const from = min == null ? 0 : this.indexOf(min);
    const to = max == null ? this.x.length - 1 : this.indexOf(max);
    return fluxRange(this.spectrum.flux, this.weight, this.gentle, Math.min(from, to), Math.max(from, to));
  }

  /** The pixel nearest to a shown wavelength. */
  indexOf(value) {
    let low = 0;
    let high = this.x.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.x[middle] <= value) low = middle;
      else high = middle;
    }
    return value - this.x[low] <= this.x[high] - value ? low : high;
  }

  view(min, max) {
    const [first, last] = this.limits;
    const span = Math.min(Math.max(max - min, (last - first) / 400), last - first);
    const start = Math.min(Math.max(min, first), last - span);
    this.plot.setScale("x", { min: start, max: start + span });
  }

  pan(share) {
    if (!this.plot) return;
    const { min, max } = this.plot.scales.x;
    this.view(min + share * (max - min), max + share * (max - min));
  }

  zoom(factor, at = null) {
    if (!this.plot) return;
    const { min, max } = this.plot.scales.x;
    const centre = at ?? (min + max) / 2;
    this.view(centre - (centre - min) / factor, centre + (max - centre) / factor);
  }

  reset() {
    if (this.plot) this.view(...this.limits);
  }

  moved(u) {
    const index = u.cursor.idx;
    const detail =
      index == null
        ? null
        : { wavelength: this.spectrum.wavelength[index], flux: this.spectrum.flux[index], index };
    this.dispatchEvent(new CustomEvent("cursor", { detail }));
  }

  listen() {
    const over = this.plot.over;
    over.addEventListener("dblclick", () => this.reset());
    over.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          this.pan(Math.sign(event.deltaX || event.deltaY) * 0.1);
        } else {
          this.zoom(event.deltaY < 0 ? 1.25 : 0.8, this.plot.posToVal(event.offsetX, "x"));
        }
      },
      { passive: false },
    );
    // In the capturing phase on the element around it, so that a line can be dragged before uPlot begins to select.
    over.parentElement.addEventListener("mousedown", (event) => this.grab(event), { capture: true });
  }

  /** Drag a line's mark to where the line is: that gives the redshift. Shift and drag moves the view. */
  grab(event) {
    const box = this.plot.over.getBoundingClientRect();
    const line = event.shiftKey ? null : lineAt(this.plot, this, event.clientX - box.left);
    if (event.button !== 0 || (!line && !event.shiftKey)) return;
    event.preventDefault();
    event.stopPropagation();
    let last = event.clientX;
    const move = (moving) => {
      if (line) {
        const vacuum = this.state.scale.read(this.plot.posToVal(moving.clientX - box.left, "x"));
        this.dispatchEvent(new CustomEvent("redshift", { detail: { redshift: vacuum / line.vacuum - 1, line } }));
      } else {
        this.pan((last - moving.clientX) / box.width);
        last = moving.clientX;
      }
    };
    const stop = () => {
      window.removeEventListener("mousemove", move);
      window.removeEventListener("mouseup", stop);
    };
    window.addEventListener("mousemove", move);
    window.addEventListener("mouseup", stop);
  }
}
