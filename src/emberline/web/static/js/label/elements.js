// Small helpers to make elements without ever putting text where markup is read.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; strings become text. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value == null || value === false) continue;
    if (key === "class") element.className = value;
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a drawing; its children may be text. */
export function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A small picture of a curve, `values` from left to right; `title` says what it is. */
export function sparkline(values, title, width = 120, height = 48) {
  const finite = Array.from(values).filter(Number.isFinite);
  const low = Math.min(...finite);
  const span = Math.max(...finite) - low || 1;
  let path = "";
  let pen = "M";
  values.forEach((value, i) => {
    if (!Number.isFinite(value)) {
      pen = "M";
      return;
    }
    const x = (i / (values.length - 1)) * width;
    path += `${pen}${x.toFixed(1)} ${(height - 2 - ((value - low) / span) * (height - 4)).toFixed(1)}`;
    pen = "L";
  });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", title);
  const curve = svg.appendChild(document.createElementNS(SVG, "path"));
  curve.setAttribute("d", path);
  return svg;
}

/** The marks of classes: Okabe–Ito colours, in the campaign's order. */
const PALETTE = ["--blue", "--vermillion", "--green", "--purple", "--orange", "--sky", "--yellow", "--grey", "--ink"];

export function classColour(index) {
  return `var(${PALETTE[index % PALETTE.length]})`;
}

export function percent(value) {
  return value == null ? "–" : value > 0 && value < 0.01 ? "<1 %" : `${Math.round(100 * value)} %`;
}

export function interval(estimate) {
  if (!estimate || estimate.value == null) return "not yet estimated";
  return `${estimate.value.toFixed(2)} (${estimate.low.toFixed(2)} to ${estimate.high.toFixed(2)})`;
}
