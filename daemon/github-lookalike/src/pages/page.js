// Times as people say them, comments as they are on the server, and what is typed or opened stays as it is.
const list = document.getElementById("comments");
const form = document.querySelector("form");
const known = new Map();

function tellTimes() {
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const seconds = Math.max(0, (Date.now() - at) / 1000);
    const [count, unit] =
      seconds < 60 ? [0, "now"] : seconds < 3600 ? [seconds / 60, "minute"] : seconds < 86400 ? [seconds / 3600, "hour"] : [seconds / 86400, "day"];
    const whole = Math.floor(count);
    time.textContent = unit === "now" ? "just now" : `${whole} ${unit}${whole === 1 ? "" : "s"} ago`;
    time.title = at.toLocaleString();
  }
}

// Replaces what changed and nothing else; an opened <details> stays open, by the words of its summary.
function update(html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const present = new Set();
  for (const article of [...fresh.content.children]) {
    const text = article.outerHTML;
    const old = document.getElementById(article.id);
    present.add(article.id);
    if (old && known.get(article.id) === text) continue;
    known.set(article.id, text);
    if (!old) {
      list.append(article);
      continue;
    }
    const opened = [...old.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent);
    article.querySelectorAll("details > summary").forEach((summary) => {
      if (opened.includes(summary.textContent)) summary.parentElement.open = true;
    });
    old.replaceWith(article);
  }
  [...list.children].filter((article) => !present.has(article.id)).forEach((article) => article.remove());
  tellTimes();
}

async function refresh() {
  const answer = await fetch(form.action).catch(() => null);
  document.getElementById("offline").hidden = Boolean(answer && answer.ok);
  if (answer && answer.ok) update(await answer.text());
}

async function follow() {
  await refresh();
  setTimeout(follow, 1000);
}

async function send(event) {
  event.preventDefault();
  const problem = document.getElementById("problem");
  const fields = new URLSearchParams(new FormData(form));
  const answer = await fetch(form.action, { method: "POST", body: fields }).catch(() => null);
  problem.textContent = answer ? (answer.ok ? "" : await answer.text()) : "The playground does not answer.";
  if (!answer || !answer.ok) return;
  form.body.value = "";
  await refresh();
}

tellTimes();
if (form) {
  form.addEventListener("submit", send);
  form.body.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.querySelectorAll("[data-text]").forEach((button) =>
    button.addEventListener("click", () => {
      form.body.value = button.dataset.text;
      form.body.focus();
    }),
  );
  follow();
}
