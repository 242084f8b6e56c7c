// What every page does: times in the reader's zone, the switch of colours, buttons that copy.
import { localise } from "./times.js";

const THEMES = ["system", "light", "dark"];

function remembered() {
  return document.documentElement.dataset.theme ?? "system";
}

function choose(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("emberline-theme");
    else localStorage.setItem("emberline-theme", theme);
  } catch { /* it holds for this page alone */ }
}

function theme_switch() {
  const button = document.getElementById("theme");
  const word = button.querySelector("[data-theme-word]");
  const show = () => { word.textContent = { system: "Auto", light: "Light", dark: "Dark" }[remembered()]; };
  button.addEventListener("click", () => {
    choose(THEMES[(THEMES.indexOf(remembered()) + 1) % THEMES.length]);
    show();
  });
  show();
  button.title = "Light, dark, or as your system has it";
  button.hidden = false;
}

export function say(text) {
  document.getElementById("spoken").textContent = text;
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    say("Copied");
    const before = [...button.childNodes];
    button.textContent = "Copied";
    setTimeout(() => { button.replaceChildren(...before); }, 1500);
  } catch { // without a secure context: select it, so that one key copies
    getSelection().selectAllChildren(source);
    say("Selected: copy it with your keyboard");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;

// A notice of what was done belongs to one view of the page: a reload does not repeat it.
const address = new URL(location.href);
if (address.searchParams.has("said")) {
  address.searchParams.delete("said");
  address.searchParams.delete("n");
  history.replaceState(history.state, "", address);
}

localise(document);
theme_switch();
document.getElementById("errors")?.scrollIntoView({ block: "nearest" });
