// Keys: what each does, how one changes it, and when it must not fire.

export const DEFAULTS = {
  ...Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`class-${i + 1}`, String(i + 1)])),
  "not-sure": "0",
  bad: "x",
  skip: " ",
  undo: "Backspace",
  next: "n",
  previous: "b",
  accept: "Enter",
  reveal: "h",
  flag: "f",
  comment: "c",
  "smooth-more": "s",
  "smooth-less": "d",
  lines: "l",
  "line-previous": ",",
  "line-next": ".",
  "pan-left": "ArrowLeft",
  "pan-right": "ArrowRight",
  "zoom-in": "+",
  "zoom-out": "-",
  reset: "r",
  overlays: "o",
  grid: "g",
  help: "?",
  panels: "p",
};

const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

export function keyName(key) {
  if (!key) return "none";
  return NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

function plain(event) {
  if (event.key.length !== 1) return event.key;
  return event.key === "=" ? "+" : event.key.toLowerCase();
}

/** Whether a key belongs to the element that has the focus: somebody types, or a control wants it. */
function typing(event) {
  const element = event.target instanceof Element ? event.target : null;
  if (!element) return false;
  if (element.closest("dialog[open]")) return true;
  if (element.closest("textarea, select, [contenteditable='true'], [contenteditable='']")) return true;
  const input = element.closest("input");
  if (input && ["radio", "range"].includes(input.type) && MOVES.includes(event.key)) return true;
  if (input && !["button", "checkbox", "radio", "range", "submit"].includes(input.type)) return true;
  const presses = element.closest("button, a[href], summary, input");
  return Boolean(presses) && ["Enter", " "].includes(event.key);
}

/** One's own keys over the defaults; a default that one has given to something else is not pressed twice. */
function merged(own) {
  const taken = new Set(Object.values(own));
  const free = Object.entries(DEFAULTS).map(([name, key]) => [name, taken.has(key) ? "" : key]);
  return { ...Object.fromEntries(free), ...own };
}

export class Keys {
  /**
   * @param {Record<string, () => void>} actions
   * @param {Storage} storage   where one's own keys are remembered
   */
  constructor(actions, storage = window.localStorage) {
    this.actions = actions;
    this.storage = storage;
    this.map = merged(this.stored("emberline.keys", {}));
    this.on = this.stored("emberline.keys.on", true);
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  stored(name, otherwise) {
    try {
      return JSON.parse(this.storage.getItem(name)) ?? otherwise;
    } catch {
      return otherwise;
    }
  }

  pressed(event) {
    if (!this.on || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event)) return;
    const key = plain(event);
    const action = Object.keys(this.map).find((name) => this.map[name] === key);
    if (!action || !this.actions[action]) return;
    event.preventDefault();
    if (event.repeat && !/^(pan|zoom)/.test(action)) return; // a key held down must not label the next spectrum
    this.actions[action]();
  }

  /** Give `action` the key; whatever had it before loses it. An empty key leaves the action without one. */
  assign(action, key) {
    for (const name of Object.keys(this.map)) if (key && this.map[name] === key) this.map[name] = "";
    this.map[action] = key;
    this.storage.setItem("emberline.keys", JSON.stringify(this.map));
  }

  reset() {
    this.map = { ...DEFAULTS };
    this.storage.removeItem("emberline.keys");
  }

  turn(on) {
    this.on = on;
    this.storage.setItem("emberline.keys.on", JSON.stringify(on));
  }

  name(action) {
    return keyName(this.map[action]);
  }
}

/** The key of an event as it is stored, or null when it cannot be one. */
export function capture(event) {
  if (["Shift", "Control", "Alt", "Meta", "Tab", "Escape", "Dead"].includes(event.key)) return null;
  return plain(event);
}
