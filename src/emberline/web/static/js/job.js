// A job's page: progress as it comes, the log as it grows, and everything else when the phase changes.
import { confirmed } from "./confirm.js";
import { listen, refresh } from "./live.js";
import { say } from "./page.js";

const id = document.getElementById("job").dataset.id;
const url = `/api/jobs/${encodeURIComponent(id)}`;
const log = document.getElementById("log");
const follow = document.getElementById("follow");
const LONGEST = 400_000; // characters of log that the page keeps
const AT_END = 24; // pixels that still count as the end
const EXECUTING = "EXECUTING";

let following = true;
let next = Number(log.dataset.next);
let version = 0;
let spoken = 0;

function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// While it executes only these few places change; anything else is taken from the server's own page.
function progress(job) {
  const bar = document.getElementById("bar");
  if (job.progress === null) bar.removeAttribute("value");
  else bar.value = job.progress;
  const percent = job.progress === null ? "" : `${Math.floor(100 * job.progress)} %`;
  const eta = job.eta === null ? "" : `about ${duration(job.eta)} left`;
  for (const [place, text] of [["percent", percent], ["message", job.message], ["eta", eta]]) {
    const element = document.getElementById(place);
    if (element.textContent !== text) element.textContent = text;
  }
  const step = job.progress === null ? 0 : Math.floor(4 * job.progress);
  if (step > spoken) say(`${percent} done`);
  spoken = Math.max(spoken, step);
}

function changed(job) {
  if (job.version < version) return;
  version = job.version;
  const shown = document.getElementById("job").dataset.phase;
  if (job.phase === EXECUTING && shown === EXECUTING) {
    progress(job);
    return;
  }
  if (job.phase !== shown) say(`This job is now ${job.phase.toLowerCase()}`);
  refresh();
}

function append(text) {
  if (!text) return;
  log.append(text);
  if (log.textContent.length > 1.25 * LONGEST) {
    const kept = log.textContent.slice(-LONGEST);
    log.textContent = kept.slice(kept.indexOf("\n") + 1);
  }
  if (following) log.scrollTop = log.scrollHeight;
}

let fetching = false;
async function more() {
  if (fetching) return;
  fetching = true;
  try {
    for (;;) {
      const answer = await fetch(`${url}/log?offset=${next}`);
      if (!answer.ok) break;
      const part = await answer.json();
      if (part.next <= next) break;
      next = part.next;
      append(part.text);
    }
  } catch { /* the stream of events says that the server is gone */ }
  fetching = false;
}

function show_follow() {
  follow.setAttribute("aria-pressed", String(following));
}

follow.hidden = false;
follow.addEventListener("click", () => {
  following = !following;
  if (following) log.scrollTop = log.scrollHeight;
  show_follow();
});
log.addEventListener("scroll", () => {
  const end = log.scrollHeight - log.clientHeight - log.scrollTop < AT_END;
  if (end !== following) {
    following = end;
    show_follow();
  }
});
log.scrollTop = log.scrollHeight;
show_follow();

confirmed(["archive", "delete"]);
document.addEventListener("refreshed", more);
listen(`${url}/events`, { job: changed, log: more, deleted: refresh }, () => {
  refresh();
  more();
});
