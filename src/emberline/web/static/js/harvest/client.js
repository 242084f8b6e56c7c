// What the page asks of the JSON API, and small tools for making elements.
const csrf = document.querySelector('meta[name="csrf-token"]').content;
const BASE = "/api/harvest";

/** Call the API; an error carries the server's sentence, and what is wrong with each entry in `fields`. */
export async function call(method, path, body) {
  const headers = { "X-CSRF-Token": csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw Object.assign(new Error("The server does not answer. Is it still running?"), { status: 0, fields: {} });
  }
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  const { message = `The server answered ${answer.status}.`, fields = {} } = content.error ?? {};
  throw Object.assign(new Error(message), { status: answer.status, fields });
}

/** An element with properties and children; what is null is left out. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("data-") || key.startsWith("aria-")) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** Bytes for people. */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** A link that is one: never to anything but the web. */
export function link(address, text) {
  if (!/^https?:\/\//i.test(address)) return make("span", { textContent: text, title: address });
  return make("a", { href: address, textContent: text, title: address, rel: "noreferrer noopener", target: "_blank" });
}
