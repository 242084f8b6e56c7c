// Asks before something is lost, in a dialog that holds the server's own page of confirmation.
const dialog = document.getElementById("dialog");

async function ask(form, button) {
  const data = new FormData(form, button);
  let answer;
  try {
    answer = await fetch(form.getAttribute("action"), { method: "POST", body: new URLSearchParams(data), redirect: "manual" });
  } catch {
    return; // the notice about the server is shown already
  }
  if (answer.type === "opaqueredirect" || !answer.ok) {
    button.dataset.plain = "";
    form.requestSubmit(button); // let the browser show whatever it is
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const question = page.getElementById("confirm");
  if (!question) {
    location.assign("/jobs");
    return;
  }
  const title = question.querySelector("h1");
  const heading = document.createElement("h2");
  heading.id = "dialog-title";
  heading.textContent = title.textContent;
  title.replaceWith(heading);
  dialog.replaceChildren(document.importNode(question, true));
  dialog.querySelector("[data-cancel]").addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("close", () => button.isConnected && button.focus(), { once: true });
  dialog.showModal();
  dialog.querySelector("[data-cancel]").focus();
}

/** Ask in a dialog when one of these buttons of the form #act is pressed, whenever that form appears. */
export function confirmed(actions) {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = event.submitter;
    if (form.getAttribute("id") !== "act") return; // not form.id: the form has entries of that name
    if (!button || !actions.includes(button.value) || "plain" in button.dataset) return;
    event.preventDefault();
    ask(form, button);
  });
}
