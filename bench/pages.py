"""The pages: how fast a job's page is beside many jobs, how much it weighs, and how soon a browser shows a change.

The browser is Debian's Chromium, steered by its own driver.
"""

import contextlib
import json
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.request

import peer
import service
import table

CASES = ["pages"]
JOBS, RATE, SECONDS = 100_000, 100, 30
CHANGES = 30


class Browser:
    """A window of Chromium, by the W3C's WebDriver protocol."""

    def __init__(self, url):
        self.url = url
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1280,900"]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}
        self.session = self.call("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def call(self, method, path, body=None):
        session = f"/session/{self.session}" if hasattr(self, "session") else "/session"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{session}{path}", data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def go_to(self, url):
        self.call("POST", "/url", {"url": url})

    def script(self, body):
        return self.call("POST", "/execute/sync", {"script": body, "args": []})


@contextlib.contextmanager
def browser():
    with tempfile.TemporaryDirectory(prefix="bisect-bench-browser-") as folder:
        log = pathlib.Path(folder) / "driver.log"
        environment = peer.clean_environment() | {"HOME": folder, "TMPDIR": folder}
        with log.open("wb") as out:
            driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=out, stderr=out, env=environment, start_new_session=True)
        try:
            port = service.eventually("chromedriver says its port", lambda: re.search(r"started successfully on port (\d+)", log.read_text()))[1]
            window = Browser(f"http://127.0.0.1:{port}")
            try:
                yield window
            finally:
                window.call("DELETE", "")
        finally:
            service.ended(driver)


def signed_in(window, url):
    """The cookies of ada's session."""
    window.go_to(f"{url}/auth/github/login")
    service.eventually("the consent page", lambda: window.script("return document.querySelector('select[name=login]') && true"), 30)
    window.script("document.querySelector('select[name=login]').value = 'ada'; document.querySelector('button[value=authorize]').click()")
    service.eventually("she is signed in", lambda: window.script(f"return location.href.startsWith('{url}/') || null"), 30)
    return "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in window.call("GET", "/cookie"))


def fill(server):
    """Many jobs beside the first, which is real: every hundredth with its runs, history, output and report."""
    job = (
        "INSERT INTO bisect_jobs (installation_id, repository_id, issue_number, comment_id, requested_by, good_sha, bad_sha, command, status, "
        "result, culprit_sha, candidates, candidates_left, strip, report, pulls, spec, event_seq, started_at, completed_at) "
        "SELECT installation_id, repository_id, issue_number, comment_id, requested_by, good_sha, bad_sha, command, status, result, culprit_sha, "
        "candidates, candidates_left, {} event_seq, started_at, completed_at FROM bisect_jobs, generate_series(1, {}) n WHERE id = 1"
    )
    server.query(job.format("strip, NULL, pulls, spec,", JOBS - JOBS // 100))
    server.query(job.format("strip, report, pulls, spec,", JOBS // 100))
    whole = f"(SELECT id FROM bisect_jobs WHERE id > 1 ORDER BY id DESC LIMIT {JOBS // 100})"
    server.query(
        "INSERT INTO probes (job_id, epoch, commit_sha, purpose, lane, subject, position, ending, exit_code, verdict, seconds, started_at, finished_at) "
        "SELECT j.id, p.epoch, p.commit_sha, p.purpose, p.lane, p.subject, p.position, p.ending, p.exit_code, p.verdict, p.seconds, p.started_at, "
        f"p.finished_at FROM {whole} j, probes p WHERE p.job_id = 1"
    )
    server.query(
        "INSERT INTO log_chunks (probe_id, seq, bytes) SELECT q.id, c.seq, c.bytes FROM probes p JOIN log_chunks c ON c.probe_id = p.id "
        "JOIN probes q ON q.commit_sha = p.commit_sha AND q.purpose = p.purpose AND q.job_id > 1 WHERE p.job_id = 1"
    )
    server.query(
        "INSERT INTO job_events (job_id, seq, kind, epoch, detail) SELECT j.id, e.seq, e.kind, e.epoch, e.detail "
        "FROM (SELECT id FROM bisect_jobs WHERE id > 1) j, job_events e WHERE e.job_id = 1"
    )
    server.query("VACUUM ANALYZE")
    return [int(row[0]) for row in server.query(whole[1:-1])]


def shown_after(server, window, url):
    """From a change in the database to a changed page, in seconds."""
    # A job of which nobody takes care, so that nothing but this changes it.
    job = server.value(
        "INSERT INTO bisect_jobs (installation_id, repository_id, requested_by, good_sha, bad_sha, command, event_seq, available_at) "
        "SELECT installation_id, repository_id, requested_by, good_sha, bad_sha, command, 1, now() + interval '1 day' FROM bisect_jobs WHERE id = 1 RETURNING id"
    )
    server.query(f"INSERT INTO job_events (job_id, seq, kind, epoch) VALUES ({job}, 1, 'queued', 0)")
    window.go_to(f"{url}/jobs/{job}")
    window.script("window.seen = 0; new MutationObserver(() => { seen ||= Date.now(); }).observe(document.querySelector('main'), {subtree: true, childList: true})")
    time.sleep(3)  # The stream is open, and what it told at first is on the page.
    took = []
    for number in range(CHANGES):
        window.script("window.seen = 0")
        said = server.value(
            f"WITH changed AS (UPDATE bisect_jobs SET event_seq = event_seq + 1, cancel_requested_by = 'bench {number}' WHERE id = {job} RETURNING event_seq), "
            f"noted AS (INSERT INTO job_events (job_id, seq, kind, epoch) SELECT {job}, event_seq, 'joined', 0 FROM changed RETURNING seq) "
            f"SELECT extract(epoch FROM clock_timestamp()) * 1000, pg_notify('bisect_jobs', '{job} ' || seq || ' joined') FROM noted"
        )
        seen = service.eventually("the page changes", lambda: window.script("return window.seen || null"), 30)
        took.append((seen - float(said)) / 1000)
        time.sleep(0.7)  # The page is asked for at most twice a second.
    return took


def pages_case(programs):
    with service.stage(programs) as here, here.instance("one", TRUSTED_PROXIES="127.0.0.1/32", BASE_URL=f"http://127.0.0.1:{here.port('one')}") as ours:
        service.write_comment(here.issue, here.comment)
        service.eventually("the first job ends", lambda: service.finished_job(here.server, 1), 120)
        service.eventually("its pull request is known", lambda: here.server.query("SELECT 1 FROM bisect_jobs WHERE pulls IS NOT NULL") or None)
        service.say(f"pages: adding {JOBS:,} jobs")
        whole = fill(here.server)

        def load(rate, seconds, paths, cookies=""):
            command = [programs / "examples" / "pages", ours.url, str(rate), str(seconds), cookies]
            said = subprocess.run(command, check=True, capture_output=True, text=True, input="\n".join(paths))
            return json.loads(said.stdout)

        jobs = [f"/jobs/{job}" for job in whole]
        load(20, 5, jobs)  # warm
        job = load(RATE, SECONDS, jobs)
        dashboard = load(RATE, SECONDS / 3, ["/dashboard"])
        page = urllib.request.urlopen(urllib.request.Request(f"{ours.url}{jobs[0]}", headers={"Accept": "text/html"}), timeout=10).read().decode()
        assets = {found for found in re.findall(r'"(/assets/[^"]+)"', page)}
        weight = len(page.encode()) + sum(len(urllib.request.urlopen(ours.url + asset, timeout=10).read()) for asset in assets)
        with browser() as window:
            cookies = signed_in(window, ours.url)
            # Whether a session is good, and what its owner may see, is asked of the database for each page.
            own = load(RATE, SECONDS, jobs, cookies)
            own_dashboard = load(RATE, SECONDS / 3, ["/dashboard"], cookies)
            took = shown_after(here.server, window, ours.url)
    return {"job": job, "dashboard": dashboard, "own": own, "own_dashboard": own_dashboard, "weight": weight, "shown": table.spread(took)}


def rows(answer):
    def row(case, ours, target, met):
        return table.Row(case, "", ours, "", target, met)

    titles = {
        "job": f"Job page at {RATE}/s beside {JOBS:,} jobs",
        "own": "… signed in",
        "dashboard": "… the dashboard, not signed in",
        "own_dashboard": "… the dashboard, signed in",
    }
    for load, title in [(answer[name], title) for name, title in titles.items() if name in answer]:
        met = load["answers"] == {"200": load["sent"]} and load["p99_ms"] <= 50
        yield row(f"{title}: p99 (median)", f"{load['p99_ms']:.1f} ms ({load['p50_ms']:.1f} ms)", "≤ 50 ms", met)
    yield row("… weight of the page with style, script and icon", f"{answer['weight'] / 1000:.0f} kB", "≤ 100 kB", answer["weight"] <= 100_000)
    shown = answer["shown"]
    yield row("A change in the database → seen in Chromium", table.seconds(shown, 3), "≤ 0.3 s median", shown["median"] <= 0.3)


def lines(results):
    """The table, if it was measured."""
    if answer := results.get("pages"):
        yield "| the pages | | bisectd | | target | |"
        yield "|---|---|---|---|---|---|"
        yield from (str(row) for row in rows(answer))
        yield ""
