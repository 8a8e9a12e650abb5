// A plan that waits or runs is watched while somebody looks: its progress is shown anew every few seconds, and the whole
// page once the plan has moved on. What is being typed or chosen is never lost.
const EVERY = 3000;
const address = document.currentScript.dataset.progress;
const panel = () => document.getElementById("progress");

const isBusy = () => {
  const fields = [...document.querySelectorAll("#progress :is(input:not([type=hidden]), select), textarea")];
  return fields.some((field) => field.value || field === document.activeElement) || document.querySelector("#progress details[open]");
};

const look = async () => {
  if (document.hidden || isBusy()) return;
  const answer = await fetch(address).catch(() => null);
  if (!answer || !answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const [here, there] = [panel(), page.getElementById("progress")];
  if (!there || isBusy()) return;
  if (there.dataset.state !== here.dataset.state) return location.reload();
  const token = here.querySelector("[name=csrfmiddlewaretoken]");
  if (token) for (const field of there.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token.value;
  if (there.innerHTML !== here.innerHTML) here.replaceWith(there);
};

setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
