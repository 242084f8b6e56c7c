// What is drawn on a spectrum beside its own curve: noise, masked pixels, the network's window, lines, overlays.

const GRAB = 5; // pixels on the screen within which a line's mark can be taken hold of

function clip(u, draw) {
  const { ctx } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
  ctx.clip();
  draw(ctx);
  ctx.restore();
}

const across = (u, value) => u.valToPos(value, "x", true);
const down = (u, value) => u.valToPos(value, "y", true);

/** Under the curve: the window that the network sees, masked pixels, the noise of one standard deviation. */
export function drawUnder(u, plot) {
  clip(u, (ctx) => {
    const { band, scale } = plot.state;
    if (band) {
      ctx.fillStyle = plot.palette.window;
      const [from, to] = band.map((vacuum) => across(u, scale.show(vacuum)));
      ctx.fillRect(from, u.bbox.top, to - from, u.bbox.height);
    }
    drawMasked(u, plot, ctx);
    if (plot.spectrum.ivar) drawNoise(u, plot, ctx);
  });
}

function visible(u, plot) {
  return [Math.max(0, plot.indexOf(u.scales.x.min) - 1), Math.min(plot.x.length - 1, plot.indexOf(u.scales.x.max) + 1)];
}

function drawMasked(u, plot, ctx) {
  const { mask } = plot.spectrum;
  if (!mask) return;
  const [first, last] = visible(u, plot);
  ctx.fillStyle = plot.palette.masked;
  for (let i = first; i <= last; i += 1) {
    if (!mask[i]) continue;
    const from = i;
    while (i < last && mask[i + 1]) i += 1;
    const left = across(u, plot.x[from]) - 1;
    ctx.fillRect(left, u.bbox.top, across(u, plot.x[i]) + 1 - left, u.bbox.height);
    hatch(u, ctx, left, across(u, plot.x[i]) + 1, plot.palette.fixed);
  }
}

/** Masked pixels are told by a dashed bar at the foot as well, not by a shade alone. */
function hatch(u, ctx, left, right, colour) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 2 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(left, u.bbox.top + u.bbox.height - 2 * devicePixelRatio);
  ctx.lineTo(Math.max(right, left + 2), u.bbox.top + u.bbox.height - 2 * devicePixelRatio);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** One standard deviation either side of the flux; where a column of the screen has several pixels, of their mean. */
function drawNoise(u, plot, ctx) {
  ctx.fillStyle = plot.palette.noise;
  let run = [];
  const fill = () => {
    if (run.length > 1) {
      ctx.beginPath();
      for (const [x, top] of run) ctx.lineTo(x, top);
      for (const [x, , bottom] of run.reverse()) ctx.lineTo(x, bottom);
      ctx.closePath();
      ctx.fill();
    }
    run = [];
  };
  for (const column of columns(u, plot)) {
    if (column === null) fill();
    else run.push([column.x, down(u, column.flux + column.sigma), down(u, column.flux - column.sigma)]);
  }
  fill();
}

/** The visible pixels gathered into columns of the screen; null where the noise is not known. */
function* columns(u, plot) {
  const { flux, ivar } = plot.spectrum;
  const [first, last] = visible(u, plot);
  const step = 2 * devicePixelRatio;
  let sum = null;
  for (let i = first; i <= last; i += 1) {
    const sigma = ivar[i] > 0 ? 1 / Math.sqrt(ivar[i]) : NaN;
    const known = Number.isFinite(sigma) && Number.isFinite(flux[i]);
    const x = known ? across(u, plot.x[i]) : 0;
    if (sum && (!known || x - sum.from >= step)) {
      yield { x: sum.x / sum.n, flux: sum.flux / sum.n, sigma: sum.sigma / sum.n };
      sum = null;
    }
    if (!known) {
      yield null;
      continue;
    }
    sum ??= { from: x, x: 0, flux: 0, sigma: 0, n: 0 };
    sum.x += x;
    sum.flux += flux[i];
    sum.sigma += sigma;
    sum.n += 1;
  }
  if (sum) yield { x: sum.x / sum.n, flux: sum.flux / sum.n, sigma: sum.sigma / sum.n };
}

/** Over the curve: other spectra, and lines with their names. */
export function drawOver(u, plot) {
  clip(u, (ctx) => {
    plot.state.overlays.forEach((overlay, index) => drawOverlay(u, plot, ctx, overlay, index));
    drawLines(u, plot, ctx);
  });
}

const DASHES = [[6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 2, 1, 2]];

/** Another spectrum; where a column of the screen has many of its pixels, from the lowest of them to the highest. */
function drawOverlay(u, plot, ctx, overlay, index) {
  const slot = overlay.slot ?? index;
  ctx.strokeStyle = plot.palette.overlays[slot % plot.palette.overlays.length];
  ctx.lineWidth = 1.25 * devicePixelRatio;
  ctx.setLineDash(DASHES[slot % DASHES.length].map((length) => length * devicePixelRatio));
  ctx.beginPath();
  let pen = false;
  for (const point of strokes(u, plot, overlay)) {
    if (point === null) pen = false;
    else if (pen) ctx.lineTo(point[0], down(u, point[1]));
    else ctx.moveTo(point[0], down(u, point[1]));
    pen = point !== null;
  }
  ctx.stroke();
  ctx.setLineDash([]);
}

function* strokes(u, plot, { wavelength, flux, mask }) {
  const { min, max } = u.scales.x;
  const { scale } = plot.state;
  const [from, to] = [below(wavelength, scale.read(min)), below(wavelength, scale.read(max)) + 2];
  let column = null;
  for (let i = Math.max(0, from - 1); i < Math.min(wavelength.length, to); i += 1) {
    if (!Number.isFinite(flux[i]) || mask?.[i]) {
      if (column) yield* ends(column);
      column = null;
      yield null;
      continue;
    }
    const x = across(u, scale.show(wavelength[i]));
    if (column && x - column.x < 1) {
      column.low = Math.min(column.low, flux[i]);
      column.high = Math.max(column.high, flux[i]);
      column.last = flux[i];
      continue;
    }
    if (column) yield* ends(column);
    column = { x, first: flux[i], low: flux[i], high: flux[i], last: flux[i] };
  }
  if (column) yield* ends(column);
}

function* ends({ x, first, low, high, last }) {
  yield [x, first];
  if (low === high) return;
  yield [x, low];
  yield [x, high];
  yield [x, last];
}

/** How many of the rising `values` are below one. */
function below(values, value) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function drawLines(u, plot, ctx) {
  const { lines, redshift, scale, selected } = plot.state;
  const size = 11 * devicePixelRatio;
  const ends = [-Infinity, -Infinity, -Infinity];
  ctx.font = `${size}px ${plot.palette.font}`;
  ctx.textAlign = "center";
  for (const line of [...lines].sort((a, b) => a.vacuum - b.vacuum)) {
    const x = across(u, scale.show(line.fixed ? line.vacuum : line.vacuum * (1 + redshift)));
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
    const chosen = line.name === selected;
    ctx.strokeStyle = line.fixed ? plot.palette.fixed : plot.palette.line;
    ctx.fillStyle = ctx.strokeStyle;
    ctx.lineWidth = (chosen ? 2 : 1) * devicePixelRatio;
    ctx.setLineDash((line.fixed ? [1, 3] : chosen ? [] : [4, 3]).map((length) => length * devicePixelRatio));
    const half = ctx.measureText(line.name).width / 2 + 3;
    const row = ends.findIndex((end) => x - half > end);
    const top = u.bbox.top + (row < 0 ? 0 : (row + 1) * (size + 2));
    ctx.beginPath();
    ctx.moveTo(x, top + 2);
    ctx.lineTo(x, u.bbox.top + u.bbox.height);
    ctx.stroke();
    if (row >= 0) {
      ends[row] = x + half;
      ctx.fillText(line.name, x, top - 1);
    }
  }
  ctx.setLineDash([]);
}

/** The line whose mark is under the pointer, `at` pixels from the left of the plot; null when none is. */
export function lineAt(u, plot, at) {
  const { lines, redshift, scale } = plot.state;
  const distance = (line) => Math.abs(u.valToPos(scale.show(line.vacuum * (1 + redshift)), "x") - at);
  const near = lines.filter((line) => !line.fixed && distance(line) <= GRAB);
  return near.length ? near.reduce((a, b) => (distance(a) <= distance(b) ? a : b)) : null;
}
