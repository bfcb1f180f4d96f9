// Keeps a page as it is on the server: when something changed, the page is asked for anew and its parts are exchanged.
// Without this file every page works; it is then as it was when it was loaded.

const head = document.querySelector('[data-job]');
const parts = () => [...document.querySelectorAll('[data-live]')];
const job = head?.dataset.job;
const final = (status) => ['completed', 'failed', 'cancelled'].includes(status);

let asked = null;
let again = false;

// Asks for the page; what changes meanwhile is asked for afterwards, at most twice a second.
function refresh() {
  if (asked) {
    again = true;
    return;
  }
  asked = exchange()
    .catch(() => { again = true; return new Promise((done) => setTimeout(done, 2000)); })
    .then(() => new Promise((done) => setTimeout(done, 500)))
    .then(() => {
      asked = null;
      if (again) {
        again = false;
        refresh();
      }
    });
}

async function exchange() {
  const answer = await fetch(location.href, { headers: { Accept: 'text/html' }, cache: 'no-store' });
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const part of parts()) {
    const next = page.querySelector(`[data-live="${part.dataset.live}"]`);
    if (next && next.outerHTML !== part.outerHTML) keep(part, next);
  }
  const title = page.querySelector('title');
  if (title) document.title = title.textContent;
  openLog(page);
}

// Exchanges a part; what had the focus has it still, what was unfolded stays so, what was scrolled stays there.
function keep(part, next) {
  const path = (element) => {
    const steps = [];
    for (let at = element; at && at !== part; at = at.parentElement) steps.unshift([...at.parentElement.children].indexOf(at));
    return steps;
  };
  const focus = part.contains(document.activeElement) ? path(document.activeElement) : null;
  const open = [...part.querySelectorAll('details')].map((details) => details.open);
  const places = [...part.querySelectorAll('.scroll')].map((element) => [element.scrollLeft, element.scrollTop]);
  const node = document.adoptNode(next);
  part.replaceWith(node);
  node.querySelectorAll('details').forEach((details, n) => { details.open = open[n] ?? details.open; });
  node.querySelectorAll('.scroll').forEach((element, n) => {
    [element.scrollLeft, element.scrollTop] = places[n] ?? [0, 0];
  });
  if (focus) focus.reduce((at, step) => at?.children[step], node)?.focus({ preventScroll: true });
}

function listen() {
  const source = new EventSource('/api/events' + (job ? `?job=${job}` : ''));
  source.addEventListener('resync', refresh);
  source.addEventListener('job', (event) => {
    refresh();
    if (job && final(JSON.parse(event.data).status)) source.close();
  });
}

// The output that is shown grows as it is printed.
let source = null;
let shown = null;

function openLog(page) {
  const log = document.querySelector('[data-live-log]');
  const next = page?.querySelector('[data-live-log]');
  // The first output of a page that had none, or that of the run which the server shows now, where none was chosen.
  if (next && (!log || (log.dataset.log !== next.dataset.log && !new URLSearchParams(location.search).has('probe')))) {
    document.getElementById('log').replaceWith(document.adoptNode(page.getElementById('log')));
    return openLog(null);
  }
  if (!log || shown === log.dataset.log) return;
  shown = log.dataset.log;
  source?.close();
  tools(log);
  if (log.dataset.running !== 'true') return;
  log.scrollTop = log.scrollHeight;
  source = new EventSource(`/api/jobs/${job}/log/events?probe=${shown}&after=${log.dataset.after}`);
  source.addEventListener('output', (event) => print(log, JSON.parse(event.data).spans));
  source.addEventListener('end', () => source.close());
}

function print(log, spans) {
  for (const span of spans) {
    const node = document.createElement('span');
    if (span.class) node.className = span.class;
    node.textContent = span.text;
    log.append(node);
  }
  // A chatty program must not fill the browser: all of it is behind the link.
  while (log.childNodes.length > 5000) log.firstChild.remove();
  if (document.querySelector('[data-follow] input')?.checked) log.scrollTop = log.scrollHeight;
}

function tools(log) {
  const follow = document.querySelector('[data-follow]');
  const search = document.querySelector('[data-search]');
  follow.hidden = log.dataset.running !== 'true';
  search.hidden = false;
  let from = 0;
  search.querySelector('input').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    const wanted = event.target.value.toLowerCase();
    const text = log.textContent.toLowerCase();
    let at = wanted ? text.indexOf(wanted, from) : -1;
    if (at < 0 && from > 0) at = text.indexOf(wanted);
    if (at < 0) return;
    from = at + 1;
    mark(log, at, wanted.length);
  });
}

function mark(log, start, length) {
  const walk = document.createTreeWalker(log, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  let at = 0;
  let begun = false;
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (!begun && start < at + node.length) {
      range.setStart(node, start - at);
      begun = true;
    }
    if (begun && start + length <= at + node.length) {
      range.setEnd(node, start + length - at);
      break;
    }
    at += node.length;
  }
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  log.scrollTop += range.getBoundingClientRect().top - log.getBoundingClientRect().top - log.clientHeight / 2;
}

if (parts().length && !(job && final(head.dataset.status))) listen();
openLog(null);
