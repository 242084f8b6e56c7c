// A person's password and tokens, and for administrators everybody's accounts, all by the JSON API.
import { localise } from "./times.js";
import { say } from "./page.js";

const csrf = document.querySelector('meta[name="csrf-token"]').content;
const user = document.querySelector("h1").textContent.trim();
const dialog = document.getElementById("dialog");

async function call(method, address, body) {
  const headers = { "X-CSRF-Token": csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(address, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw Object.assign(new Error("The server does not answer; nothing was changed."), { fields: {} });
  }
  if (answer.status === 204) return null;
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  const { message = `The server answered ${answer.status}.`, fields = {} } = content.error ?? {};
  throw Object.assign(new Error(message), { fields });
}

function tell(place, text, bad) {
  place.hidden = false;
  place.className = `said note ${bad ? "bad" : "good"}`;
  place.textContent = text;
}

function mark(form, fields) {
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  const wrong = Object.keys(fields).map((name) => form.elements[name.replace(/^.*\./, "")]).filter(Boolean);
  for (const input of wrong) input.setAttribute("aria-invalid", "true");
  wrong[0]?.focus();
}

function handle(id, send, said) {
  const form = document.getElementById(id);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const place = form.querySelector(".said");
    const data = Object.fromEntries(new FormData(form));
    try {
      await send(data);
      mark(form, {});
      tell(place, said, false);
      form.reset();
    } catch (error) {
      tell(place, error.message, true);
      mark(form, error.fields ?? {});
    }
  });
}

function cell(row, content) {
  const td = row.insertCell();
  td.append(content);
  return td;
}

function time(seconds, none = "never") {
  if (!seconds) return none;
  const element = document.createElement("time");
  element.dateTime = typeof seconds === "number" ? new Date(1000 * seconds).toISOString() : seconds;
  return element;
}

function button(text, about, action, danger = true) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  if (danger) element.className = "danger";
  element.setAttribute("aria-label", `${text} ${about}`);
  element.addEventListener("click", action);
  return element;
}

// A question in the page's one dialog; resolves to what was entered, or null when it was cancelled.
function ask(title, text, word, field) {
  const form = document.createElement("form");
  form.method = "dialog";
  const heading = Object.assign(document.createElement("h2"), { id: "dialog-title", textContent: title });
  const words = Object.assign(document.createElement("p"), { textContent: text });
  form.append(heading, words);
  let input;
  if (field) {
    const label = Object.assign(document.createElement("label"), { htmlFor: "dialog-field", textContent: field });
    input = Object.assign(document.createElement("input"), { id: "dialog-field", type: "password", required: true, autocomplete: "new-password" });
    const box = Object.assign(document.createElement("div"), { className: "stack" });
    box.append(label, input);
    form.append(box);
  }
  const actions = Object.assign(document.createElement("p"), { className: "actions end" });
  const cancel = Object.assign(document.createElement("button"), { type: "button", textContent: "Cancel" });
  cancel.addEventListener("click", () => dialog.close("cancel"));
  actions.append(cancel, Object.assign(document.createElement("button"), { value: "yes", textContent: word, className: field ? "main" : "danger" }));
  form.append(actions);
  dialog.replaceChildren(form);
  dialog.returnValue = "";
  dialog.showModal();
  (input ?? cancel).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? (input?.value ?? "") : null), { once: true });
  });
}

async function show_tokens() {
  const body = document.querySelector("#tokens tbody");
  const { tokens } = await call("GET", "/api/tokens");
  body.replaceChildren();
  for (const token of tokens) {
    const row = body.insertRow();
    cell(row, token.name);
    cell(row, time(token.created));
    cell(row, time(token.used));
    cell(row, button("Delete", `the token ${token.name}`, async () => {
      const sure = await ask(`Delete the token “${token.name}”?`, "Programs that use it can no longer reach this workspace.", "Delete");
      if (sure === null) return;
      await call("DELETE", `/api/tokens/${encodeURIComponent(token.id)}`);
      say("Token deleted");
      await show_tokens();
    }));
  }
  document.getElementById("tokens").hidden = !tokens.length;
  localise(body);
}

async function guarded(work) {
  const place = document.querySelector("#accounts-panel > .said");
  try {
    tell(place, await work(), false);
  } catch (error) {
    tell(place, error.message, true);
  }
  await show_accounts();
}

function roles_of(account) {
  const select = document.getElementById("new-role").cloneNode(true);
  select.removeAttribute("id");
  select.removeAttribute("name");
  select.setAttribute("aria-label", `Role of ${account.name}`);
  select.value = account.role;
  select.addEventListener("change", () => guarded(async () => {
    await call("PATCH", `/api/accounts/${encodeURIComponent(account.name)}`, { role: select.value });
    return `${account.name} is now ${select.value}.`;
  }));
  return select;
}

async function show_accounts() {
  const body = document.querySelector("#accounts tbody");
  const { accounts } = await call("GET", "/api/accounts");
  body.replaceChildren();
  for (const account of accounts) {
    const row = body.insertRow();
    cell(row, account.name);
    cell(row, roles_of(account));
    cell(row, time(account.created)).className = "wide-only";
    const tools = Object.assign(document.createElement("span"), { className: "actions" });
    tools.style.marginTop = "0";
    tools.append(button("New password", `for ${account.name}`, async () => {
      const password = await ask(`New password for ${account.name}`, "They are signed out everywhere. Tell it to them in a safe way.", "Set the password", "Password");
      if (password === null) return;
      await guarded(async () => {
        await call("PATCH", `/api/accounts/${encodeURIComponent(account.name)}`, { password });
        return `${account.name} has a new password.`;
      });
    }, false));
    if (account.name !== user) tools.append(button("Delete", `the account ${account.name}`, async () => {
      const sure = await ask(`Delete the account “${account.name}”?`, "They can no longer sign in and their tokens end. Their jobs stay, and managers see them.", "Delete");
      if (sure === null) return;
      await guarded(async () => {
        await call("DELETE", `/api/accounts/${encodeURIComponent(account.name)}`);
        return `The account ${account.name} is gone.`;
      });
    }));
    cell(row, tools);
  }
  localise(body);
}

handle("password-form", async ({ current_password, password }) => {
  await call("PATCH", `/api/accounts/${encodeURIComponent(user)}`, { current_password, password });
  location.assign("/account?said=password"); // a new session has begun: the page's CSRF token is the old one's
}, "Your password is changed.");
handle("token-form", async ({ label }) => {
  const made = await call("POST", "/api/tokens", { name: label });
  document.getElementById("token").textContent = made.token;
  document.getElementById("new-token").hidden = false;
  await show_tokens();
}, "The token is made.");
handle("account-form", async (data) => {
  await call("POST", "/api/accounts", data);
  await show_accounts();
}, "The account is made.");

if (document.getElementById("tokens")) show_tokens();
if (document.getElementById("accounts")) show_accounts();
