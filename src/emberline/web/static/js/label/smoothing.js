// Smoothing by a Gaussian, each pixel weighted by its inverse variance; masked pixels take no part.

/** What is good: a finite flux whose mask is clear. Without an ivar every good pixel weighs the same. */
export function weights(flux, ivar, mask) {
  const n = flux.length;
  const weight = new Float64Array(n);
  let known = false;
  for (let i = 0; i < n; i += 1) {
    const good = Number.isFinite(flux[i]) && !(mask && mask[i]);
    weight[i] = good ? (ivar ? ivar[i] : 1) : 0;
    if (!(weight[i] > 0)) weight[i] = 0;
    known ||= weight[i] > 0;
  }
  if (!known) for (let i = 0; i < n; i += 1) weight[i] = Number.isFinite(flux[i]) ? 1 : 0;
  return weight;
}

/** Smooth `flux` with a Gaussian of `sigma` pixels; NaN where nothing good is within reach. */
export function smooth(flux, weight, sigma) {
  const n = flux.length;
  if (!(sigma > 0)) return Float64Array.from(flux);
  const reach = Math.ceil(3 * sigma);
  const kernel = Float64Array.from({ length: reach + 1 }, (_, i) => Math.exp(-0.5 * (i / sigma) ** 2));
  const result = new Float64Array(n);
  for (let i = 0; i < n; i += 1) {
    let sum = 0;
    let total = 0;
    for (let j = Math.max(0, i - reach); j <= Math.min(n - 1, i + reach); j += 1) {
      const w = weight[j];
      if (w > 0) {
        const k = w * kernel[Math.abs(i - j)];
        sum += k * flux[j];
        total += k;
      }
    }
    result[i] = total > 0 ? sum / total : NaN;
  }
  return result;
}

/** The value below which a share `q` of the sorted `values` lies. */
function quantile(sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(q * (sorted.length - 1))))];
}

/**
 * The range of flux that shows what matters between two pixels: all of the smoothed curve (so that no line is cut
 * off) and the raw one but for its wildest pixels.
 */
export function fluxRange(flux, weight, gentle, from, to) {
  const values = [];
  let low = Infinity;
  let high = -Infinity;
  for (let i = from; i <= to; i += 1) {
    if (!(weight[i] > 0)) continue;
    values.push(flux[i]);
    if (Number.isFinite(gentle[i])) {
      low = Math.min(low, gentle[i]);
      high = Math.max(high, gentle[i]);
    }
  }
  if (!values.length) return [0, 1];
  values.sort((a, b) => a - b);
  low = Math.min(low, quantile(values, 0.005));
  high = Math.max(high, quantile(values, 0.995));
  const margin = 0.06 * (high - low) || Math.abs(high) * 0.1 || 1;
  return [low - margin, high + margin];
}
