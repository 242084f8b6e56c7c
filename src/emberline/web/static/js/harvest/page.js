// Getting spectra: choose servers, constrain, look at the joined table, select, fetch as a job, follow it.
import { say } from "../page.js";
import { call, make, plural } from "./client.js";
import * as history from "./history.js";
import * as services from "./services.js";
import { Records } from "./table.js";

const KEPT = "emberline-harvest-search";
const place = (id) => document.getElementById(id);
const text = (id) => place(id).value.trim();

let search = ""; // the search that is shown
let turn = 0; // grows with every search, so that answers to older ones are let go

const records = new Records(selection);

function selection() {
  const count = records.selected.size;
  place("chosen").textContent = count ? `${plural(count, "spectrum", "spectra")} selected` : "nothing selected";
  place("go").disabled = !count;
}

function complain(where, error, names = {}) {
  for (const input of document.querySelectorAll("#harvest [aria-invalid]")) input.removeAttribute("aria-invalid");
  const wrong = Object.entries(error.fields ?? {});
  const box = place(where);
  const detail = wrong.map(([name, reason]) => `${name.split(".").at(-1)}: ${reason}`).join("; ");
  box.textContent = detail || error.message;
  box.hidden = false;
  const inputs = wrong.map(([name]) => place(names[name] ?? name.split(".").at(-1))).filter(Boolean);
  for (const input of inputs) input.setAttribute("aria-invalid", "true");
  inputs[0]?.focus();
}

function fine(where) {
  place(where).hidden = true;
  for (const input of document.querySelectorAll("#harvest [aria-invalid]")) input.removeAttribute("aria-invalid");
}

// The servers' states ----------------------------------------------------------------------------------------------

const STATES = { waiting: "waiting", asked: "answered", failed: "failed" };

function state_row(state) {
  const again = state.error ? make("button", { type: "button", textContent: "Ask again" }) : null;
  again?.setAttribute("aria-label", `Ask again: ${state.title}`);
  again?.addEventListener("click", () => ask_again(state.service));
  const remark = state.error || (state.more ? "It has more than it gave: raise the limit, or narrow the search." : "");
  return make("tr", { "data-state": state.state },
    make("th", { scope: "row", textContent: state.title, title: state.service }),
    make("td", {}, make("span", { className: `state ${state.state}`, textContent: STATES[state.state] })),
    make("td", { className: "right", textContent: state.state === "waiting" ? "" : state.records.toLocaleString("en") }),
    make("td", { className: "remark" }, remark, remark && again ? " " : null, again));
}

function show(found) {
  place("states").hidden = place("results").hidden = place("fetch").hidden = false;
  place("state-rows").replaceChildren(...found.services.map(state_row));
  const waiting = found.services.filter((state) => state.state === "waiting").length;
  const full = found.full ? " The table is full: narrow the search." : "";
  place("asked").textContent = found.error || (waiting ? `${plural(waiting, "server")} still asked…` : `All have answered.${full}`);
  records.add(found.records.filter((record) => record.number >= records.records.length));
}

async function ask_again(service) {
  try {
    await call("POST", `/searches/${search}/retry`, { service });
    watch(search);
  } catch (error) {
    complain("wrong", error);
  }
}

/** Show what comes of a search until every server has answered. */
async function watch(id) {
  turn += 1;
  const mine = turn;
  let version = -1;
  for (;;) {
    let found;
    try {
      const query = new URLSearchParams({ first: records.records.length, version, wait: version < 0 ? 0 : 20 });
      found = await call("GET", `/searches/${id}?${query}`);
    } catch (error) {
      if (mine === turn && error.status === 404) forget();
      else if (mine === turn) complain("wrong", error);
      return;
    }
    if (mine !== turn) return;
    version = found.version;
    show(found);
    if (!found.busy) {
      say(`${plural(found.total, "spectrum", "spectra")} found`);
      return;
    }
  }
}

function forget() {
  search = "";
  place("states").hidden = place("results").hidden = place("fetch").hidden = true;
  try {
    sessionStorage.removeItem(KEPT);
  } catch { /* nothing was kept */ }
}

async function ask(event) {
  event.preventDefault();
  const chosen = services.chosen();
  const limit = text("limit");
  if (!chosen.length) {
    complain("wrong", new Error("No server is chosen: choose some above, or add an address."));
    return;
  }
  if (limit && !/^[1-9]\d{0,4}$/.test(limit)) {
    complain("wrong", { fields: { limit: "expected a whole number, 50000 at most" } });
    return;
  }
  try {
    const found = await call("POST", "/searches", {
      services: chosen, positions: text("positions").split("\n").filter((line) => line.trim()),
      size: text("size"), band: text("band"), time: text("time"), limit: limit ? Number(limit) : null,
    });
    fine("wrong");
    search = found.id;
    try {
      sessionStorage.setItem(KEPT, search);
    } catch { /* it holds for this page alone */ }
    records.clear();
    place("option-fields").replaceChildren();
    place("states").scrollIntoView({ block: "nearest" });
    watch(search);
  } catch (error) {
    complain("wrong", error);
  }
}

// Options and fetching ---------------------------------------------------------------------------------------------

function option_field(offer) {
  const id = `option-${offer.name}`;
  const interval = offer.name === "BAND";
  const known = offer.values.length > 0;
  const input = known ? make("select", { id }, make("option", { value: "", textContent: "as it is" }),
    ...offer.values.map((value) => make("option", { textContent: value })))
    : make("input", { id, autocomplete: "off", placeholder: interval ? "6500/6700" : "" });
  input.dataset.option = offer.name;
  const unit = interval ? "vacuum Å, or with a unit" : offer.unit;
  const help = [offer.description, unit && `(${unit})`, `– ${offer.services.join(", ")}`].filter(Boolean).join(" ");
  input.setAttribute("aria-describedby", `help-${id}`);
  return make("div", { className: "field" }, make("label", { htmlFor: id, textContent: interval ? "Cut-out (BAND)" : offer.name }),
    input, make("p", { className: "help", id: `help-${id}`, textContent: help }));
}

async function offer() {
  const button = place("options");
  const help = place("options-help");
  button.disabled = true;
  help.textContent = "Asking the servers…";
  try {
    const { options, errors } = await call("GET", `/searches/${search}/options`);
    place("option-fields").replaceChildren(...options.map(option_field));
    const failed = Object.entries(errors).map(([title, reason]) => `${title}: ${reason}`).join(" ");
    help.textContent = (options.length ? "A file whose server does not have a chosen option fails, and says so."
      : "These servers offer nothing but the files as they are.") + (failed ? ` ${failed}` : "");
  } catch (error) {
    help.textContent = error.message;
  }
  button.disabled = false;
}

async function fetch_them(event) {
  event.preventDefault();
  if (!records.selected.size) return;
  if (!text("into")) {
    complain("refused", { fields: { into: "the archive has no name yet" } });
    return;
  }
  const options = {};
  for (const input of document.querySelectorAll("[data-option]")) {
    if (input.value.trim()) options[input.dataset.option] = input.value.trim();
  }
  place("go").disabled = true;
  try {
    const made = await call("POST", `/searches/${search}/fetch`, {
      into: text("into"), rows: records.runs(), options, keep: place("keep").checked,
      medium: place("medium").value, label: text("label"),
    });
    fine("refused");
    const known = made.selected - made.added;
    place("chosen").textContent = `${plural(made.added, "file")} queued${known ? `; ${known} were there already` : ""}.`;
    history.follow(made.job);
    place("history").scrollIntoView({ block: "nearest" });
  } catch (error) {
    complain("refused", error);
  }
  place("go").disabled = false;
}

services.begin();
history.begin();
selection();
place("ask").addEventListener("submit", ask);
place("fetch").addEventListener("submit", fetch_them);
place("options").addEventListener("click", offer);
try {
  const kept = sessionStorage.getItem(KEPT);
  if (kept) {
    search = kept;
    watch(kept);
  }
} catch { /* nothing was kept */ }
