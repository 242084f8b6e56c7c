// The list of jobs and the workspace: live rows, filters that act at once, several jobs at a time.
import { confirmed } from "./confirm.js";
import { listen, refresh } from "./live.js";
import { say } from "./page.js";

const filters = document.getElementById("filters");
const act = document.getElementById("act");

// Only what is set stands in the address.
function address() {
  const data = new FormData(filters);
  const kept = [...data].filter(([, value]) => value !== "");
  const query = new URLSearchParams(kept).toString();
  return query ? `/jobs?${query}` : "/jobs";
}

let typing;
async function filter() {
  clearTimeout(typing);
  if (address() === location.pathname + location.search) return;
  history.pushState(null, "", address());
  document.getElementById("back").value = location.search.slice(1);
  await refresh();
  say(document.getElementById("pager").textContent.trim() || "No jobs");
}

function boxes() {
  return act ? [...act.querySelectorAll('input[name="id"]')] : [];
}

function count() {
  const all = document.getElementById("all");
  if (!all) return;
  const chosen = boxes().filter((box) => box.checked).length;
  all.checked = chosen > 0 && chosen === boxes().length;
  all.indeterminate = chosen > 0 && !all.checked;
  const text = chosen ? `${chosen} selected` : "none selected";
  const output = document.getElementById("selected");
  if (output.textContent !== text) output.textContent = text;
  for (const button of act.querySelectorAll(".selection button")) button.disabled = !chosen;
}

if (filters) {
  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    filter();
  });
  filters.addEventListener("change", filter);
  filters.addEventListener("input", (event) => {
    if (event.target.type !== "search") return;
    clearTimeout(typing);
    typing = setTimeout(filter, 400);
  });
  addEventListener("popstate", () => location.reload());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}
if (act) {
  act.addEventListener("change", (event) => {
    if (event.target.id === "all") for (const box of boxes()) box.checked = event.target.checked;
    count();
  });
  confirmed(["abort", "archive", "delete"]);
  count();
}

// What ended while one looks is said aloud, once.
const phases = new Map();
function phase_changes(quiet) {
  for (const row of document.querySelectorAll("tr[data-phase]")) {
    const { phase } = row.dataset;
    const before = phases.get(row.id);
    if (!quiet && before && before !== phase && ["COMPLETED", "ERROR", "ABORTED", "HELD"].includes(phase)) {
      say(`${row.querySelector(".name").textContent.trim()}: ${phase.toLowerCase()}`);
    }
    phases.set(row.id, phase);
  }
}
phase_changes(true);

document.addEventListener("refreshed", () => {
  count();
  phase_changes(false);
});
const since = document.getElementById("since").dataset.version;
listen(`/api/events?since=${since}`, {
  jobs({ changed, deleted }) {
    if (changed.length || deleted.length) refresh();
  },
});
