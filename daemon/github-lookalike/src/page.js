// Replaces the comments when they changed; an opened <details> stays open.
const list = document.getElementById("comments");
let last = list.innerHTML;
setInterval(async () => {
  const answer = await fetch(location.pathname + "/comments").catch(() => null);
  if (!answer || !answer.ok) return;
  const text = await answer.text();
  if (text === last) return;
  last = text;
  const open = [...list.querySelectorAll("details")].map((d) => d.open);
  list.innerHTML = text;
  list.querySelectorAll("details").forEach((d, i) => { if (open[i]) d.open = true; });
}, 1000);
