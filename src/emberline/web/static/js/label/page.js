// The oracle's page: puts the parts together, and says what each key and button does.

import { Card } from "./card.js";
import { Client } from "./client.js";
import { Context, afterPaint } from "./context.js";
import { byId, make } from "./elements.js";
import { Grid } from "./grid.js";
import { Help } from "./help.js";
import { Keys } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Overlays } from "./overlays.js";
import { SpectrumPlot } from "./plot.js";
import { Session } from "./session.js";
import { Sidebar } from "./sidebar.js";
import { windowName } from "./tab.js";
import { Toolbar } from "./toolbar.js";

const root = byId("label");
const client = new Client(root.dataset.api, root.dataset.user);
const windowPlot = new SpectrumPlot(byId("window-plot"), { yLabel: "As the network sees it" });
const wholePlot = new SpectrumPlot(byId("whole-plot"));
let campaign;
let session;
let sidebar;
let toolbar;
let grid;
let card;
let help;
let keys;
let overlays;
let context;
let view = null; // of the spectrum that is seen; null while another is on its way
let broken = false; // whether it cannot be shown

function trouble(error) {
  const box = byId("trouble");
  box.hidden = !error;
  box.replaceChildren(...(error ? [`${error.message}. `, make("button", { type: "button", onclick: () => retry() }, "Try again")] : []));
}

function retry() {
  trouble(null);
  if (session.current) session.go(session.at);
  else session.next();
}

/** Which of the three faces is seen: the spectrum, the grid, the card. */
function face(name) {
  if (byId(name).hidden) window.scrollTo(0, 0); // what was read of another face is no place in this one
  byId("spectrum").hidden = name !== "spectrum";
  if (name !== "grid") grid.close();
  if (name !== "card") card.close();
  for (const each of ["grid", "card"]) {
    document.querySelector(`[data-action="${each}"]`).setAttribute("aria-pressed", String(name === each));
  }
}

async function show({ item, view: coming }) {
  face("spectrum");
  const place = session.at;
  history.replaceState(null, "", `?${new URLSearchParams({ spectrum: item.identifier, ...(item.task && { task: item.task }) })}`);
  view = null;
  broken = false;
  context.leave();
  overlays.clear();
  sidebar.show(item);
  progress();
  try {
    const found = await coming;
    if (session.at !== place || session.current !== item) return;
    view = found;
    paint();
    context.enter(item.identifier, found.position, session.ahead);
    trouble(null);
    if (!campaign.blind || (item.decision && item.decision.kind !== "skip")) reveal();
  } catch (error) {
    if (session.at !== place || session.current !== item) return;
    broken = true;
    trouble(new Error(`${item.identifier} cannot be shown: ${error.message}`));
  }
}

function paint() {
  const { spectrum, window: seen } = view;
  byId("object-name").textContent = view.name;
  byId("object-facts").textContent = view.subtitle;
  byId("window-facts").textContent = view.window_text;
  byId("whole-facts").textContent = view.spectrum_text;
  byId("summary").textContent = view.summary;
  wholePlot.set({ overlays: [], band: seen.band });
  windowPlot.show({ wavelength: seen.wavelength, flux: seen.values, mask: seen.mask }, toolbar.scale);
  wholePlot.show(spectrum, toolbar.scale);
  sidebar.panels(view);
  byId("table").open = false;
  requestAnimationFrame(() => {
    root.dataset.painted = session.current.identifier;
    performance.mark("painted", { detail: session.current.identifier });
  });
  const here = view;
  afterPaint(() => view === here && overlays.show(here));
}

async function reveal() {
  const item = session.current;
  if (!item) return null;
  const since = session.shownAt;
  try {
    const opinion = await client.opinion(item.identifier, item.task);
    // An answer may have been taken back meanwhile: what comes late is not shown to who is to answer anew.
    if (session.current === item && session.shownAt === since) sidebar.opinion(opinion);
    return opinion;
  } catch (error) {
    trouble(error);
    return null;
  }
}

function accept() {
  if (sidebar.suggestion) decide("label", sidebar.suggestion);
}

async function undo() {
  const inGrid = !byId("grid").hidden;
  const action = await session.undo();
  if (!action || !inGrid || byId("grid").hidden) return;
  await grid.open().catch(trouble);
}

function decide(kind, answer = null) {
  if (byId("spectrum").hidden || !session.current) return;
  if (!view && !(broken && (kind === "skip" || answer === "bad"))) return; // nobody decides on what is not to be seen
  sidebar.leave();
  const shown = { ...toolbar.shown, revealed: sidebar.revealed, context: context.seen };
  if (session.current.secondLook) shown.second_look = true;
  session.decide(kind, answer, shown);
}

function progress(server) {
  if (server) Object.assign(campaign, { progress: server });
  const { done, total, round } = campaign.progress;
  byId("round-name").textContent = round == null ? "no round" : `Round ${round}`;
  byId("round-progress").value = total ? done / total : 0;
  byId("round-count").textContent = `${done} of ${total}`;
}

async function openGrid() {
  if (!byId("grid").hidden) {
    if (session.current) face("spectrum");
    else session.next();
    return;
  }
  face("grid");
  await grid.open().catch(trouble);
}

async function openCard(ended) {
  face("card");
  await card.open(ended).catch(trouble);
}

function table() {
  if (!byId("table").open || !view) return;
  const { wavelength, flux, ivar, mask } = view.spectrum;
  const from = wholePlot.indexOf(wholePlot.plot.scales.x.min);
  const to = Math.min(wholePlot.indexOf(wholePlot.plot.scales.x.max), from + 499);
  const rows = [];
  for (let i = from; i <= to; i += 1) {
    const noise = ivar?.[i] > 0 ? (1 / Math.sqrt(ivar[i])).toPrecision(3) : "–";
    const cells = [toolbar.scale.show(wavelength[i]).toFixed(2), flux[i].toPrecision(5), noise, mask?.[i] ? "masked" : ""];
    rows.push(make("tr", {}, cells.map((text) => make("td", { class: "right" }, text))));
  }
  const head = [toolbar.scale.label, "Flux", "σ", "Mask"].map((text) => make("th", {}, text));
  const note = make("caption", {}, `The ${rows.length} pixels from the left edge of the view on; zoom or pan, and open again for others.`);
  byId("table-body").replaceChildren(make("table", {}, note, make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows)));
}

function actions() {
  const zoomed = (act) => () => [windowPlot, wholePlot].forEach(act);
  return {
    ...Object.fromEntries(campaign.classes.map((name, i) => [`class-${i + 1}`, () => decide("label", name)])),
    "not-sure": () => decide("label", "not sure"),
    bad: () => decide("label", "bad"),
    skip: () => decide("skip"),
    undo,
    next: () => session.next(),
    previous: () => session.previous(),
    accept,
    reveal,
    flag: () => sidebar.flag(),
    comment: () => byId("comment").focus(),
    "smooth-more": () => toolbar.smoothing(toolbar.sigma + 0.5),
    "smooth-less": () => toolbar.smoothing(toolbar.sigma - 0.5),
    lines: () => toolbar.cycleLists(),
    "line-previous": () => toolbar.cycleLine(-1),
    "line-next": () => toolbar.cycleLine(1),
    "pan-left": zoomed((plot) => plot.pan(-0.2)),
    "pan-right": zoomed((plot) => plot.pan(0.2)),
    "zoom-in": zoomed((plot) => plot.zoom(1.5)),
    "zoom-out": zoomed((plot) => plot.zoom(1 / 1.5)),
    reset: zoomed((plot) => plot.reset()),
    overlays: () => view && overlays.toggle(),
    panels: () => context.toggle(),
    grid: openGrid,
    card: () => (byId("card").hidden ? openCard(false) : session.current ? face("spectrum") : session.next()),
    help: () => help.toggle(),
  };
}

function saving({ state, message, waiting }) {
  const box = byId("saved");
  box.dataset.state = state;
  const left = `${waiting} ${waiting === 1 ? "action waits" : "actions wait"} in this browser`;
  const until = session.outbox.lasting ? "" : "; leave this tab open until it says saved";
  byId("saved-text").textContent = { saved: "Saved", saving: "Saving …", offline: `Not saved yet: ${message}; ${left}${until}` }[state];
}

async function refused() {
  const list = await session.outbox.refused();
  const dismiss = make("button", { type: "button", onclick: () => session.outbox.forget().then(refused) }, "I have seen it");
  const box = byId("refused");
  box.hidden = !list.length;
  box.replaceChildren(make("strong", {}, "The server did not take:"), dismiss, make("ul", {}, list.slice(-5).map((action) => make("li", {}, `${action.kind} ${action.answer ?? ""} on ${action.identifier ?? "several"}: ${action.message}`))));
}

function listen(outbox) {
  document.addEventListener("click", (event) => {
    const action = event.target.closest("[data-action]")?.dataset.action;
    if (!action) return;
    keys.actions[action]?.();
    // A button that was clicked would keep the focus, and Space would press it again at the next spectrum.
    if (event.detail && !byId("spectrum").hidden && !["comment", "help"].includes(action)) byId("object-name").focus({ preventScroll: true });
  });
  outbox.addEventListener("state", (event) => saving(event.detail));
  outbox.addEventListener("sent", (event) => {
    progress(event.detail.reply.progress);
    refused();
  });
  overlays.addEventListener("change", () => toolbar.overlays(overlays.on));
  session.addEventListener("ahead", () => context.ahead(session.ahead));
  session.addEventListener("show", (event) => show(event.detail));
  session.addEventListener("looked", () => session.outbox.idle().then(() => openCard(false)));
  session.addEventListener("end", () => openCard(true));
  session.addEventListener("trouble", (event) => trouble(event.detail));
  session.addEventListener("change", () => session.current && sidebar.decided(session.current));
  byId("table").addEventListener("toggle", table);
  wholePlot.addEventListener("cursor", ({ detail }) => {
    byId("cursor").textContent = detail ? `${toolbar.scale.format(detail.wavelength)}  ${detail.flux.toPrecision(4)}` : "";
  });
}

async function start() {
  client.name = await windowName(root.dataset.campaign);
  campaign = await client.campaign();
  const outbox = new Outbox(`emberline:${root.dataset.user}:${root.dataset.campaign}`, (sent) => client.act(sent));
  session = new Session(client, outbox);
  keys = new Keys({});
  help = new Help(keys, campaign);
  toolbar = new Toolbar([windowPlot, wholePlot], campaign.line_lists, () => view && paint());
  sidebar = new Sidebar(campaign, keys, { note: (note) => session.note(note) });
  overlays = new Overlays(wholePlot, client, () => session.again());
  context = new Context(client, overlays, { sky: root.dataset.sky, focus: () => byId("object-name").focus({ preventScroll: true }) });
  grid = new Grid(client, campaign, session);
  card = new Card(client, session, {
    answers: campaign.answers,
    label: () => session.onward(),
    look: (item) => lookAgain(item),
    newRound,
  });
  keys.actions = actions();
  help.named();
  listen(outbox);
  progress();
  await outbox.open();
  const asked = new URLSearchParams(window.location.search);
  const fresh = campaign.progress.done === 0 && !asked.has("spectrum");
  if (asked.has("card") || fresh) {
    await Promise.all([session.load(), openCard(false)]);
    session.prefetch().catch(() => {});
  } else await session.begin(asked.get("spectrum"), asked.get("task"));
}

/** The next round is there: its card, unless somebody is labelling, who meets its questions by and by. */
function newRound() {
  if (!byId("card").hidden) window.location.assign("?card");
}

/** Show a spectrum that was answered before, so that the answer can be changed. */
function lookAgain(item) {
  session.lookAt(item.identifier, { secondLook: Boolean(item.reason), fromCard: true });
}

start().catch(trouble);
