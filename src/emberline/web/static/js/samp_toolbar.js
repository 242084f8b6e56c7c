// Send what is seen to TOPCAT, Aladin or SPLAT, and take tables and row selections from them as sets to label.
import { SampClient } from "./samp.js";

const root = document.getElementById("samp");
const opener = document.getElementById("samp-open");
const part = (name) => root.querySelector(`[data-samp="${name}"]`);
const MOST_BYTES = 50_000_000;
const KEPT = 20;

let client = null;
let peers = [];
const tables = new Map(); // table-id → {name, identifiers, url}: which spectrum each row is
let offered = null;

function say(text, bad = false) {
  const box = part("said");
  box.textContent = text;
  box.classList.toggle("bad", bad);
}

async function server(path, { body, query = {}, type = "application/json" } = {}) {
  const address = `${root.dataset.api}/${path}?${new URLSearchParams({ campaign: root.dataset.campaign, ...query })}`;
  const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  let reply;
  try {
    reply = await fetch(address, { method: "POST", body, credentials: "same-origin", headers: { "Content-Type": type, "X-CSRF-Token": csrf } });
  } catch {
    throw new Error("the server cannot be reached");
  }
  const answer = await reply.json().catch(() => null);
  if (!reply.ok) throw new Error(answer?.error?.message ?? `the server answered ${reply.status}`);
  return answer;
}

/** The spectrum that is seen on the page. */
const seen = () => document.getElementById("label")?.dataset.painted ?? "";

// Opening and closing -------------------------------------------------------------------------------------------------

function open(wanted) {
  root.hidden = !wanted;
  opener.setAttribute("aria-expanded", String(wanted));
}

// Coming and going ----------------------------------------------------------------------------------------------------

function show() {
  const here = Boolean(client?.connected);
  root.dataset.state = opener.dataset.state = here ? "connected" : "apart";
  part("connect").hidden = here;
  part("tools").hidden = !here;
}

async function connect() {
  const button = part("connect");
  button.disabled = true;
  say("Asking the SAMP hub: it will ask you whether this page may come in.");
  client = new SampClient({
    "samp.name": `Emberline: ${root.dataset.name}`,
    "samp.description.text": "Labels rare spectra; takes tables and row selections as sets to label",
  });
  client.on("table.load.votable", (parameters, sender) => takeTable(parameters, sender, "votable"));
  client.on("table.load.fits", (parameters, sender) => takeTable(parameters, sender, "fits"));
  client.on("table.select.rowList", takeRows);
  client.addEventListener("peers", refresh);
  client.addEventListener("gone", () => { show(); say("No longer at the SAMP hub."); });
  try {
    await client.connect();
    show();
    await refresh();
    say(peers.length ? "" : "Nobody else is at the SAMP hub yet.");
  } catch (error) {
    show();
    say(error.message, true);
  } finally {
    button.disabled = false;
  }
}

async function refresh() {
  if (!client?.connected) return;
  try {
    peers = await client.peers();
  } catch {
    return;
  }
  const chosen = part("peer").value;
  const wanted = part("what").value === "spectrum" ? ["spectrum.load.ssa-generic", "table.load.votable"]
    : { position: ["coord.pointAt.sky"], table: ["table.load.votable"], moc: ["coverage.load.moc.fits"] }[part("what").value];
  const takers = peers.filter((peer) => wanted.some((mtype) => peer.accepts(mtype)));
  const choices = takers.map((peer) => new Option(peer.name, peer.id));
  part("peer").replaceChildren(...(choices.length ? [new Option("all of them", "")].slice(takers.length > 1 ? 0 : 1) : []), ...choices);
  if (takers.some((peer) => peer.id === chosen)) part("peer").value = chosen;
  if (!choices.length) part("peer").append(new Option("nobody takes it", "nobody"));
  part("send").disabled = !choices.length;
}

// Sending -------------------------------------------------------------------------------------------------------------

async function send() {
  const what = part("what").value;
  const to = part("peer").value;
  part("send").disabled = true;
  say("Sending …");
  try {
    const offer = await server("offer", { body: JSON.stringify({ what, identifier: seen() }) });
    const messages = offer.messages.map(([mtype, parameters]) => [mtype, absolute(parameters)]);
    if (offer.identifiers) remember(offer.table_id, { name: offer.name, identifiers: offer.identifiers, url: messages[0][1].url });
    const takers = peers.filter((peer) => (to ? peer.id === to : messages.some(([mtype]) => peer.accepts(mtype))));
    const done = await Promise.allSettled(takers.map((peer) => client.send(peer, messages)));
    const failed = done.filter((item) => item.status === "rejected").map((item) => item.reason.message);
    const taken = takers.filter((_, index) => done[index].status === "fulfilled").map((peer) => peer.name);
    say([taken.length ? `${taken.join(", ")} took ${offer.name}.` : "", ...failed].filter(Boolean).join(" "), failed.length > 0);
  } catch (error) {
    say(error.message, true);
  } finally {
    part("send").disabled = false;
  }
}

/** The server gives paths, since it may not know under which name it is reached. */
function absolute(parameters) {
  if (!parameters.url) return parameters;
  const url = new URL(parameters.url, location.href).href;
  return { ...parameters, url, ...(parameters.meta && { meta: { ...parameters.meta, "Access.Reference": url } }) };
}

function remember(id, table) {
  tables.delete(id);
  tables.set(id, table);
  if (tables.size > KEPT) tables.delete(tables.keys().next().value);
}

// Receiving -----------------------------------------------------------------------------------------------------------

const nameOf = (sender) => peers.find((peer) => peer.id === sender)?.name ?? sender;

async function takeTable(parameters, sender, format) {
  const { url = "", name = "" } = parameters;
  const reply = await fetch(client.translated(url), { credentials: "omit", signal: AbortSignal.timeout(60000) }).catch(() => null);
  if (!reply?.ok) throw new Error("the table could not be read through the hub");
  const content = await reply.blob();
  if (content.size > MOST_BYTES) throw new Error(`the table is larger than ${MOST_BYTES / 1e6} MB`);
  const found = await server("match", { body: content, query: { format }, type: "application/octet-stream" });
  const title = name || url.split("/").pop();
  remember(parameters["table-id"] || url, { name: title, identifiers: found.rows, url });
  offer(found.identifiers, found.rows.length, `${title} from ${nameOf(sender)}`, ` by ${found.by}`);
}

function takeRows(parameters, sender) {
  const id = parameters["table-id"] ?? "";
  const table = tables.get(id) ?? [...tables.values()].find((item) => parameters.url && item.url === parameters.url);
  if (!table) throw new Error("rows of a table that this page has neither sent nor received");
  const rows = (parameters["row-list"] ?? []).map(Number);
  const names = [...new Set(rows.map((row) => table.identifiers[row]).filter(Boolean))];
  offer(names, rows.length, `${rows.length} ${rows.length === 1 ? "row" : "rows"} of ${table.name} from ${nameOf(sender)}`, "");
}

const spectra = (count) => `${count.toLocaleString("en")} ${count === 1 ? "spectrum" : "spectra"}`;

function offer(identifiers, rows, title, by) {
  offered = identifiers.length ? { identifiers, title } : null;
  open(true); // somebody elsewhere has just sent it
  part("offer").hidden = false;
  part("offer-text").textContent = `${title}: ${spectra(identifiers.length)} of the pool${by}${rows > identifiers.length ? `, of ${rows.toLocaleString("en")} rows` : ""}.`;
  part("accept").hidden = !offered;
  part("accept").textContent = identifiers.length === 1 ? "Label this spectrum" : `Label these ${spectra(identifiers.length)}`;
  part("begin").hidden = true;
}

async function accept() {
  if (!offered) return;
  part("accept").disabled = true;
  try {
    const { identifiers, title } = offered;
    const done = await server("ask", { body: JSON.stringify({ identifiers, reason: `set received by SAMP: ${title}` }) });
    part("offer-text").textContent = done.text;
    part("accept").hidden = true;
    part("begin").hidden = !done.first;
    if (done.first) part("begin").href = `${location.pathname}?${new URLSearchParams({ spectrum: done.first })}`;
    offered = null;
  } catch (error) {
    say(error.message, true);
  } finally {
    part("accept").disabled = false;
  }
}

part("connect").addEventListener("click", connect);
part("leave").addEventListener("click", () => client.disconnect());
part("send").addEventListener("click", send);
part("what").addEventListener("change", refresh);
part("accept").addEventListener("click", accept);
part("dismiss").addEventListener("click", () => { part("offer").hidden = true; offered = null; });
addEventListener("pagehide", () => client?.disconnect());
opener.addEventListener("click", () => open(root.hidden));
root.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  open(false);
  opener.focus();
});
opener.hidden = false;
show();
