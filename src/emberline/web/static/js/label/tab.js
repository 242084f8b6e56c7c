// Which of one's open windows this is, so that two of them get different spectra and one that is opened again goes on
// where it was.

/** An identifier that nobody else makes; also where the page has no secure context. */
export function unique() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** This browser's own name: two browsers of one annotator are two places as well. */
function browser() {
  let name = localStorage.getItem("emberline.browser");
  if (!name) {
    name = unique().slice(0, 8);
    localStorage.setItem("emberline.browser", name);
  }
  return name;
}

/** The lowest number that no other open window of this campaign has; it is held until the window is closed. */
function freeNumber(campaign) {
  return new Promise((resolve) => {
    const attempt = (number) => {
      navigator.locks.request(`emberline:${campaign}:${number}`, { ifAvailable: true }, (lock) => {
        if (!lock) {
          attempt(number + 1);
          return undefined;
        }
        resolve(number);
        return new Promise(() => {}); // held for as long as the window is open
      });
    };
    attempt(1);
  });
}

export async function windowName(campaign) {
  if (navigator.locks) return `${browser()}-${await freeNumber(campaign)}`;
  const name = sessionStorage.getItem("emberline.window") ?? unique().slice(0, 8);
  sessionStorage.setItem("emberline.window", name);
  return `${browser()}-${name}`;
}
