// The sky around the object: Aladin Lite in a frame of its own where it is configured and comes, else a cut-out image.

import { make } from "./elements.js";

const PATIENCE = 15000; // milliseconds until Aladin Lite has to be there
const SVG = "http://www.w3.org/2000/svg";
const ROUND_ARCSEC = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** An angle as one reads it: 15″, 2′, 1.5°. */
export function angle(arcsec) {
  const trim = (value) => String(Number(value.toPrecision(3)));
  if (arcsec < 60) return `${trim(arcsec)}″`;
  return arcsec < 3600 ? `${trim(arcsec / 60)}′` : `${trim(arcsec / 3600)}°`;
}

/** Cross-hair, north and east, and a bar of a round length over a picture `fov` arcseconds wide. */
function marks(fov) {
  const lines = [[100, 62, 100, 86], [100, 114, 100, 138], [62, 100, 86, 100], [114, 100, 138, 100]];
  const length = ROUND_ARCSEC.filter((each) => each <= 0.4 * fov).pop() ?? fov / 4;
  const bar = (200 * length) / fov;
  const twice = (name, attributes, text) => ["halo", "mark"].map((kind) => svg(name, { ...attributes, class: kind }, text ?? ""));
  return svg(
    "svg",
    { viewBox: "0 0 200 200", class: "marks", "aria-hidden": "true" },
    ...lines.flatMap(([x1, y1, x2, y2]) => twice("line", { x1, y1, x2, y2 })),
    ...twice("path", { d: "M188 40V20M188 40H168", fill: "none" }),
    ...twice("text", { x: 188, y: 16, "text-anchor": "middle" }, "N"),
    ...twice("text", { x: 161, y: 44, "text-anchor": "middle" }, "E"),
    ...twice("path", { d: `M12 188h${bar}`, fill: "none" }),
    ...twice("text", { x: 12, y: 182 }, angle(length)),
  );
}

/** A picture from our own server; nobody else is asked for one. */
function own(href) {
  try {
    const address = new URL(href, window.location.href);
    return address.origin === window.location.origin ? address.href : null;
  } catch {
    return null;
  }
}

export class Sky {
  /**
   * @param {string} address   of the page that shows Aladin Lite; empty where it is not configured
   * @param {{left: () => void, changed: () => void}} hooks   the reader has let go of the frame, so that the keys belong
   *   to the page again; Aladin Lite has come, or does not come
   */
  constructor(address, { left, changed }) {
    this.address = address;
    this.left = left;
    this.changed = changed;
    this.frame = null;
    this.ready = false;
    this.place = null;
    this.picture = make("div", { class: "picture" });
    this.caption = make("p", { class: "small soft" });
    this.box = make("div", { class: "sky-box" }, this.picture);
    this.element = make("figure", { class: "sky" }, this.box, this.caption);
    window.addEventListener("message", (event) => this.heard(event));
  }

  /**
   * @param {{href: string, alt: string, fov: number} | null} image   `fov` in arcseconds
   * @param {{ra: number, dec: number} | null} position   ICRS degrees
   * @param {boolean} visible   a panel that nobody sees loads nothing
   */
  show(image, position, visible) {
    const fov = Number(image?.fov) > 0 ? Number(image.fov) : 120;
    this.draw(image, fov);
    const place = position ? `${position.ra.toFixed(5)} ${position.dec >= 0 ? "+" : ""}${position.dec.toFixed(5)}` : "";
    this.caption.textContent = [image || position ? `${angle(fov)} wide` : "", place].filter(Boolean).join(" · ");
    this.place = position && { ra: position.ra, dec: position.dec, fov: fov / 3600 };
    if (this.place && visible && this.address && !this.frame) this.load();
    this.element.hidden = !image && !(this.place && this.address); // nothing to see is no black box
    this.box.classList.toggle("aladin", this.active);
    this.send();
  }

  draw(image, fov) {
    const source = image && own(image.href);
    if (!source) {
      this.picture.replaceChildren(make("p", { class: "soft small" }, image ? "The picture is not on this server." : ""));
      return;
    }
    const now = this.picture.querySelector("img");
    if (now?.src === source) return;
    const lost = () => this.picture.replaceChildren(make("p", { class: "soft small" }, "The picture could not be fetched."));
    const picture = make("img", { alt: String(image.alt || "Sky around the object"), decoding: "async", fetchPriority: "low", onerror: lost });
    picture.src = source;
    this.picture.replaceChildren(picture, marks(fov));
  }

  /** Whether Aladin Lite shows the place. */
  get active() {
    return this.ready && Boolean(this.place);
  }

  /** Nothing of the object before stays in sight while another is on its way. */
  clear() {
    this.picture.replaceChildren();
    this.caption.textContent = "";
    this.box.classList.remove("aladin");
  }

  load() {
    const frame = make("iframe", { title: "Sky around the object, in Aladin Lite", src: this.address, referrerPolicy: "no-referrer" });
    frame.setAttribute("sandbox", "allow-scripts"); // somebody else's program: it has no part in this page
    this.frame = frame;
    this.box.append(frame);
    this.timer = setTimeout(() => this.fail(), PATIENCE);
  }

  heard({ source, data }) {
    if (!this.frame || source !== this.frame.contentWindow) return;
    if (data === "ready") {
      clearTimeout(this.timer);
      this.ready = true;
      this.box.classList.toggle("aladin", this.active);
      this.send();
      this.changed();
    } else if (data === "failed") this.fail();
    else if (data === "left") this.left();
  }

  /** It does not come: the image serves, for as long as this page is open. */
  fail() {
    clearTimeout(this.timer);
    this.frame?.remove();
    this.ready = false;
    this.address = "";
    this.box.classList.remove("aladin");
    this.changed();
  }

  /** Say where to look, once: who has moved the sky since is not called back. */
  send() {
    const said = JSON.stringify(this.place);
    if (!this.active || said === this.said) return;
    this.said = said;
    this.frame.contentWindow.postMessage(this.place, "*"); // a sandbox has no origin
  }
}
