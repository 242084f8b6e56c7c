// What became of each file of an archive, followed while a job is at work on it.
import { listen } from "../live.js";
import { say } from "../page.js";
import { localise } from "../times.js";
import { call, link, make, size } from "./client.js";

const STEP = 100;
const EVERY = 1000; // milliseconds between two looks at the history, at least
const root = document.getElementById("harvest");
const archive = document.getElementById("history-archive");
const place = (id) => document.getElementById(id);

let limit = STEP;
let states = new Set();
let looking = null;
let again = false;
let last = 0;
let job = "";

const wait = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

function row(file) {
  const name = file.title || file.target || file.address;
  const facts = [file.service_title, ...Object.entries(file.options).map(([key, value]) => `${key}=${value}`),
    file.identifiers.length ? `→ ${file.identifiers.join(", ")}` : ""].filter(Boolean).join(" · ");
  const moment = file.ended || file.fetched || file.begun || file.added;
  const retry = file.state === "failed" ? make("button", { type: "button", textContent: "Try again" }) : null;
  retry?.setAttribute("aria-label", `Try again: ${name}`);
  retry?.addEventListener("click", () => try_again([file.number]));
  return make("tr", { "data-state": file.state },
    make("td", { className: "right", textContent: file.number }),
    make("td", { className: "file" }, link(file.address, name),
      facts ? make("span", { className: "small", textContent: facts }) : null,
      file.error ? make("span", { className: "wrong", textContent: file.error }) : null),
    make("td", {}, make("span", { className: `state ${file.state}`, textContent: file.state })),
    make("td", { className: "right nowrap", textContent: size(file.bytes) }),
    make("td", { className: "mono", textContent: file.sha256.slice(0, 10), title: file.sha256 }),
    make("td", { className: "right", textContent: file.tries || "" }),
    make("td", { className: "nowrap" }, make("time", { dateTime: moment })),
    make("td", {}, retry));
}

function counts(found) {
  const list = place("count-list");
  const boxes = Object.entries(found.counts).filter(([, count]) => count).map(([state, count]) => {
    const box = make("input", { type: "checkbox", checked: states.has(state) });
    box.addEventListener("change", () => {
      if (box.checked) states.add(state);
      else states.delete(state);
      look();
    });
    return make("li", {}, make("label", {}, box, `${state} ${count.toLocaleString("en")}`));
  });
  if (!list.contains(document.activeElement)) list.replaceChildren(...boxes);
  else for (const [index, box] of boxes.entries()) list.children[index]?.querySelector("label")?.lastChild.replaceWith(box.textContent);
  place("counts").hidden = !boxes.length;
  place("again").hidden = !found.counts.failed;
}

async function take() {
  await wait(Math.max(0, last + EVERY - performance.now()));
  last = performance.now();
  const wanted = archive.value;
  if (!wanted) {
    place("counts").hidden = place("files").hidden = place("older").hidden = true;
    place("no-files").textContent = "Choose an archive to see what was fetched into it.";
    return;
  }
  const query = new URLSearchParams([["archive", wanted], ["limit", limit], ...[...states].map((state) => ["state", state])]);
  const found = await call("GET", `/history?${query}`);
  if (archive.value !== wanted) return;
  counts(found);
  place("file-rows").replaceChildren(...found.files.map(row));
  localise(place("file-rows"));
  place("files").hidden = !found.files.length;
  const all = Object.entries(found.counts).reduce((sum, [state, count]) => sum + (states.size && !states.has(state) ? 0 : count), 0);
  place("older").hidden = found.files.length >= all;
  place("no-files").textContent = found.files.length ? "" : "Nothing was fetched into this archive yet.";
}

/** Look at the history, soon; many calls at once become one look. */
export async function look() {
  if (looking) {
    again = true;
    return;
  }
  looking = true;
  do {
    again = false;
    try {
      await take();
    } catch (error) {
      place("no-files").textContent = error.message;
    }
  } while (again);
  looking = null;
}

async function try_again(numbers) {
  try {
    const made = await call("POST", "/history/retry", {
      archive: archive.value, numbers, medium: place("medium").value,
    });
    follow(made.job);
  } catch (error) {
    place("no-files").textContent = error.message;
  }
}

function show(found) {
  place("job").hidden = false;
  place("job-link").href = `/jobs/${found.id}`;
  place("job-link").textContent = found.label || "The job";
  place("job-phase").textContent = found.phase.toLowerCase();
  place("job-message").textContent = found.failure?.message ?? found.message;
  const bar = place("job-progress");
  if (found.progress === null) bar.removeAttribute("value");
  else bar.value = found.progress;
  bar.hidden = ["COMPLETED", "ERROR", "ABORTED", "ARCHIVED"].includes(found.phase);
}

/** Show an archive's history, and a job that is at work on it. */
export function follow(found) {
  const into = found.parameters.into;
  if (![...archive.options].some((option) => option.value === into)) archive.append(make("option", { textContent: into }));
  archive.value = into;
  job = found.id;
  states = new Set();
  show(found);
  look();
}

export function begin() {
  archive.addEventListener("change", () => {
    limit = STEP;
    states = new Set();
    place("job").hidden = true;
    job = "";
    look();
  });
  place("older").addEventListener("click", () => { limit = Math.min(5000, limit + 5 * STEP); look(); });
  place("again").addEventListener("click", () => try_again(null));
  listen(`/api/events?since=${root.dataset.since}`, {
    jobs({ changed }) {
      for (const one of changed) {
        if (one.type !== "harvest" || one.parameters.into !== archive.value) continue;
        if (job && one.id !== job && one.phase !== "EXECUTING") continue;
        const before = place("job-phase").textContent;
        job = one.id;
        show(one);
        look();
        if (before !== one.phase.toLowerCase() && one.phase === "COMPLETED") say("The job has ended: see the history");
      }
    },
  }, look);
  look();
}
