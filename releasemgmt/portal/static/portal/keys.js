// Elements that name a key in `data-key` answer to it: a field or a fold opens, a link or a button is pressed.
// No key fires while something is typed, is held down, or was meant for the page before this one.
const SETTLED = 400;
let shown;

const press = (target) => {
  const first = document.getElementById(target.dataset.first || "");
  if (first && !first.value.trim()) return first.focus();
  if (target.matches("details")) return target.toggleAttribute("open");
  const fold = target.closest("details");
  if (fold) fold.open = true;
  return target.matches("input, textarea") ? target.focus() : target.click();
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing || event.defaultPrevented) return;
  const field = event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
  if (field && event.key === "Escape") field.blur();
  if (field || performance.now() - shown < SETTLED) return;
  const target = document.querySelector(`[data-key~="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  press(target);
});

// A vote is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "yes";
});

// Whoever comes back to the page finds it as it was when it was left: it takes keys and votes again.
const settle = () => {
  shown = performance.now();
  delete document.documentElement.dataset.keys;
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  setTimeout(() => { document.documentElement.dataset.keys = "on"; }, SETTLED);
};
settle();
window.addEventListener("pageshow", (event) => { if (event.persisted) settle(); });
