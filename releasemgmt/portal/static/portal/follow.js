// A plan that waits or runs is watched: when its page says another revision, it is shown. Nobody's typing is lost.
const here = document.querySelector("[data-revision]");
setInterval(async () => {
  const typing = [...document.querySelectorAll("input[name=note], input[name=evidence], textarea")].some((field) => field.value);
  if (typing || document.hidden) return;
  const answer = await fetch(location.href, { headers: { "X-Requested-With": "follow" } }).catch(() => null);
  if (!answer || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const there = page.querySelector("[data-revision]");
  if (there && there.dataset.revision !== here.dataset.revision) location.reload();
}, 2000);
