// Keeps a page up to date: listens to the server's events, and takes over the parts of the page that have changed.
import { localise } from "./times.js";
import { morph } from "./morph.js";

const EVERY = 1000; // milliseconds between two looks at the same page, at least

let running = null;
let again = false;
let last = 0;

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function notice(text) {
  const lost = document.getElementById("lost");
  if (lost.textContent !== text) lost.textContent = text;
  lost.hidden = !text;
}

async function take() {
  await wait(Math.max(0, last + EVERY - performance.now()));
  last = performance.now();
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual", cache: "no-store" });
  if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) {
    notice("You are signed out: reload this page to sign in again.");
    return;
  }
  if (answer.status === 404) {
    notice("This is no longer here: it has been deleted.");
    return;
  }
  if (!answer.ok) throw new Error(`${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  localise(fresh);
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = document.getElementById(part.id);
    if (old) morph(old, part);
  }
  document.title = fresh.title;
  document.dispatchEvent(new CustomEvent("refreshed"));
}

/** Look at the page again, soon; many calls at once become one look. */
export async function refresh() {
  if (running) {
    again = true;
    return running;
  }
  running = (async () => {
    do {
      again = false;
      try {
        await take();
      } catch {
        return; // the server is gone: the stream of events says so, and asks again when it is back
      }
    } while (again);
  })();
  await running;
  running = null;
}

const HIDDEN_EVERY = 20_000; // milliseconds between looks while nobody looks

/**
 * Listen to a stream of events; `handlers` maps their names to functions that are given the data. A page that nobody
 * sees holds no stream, since browsers allow few to one server; it looks now and then, so that its title is right.
 */
export function listen(address, handlers, opened = refresh) {
  let stream = null;
  let failed = false;

  function fail() {
    failed = true;
    notice("The server does not answer. Trying again… What is shown may be out of date.");
    if (stream?.readyState !== EventSource.CLOSED) return; // it tries again by itself
    stream = null;
    refresh(); // refused rather than lost: the page knows why
    setTimeout(begin, 5000);
  }

  function begin() {
    if (stream || document.hidden) return;
    stream = new EventSource(address);
    for (const [name, handler] of Object.entries(handlers)) {
      stream.addEventListener(name, (event) => handler(JSON.parse(event.data)));
    }
    stream.addEventListener("open", () => {
      notice("");
      if (failed) opened();
      failed = false;
    });
    stream.addEventListener("error", fail);
  }

  function end() {
    stream?.close();
    stream = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      end();
    } else {
      failed = true;
      begin();
    }
  });
  addEventListener("pagehide", end);
  addEventListener("pageshow", begin);
  setInterval(() => document.hidden && refresh(), HIDDEN_EVERY);
  begin();
}
