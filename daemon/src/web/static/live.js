// Keeps a page as it is on the server: when something changed, the page is asked for anew and its parts are exchanged.
// Without this file every page works; it is then as it was when it was loaded.

const job = document.querySelector('[data-job]')?.dataset.job;
const settled = () => document.querySelector('[data-job]')?.dataset.settled === 'true';
// How long to wait before asking again a server that is away, or that has no room for one more stream.
const AWAY = 2000;
const FULL = 30000;
const wait = (time) => new Promise((done) => setTimeout(done, time));

// --- what changes ---

let asking = false;
let again = false;

// Asks for the page; what changes meanwhile is asked for afterwards, at most twice a second.
async function refresh() {
  again = true;
  if (asking) return;
  asking = true;
  while (again) {
    again = false;
    try {
      await exchange();
      await wait(500);
    } catch {
      again = true;
      await wait(AWAY);
    }
  }
  asking = false;
}

async function exchange() {
  const answer = await fetch(location.href, { headers: { Accept: 'text/html' }, cache: 'no-store' });
  // It may not be seen any more: what is shown then is said by the server.
  if ([401, 403, 404].includes(answer.status)) return location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const user = (of) => of.querySelector('.user span')?.textContent;
  if (user(page) !== user(document)) return location.reload();
  for (const part of document.querySelectorAll('[data-live]')) {
    const next = page.querySelector(`[data-live="${part.dataset.live}"]`);
    if (next && next.outerHTML !== part.outerHTML) keep(part, next);
  }
  document.title = page.title;
  document.body.dataset.newest = page.body.dataset.newest ?? '';
  openLog(page);
  if (settled()) hush();
}

// Exchanges what is in a part; what had the focus has it still, what was unfolded stays so, what was scrolled stays there.
function keep(part, next) {
  const path = (element) => {
    const steps = [];
    for (let at = element; at !== part; at = at.parentElement) steps.unshift([...at.parentElement.children].indexOf(at));
    return steps;
  };
  const focus = part.contains(document.activeElement) ? path(document.activeElement) : null;
  const open = [...part.querySelectorAll('details')].map((details) => details.open);
  const places = [...part.querySelectorAll('.scroll, .log')].map((element) => [element.scrollLeft, element.scrollTop]);
  for (const { name, value } of [...next.attributes]) part.setAttribute(name, value);
  part.replaceChildren(...next.childNodes);
  part.querySelectorAll('details').forEach((details, n) => { details.open = open[n] ?? details.open; });
  part.querySelectorAll('.scroll, .log').forEach((element, n) => {
    [element.scrollLeft, element.scrollTop] = places[n] ?? [0, 0];
  });
  focus?.reduce((at, step) => at?.children[step], part)?.focus({ preventScroll: true });
}

let changes = null;

function listen() {
  if (changes || document.hidden || settled() || !document.querySelector('[data-live]')) return;
  const asked = new URLSearchParams({ after: document.body.dataset.newest ?? '' });
  if (job) asked.set('job', job);
  changes = new EventSource(`/api/events?${asked}`);
  for (const word of ['resync', 'job']) changes.addEventListener(word, refresh);
  changes.addEventListener('error', () => {
    // A browser comes again by itself after a lost connection, and not after a refusal.
    if (changes?.readyState !== EventSource.CLOSED) return;
    // It may also be that the page may not be seen any more.
    hush();
    refresh();
    wait(FULL).then(listen);
  });
}

function hush() {
  changes?.close();
  changes = null;
}

// --- what is printed ---

let printing = null;
let shown = null;
let after = '';

// Shows the output of the page that was asked for anew, where this one has none, or none was chosen and another one is shown now.
function openLog(page) {
  const log = document.querySelector('[data-live-log]');
  const next = page?.querySelector('[data-live-log]');
  const chosen = new URLSearchParams(location.search).has('probe');
  if (next && (!log || (log.dataset.log !== next.dataset.log && !chosen))) {
    document.getElementById('log').replaceWith(document.adoptNode(page.getElementById('log')));
    return openLog(null);
  }
  if (!log || shown === log.dataset.log) return;
  shown = log.dataset.log;
  after = log.dataset.after;
  tools(log);
  printing?.close();
  printing = null;
  if (log.dataset.running === 'true') log.scrollTop = log.scrollHeight;
  follow(log);
}

// The output that is shown grows as it is printed.
function follow(log) {
  if (!log || printing || document.hidden || log.dataset.running !== 'true') return;
  const source = new EventSource(`/api/jobs/${job}/log/events?${new URLSearchParams({ probe: shown, after })}`);
  printing = source;
  source.addEventListener('output', (event) => {
    after = event.lastEventId;
    print(log, JSON.parse(event.data).spans);
  });
  source.addEventListener('end', () => {
    source.close();
    log.dataset.running = 'false';
    document.querySelector('[data-follow]').hidden = true;
    if (!log.textContent) log.textContent = 'Nothing was printed.';
  });
  source.addEventListener('error', () => {
    if (printing !== source || source.readyState !== EventSource.CLOSED) return;
    printing = null;
    wait(FULL).then(() => { if (document.contains(log)) follow(log); });
  });
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
  const search = document.querySelector('[data-search]');
  document.querySelector('[data-follow]').hidden = log.dataset.running !== 'true';
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

// --- while somebody looks ---

// A page that nobody sees keeps no connection: browsers have few for one server.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    hush();
    printing?.close();
    printing = null;
    return;
  }
  if (document.querySelector('[data-live]') && !settled()) refresh();
  listen();
  follow(document.querySelector('[data-live-log]'));
});

listen();
openLog(null);
