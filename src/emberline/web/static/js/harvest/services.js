// The servers to ask: those of the configuration, what the registry finds, addresses of one's own.
import { call, make, plural } from "./client.js";

const KEPT = "emberline-harvest-servers";
const list = document.getElementById("service-list");
const found = document.getElementById("found");

function entry(service, title, description, checked) {
  const box = make("input", { type: "checkbox", checked });
  const words = [title ? service : "", description].filter(Boolean).join(" · ");
  const label = make("label", {}, box, make("strong", { textContent: title || service }),
    words ? make("span", { className: "small", textContent: words, title: words }) : null);
  return make("li", { "data-service": service, "data-title": title }, label);
}

const entries = () => [...list.querySelectorAll("li")];
const box_of = (item) => item.querySelector("input");

/** The servers that are chosen. */
export function chosen() {
  return entries().filter((item) => box_of(item)?.checked)
    .map(({ dataset }) => ({ service: dataset.service, title: dataset.title }));
}

function keep() {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(chosen()));
  } catch { /* it holds for this page alone */ }
}

function put(service, title, description, checked) {
  const known = entries().find((item) => item.dataset.service === service);
  if (!known) {
    list.append(entry(service, title, description, checked));
  } else if (checked) {
    box_of(known).checked = true;
  }
}

/** What the registry finds takes the place of what was found before; what is chosen stays. */
async function find() {
  const button = document.getElementById("find");
  const query = new URLSearchParams({
    keywords: document.getElementById("keywords").value.trim(), waveband: document.getElementById("waveband").value,
  });
  button.disabled = true;
  found.textContent = "Asking the registry…";
  try {
    const { services } = await call("GET", `/services?${query}`);
    for (const item of entries()) if (!box_of(item).checked) item.remove();
    for (const service of services) {
      put(service.ivoid || service.access_url, service.title, service.publisher || service.description, false);
    }
    found.textContent = services.length ? `${plural(services.length, "server")} found: choose some.`
      : "The registry knows no such server. Try fewer words.";
  } catch (error) {
    found.textContent = error.message;
  }
  button.disabled = false;
}

function add() {
  const own = document.getElementById("own");
  const service = own.value.trim();
  if (!/^(https?|ivo):\/\/\S+$/i.test(service)) {
    own.setAttribute("aria-invalid", "true");
    found.textContent = "This is no address: it begins with https://, http:// or ivo://.";
    own.focus();
    return;
  }
  own.removeAttribute("aria-invalid");
  put(service, "", "", true);
  own.value = "";
  found.textContent = "Added.";
  keep();
}

/** Make the list live; Enter in its fields searches or adds, and sends nothing else. */
export function begin() {
  for (const item of entries()) item.replaceWith(entry(item.dataset.service, item.dataset.title, "", true));
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    if (kept) {
      for (const item of entries()) box_of(item).checked = false;
      for (const { service, title } of kept) put(service, title, "", true);
    }
  } catch { /* nothing was kept */ }
  list.addEventListener("change", keep);
  document.getElementById("find").addEventListener("click", find);
  document.getElementById("add").addEventListener("click", add);
  for (const [id, action] of [["keywords", find], ["own", add]]) {
    document.getElementById(id).addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      action();
    });
  }
}
