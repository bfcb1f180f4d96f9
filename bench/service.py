"""The service under load: `bisectd serve` as an operator starts it, beside the peer of bench/webhook_peer.py.

Everything stays on the loopback interface, and every load is bounded in rate and time.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import peer
import postgres
import table

HERE = pathlib.Path(__file__).resolve().parent
CASES = ["webhooks", "start", "claims", "idle", "takeover"]

# What GitHub sends at worst, and how long.
RATE, SECONDS = 300, 30
# Rates per second at which capacity is looked for, each for so many seconds.
LADDER, LADDER_SECONDS = [400, 600, 800, 1000, 1300, 1600, 2000, 2500, 3000, 4000, 5000, 6000, 8000], 8
# The slowest answer of a hundred that still counts, in milliseconds.
P99 = 100
PENDING, FINISHED = 10_000, 1_000_000
STALE_AFTER, RECOVERY = 3.0, 0.5


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def body():
    """A comment as GitHub sends it."""
    fixtures = pathlib.Path(os.environ.get("BISECT_FIXTURES", HERE.parent.parent / "shared" / "fixtures"))
    found = fixtures / "webhooks" / "issue_comment" / "created.with-installation.json"
    if not found.exists():
        sys.exit(f"bench: {found} is missing: name the folder of GitHub's recorded webhooks in BISECT_FIXTURES, or leave webhooks out with BENCH_ONLY")
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def eventually(what, ask, seconds=60):
    end = time.monotonic() + seconds
    while True:
        if (answer := ask()) is not None:
            return answer
        if time.monotonic() > end:
            raise RuntimeError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.005)


def ended(process, first=signal.SIGTERM):
    process.send_signal(first)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Served:
    """A running process that answers HTTP."""

    def __init__(self, process, url, log):
        self.process, self.url, self.log = process, url, log

    def healthy(self):
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return True if answer.status == 200 else None
        except (urllib.error.URLError, OSError):
            return None

    def resident_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000


@contextlib.contextmanager
def running(command, environment, url, folder, name):
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=out, start_new_session=True)
    try:
        yield Served(process, url, log)
    finally:
        ended(process)


class Stage:
    """A folder, a database and a look-alike of GitHub for the instances that are started on it."""

    def __init__(self, programs, folder, server):
        self.programs, self.folder, self.server = programs, folder, server
        self.ports = {}

    def port(self, name):
        return self.ports.setdefault(name, free_port())

    def environment(self, name, **more):
        # Everything that the look-alike says about itself, secrets included.
        told = dict(line.split("=", 1) for line in (self.folder / "playground.env").read_text().splitlines())
        own = {
            "DATABASE_URL": self.server.url,
            "DATA_DIR": str(self.folder / name),
            "ROCKET_PORT": str(self.port(name)),
            "MAX_CONCURRENT_PROBES": "4",
            "RUNNER_NETWORK": "none",
        }
        return peer.clean_environment() | told | own | more

    def serve(self, name, **more):
        program = self.programs / "bisectd"
        return running([program, "serve"], self.environment(name, **more), f"http://127.0.0.1:{self.port(name)}", self.folder, name)

    @contextlib.contextmanager
    def instance(self, name, **more):
        """One that is healthy."""
        with self.serve(name, **more) as served:
            eventually(f"{name} is healthy (its log: {served.log})", served.healthy)
            yield served


@contextlib.contextmanager
def stage(programs, options=(), webhook="one"):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bisect-bench-service-"))
    folder.chmod(0o755)
    try:
        with postgres.fresh(options) as server:
            this = Stage(programs, folder, server)
            migrate = [programs / "bisectd", "migrate", "up"]
            subprocess.run(migrate, check=True, env=peer.clean_environment() | {"DATABASE_URL": server.url}, cwd=folder, stdout=subprocess.DEVNULL)
            hub = [
                programs / "github-lookalike", "playground", "--webhook", f"http://127.0.0.1:{this.port(webhook)}/webhook",
                "--app-key-out", folder / "app.pem", "--env-out", folder / "playground.env",
            ]
            with running(hub, peer.clean_environment(), "", folder, "github") as github:
                said = eventually("the look-alike is up", lambda: re.search(r"Open +(\S+)\s+Write +(.+)", github.log.read_text()))
                this.issue, this.comment = said[1], said[2]
                yield this
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_comment(issue, text):
    form = urllib.parse.urlencode({"user": "ada", "body": text}).encode()
    urllib.request.urlopen(f"{issue}/comments", data=form, timeout=10).close()


# --- webhooks ---


def load(programs, url, secret, rate, seconds):
    command = [programs / "examples" / "webhooks", f"{url}/webhook", secret, body(), str(rate), str(seconds)]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(said.stdout)


def kept_up(answer):
    return answer["answers"] == {"202": answer["sent"]} and answer["p99_ms"] <= P99


def capacity(programs, url, secret, between):
    """The highest rate of the ladder that is kept up with, and what each step gave."""
    steps, best = [], 0
    for rate in LADDER:
        between()
        answer = load(programs, url, secret, rate, LADDER_SECONDS)
        steps.append(answer)
        if not kept_up(answer):
            break
        best = rate
    return {"rate": best, "steps": steps}


def webhooks_case(programs, folder):
    python = venv(folder)
    with stage(programs) as here:
        secret = here.environment("one")["GITHUB_WEBHOOK_SECRET"]
        waiting = "SELECT count(*) FROM webhook_deliveries WHERE state = 'received'"

        def worked_off():
            began = time.monotonic()
            eventually("the inbox is worked off", lambda: True if here.server.value(waiting) == "0" else None, 600)
            return time.monotonic() - began

        with here.instance("one") as ours:
            load(programs, ours.url, secret, 100, 3)  # warm
            worked_off()
            steady = load(programs, ours.url, secret, RATE, SECONDS)
            behind = worked_off()
            stored = int(here.server.value("SELECT count(*) FROM webhook_deliveries")) - 300
            say(f"webhooks: {steady['answers']}, p99 {steady['p99_ms']:.1f} ms, worked off {behind:.1f} s later")
            mine = capacity(programs, ours.url, secret, worked_off)
            worked_off()
        say(f"webhooks: bisectd keeps up with {mine['rate']}/s")
        theirs = {}
        for workers in (1, 2):
            here.server.query("TRUNCATE webhook_deliveries CASCADE")
            port = here.port(f"peer{workers}")
            command = [python, "-m", "uvicorn", "webhook_peer:app", "--app-dir", HERE, "--port", str(port), "--workers", str(workers), "--no-access-log", "--log-level", "warning"]
            environment = here.environment("peer") | {"PYTHONDONTWRITEBYTECODE": "1"}
            with running(command, environment, f"http://127.0.0.1:{port}", here.folder, f"peer{workers}") as fastapi:
                eventually("the peer is up", lambda: up(port))
                load(programs, fastapi.url, secret, 100, 3)
                theirs[workers] = capacity(programs, fastapi.url, secret, lambda: None)
            say(f"webhooks: the peer with {workers} workers keeps up with {theirs[workers]['rate']}/s")
    return {"steady": steady, "stored": stored, "worked_off_seconds": behind, "ours": mine, "peer": theirs}


def up(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def venv(folder):
    """A Python with the peer's packages, kept for the next run."""
    python = folder / "peer-venv" / "bin" / "python"
    if not python.exists():
        say("installing FastAPI, uvicorn and asyncpg for the peer")
        subprocess.run([sys.executable, "-m", "venv", folder / "peer-venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "fastapi", "uvicorn[standard]", "asyncpg"], check=True)
    return python


# --- from the 202 to the container ---


def start_case(programs, runs):
    with stage(programs) as here, here.instance("one"), events() as started:
        here.server.query("UPDATE installations SET tier = 'enterprise'")
        rows = []
        for number in range(runs + 1):
            # Each is another request, so that none joins one that is unfinished.
            write_comment(here.issue, f"{here.comment} -v # {number}")
            job = eventually("the job ends", lambda: finished_job(here.server, number + 1), 120)
            if number == 0:
                here.server.query("UPDATE installations SET tier = 'enterprise'")
                continue  # makes the mirror
            received, claimed, begun = job
            container = min(at for at in started() if at > received)
            rows.append({"to_claim": claimed - received, "to_container": container - received, "to_command": begun - received})
    return {name: table.spread([row[name] for row in rows]) for name in rows[0]}


def finished_job(server, number):
    rows = server.query(
        "SELECT extract(epoch FROM d.received_at), extract(epoch FROM j.started_at), "
        "(SELECT min(extract(epoch FROM p.finished_at) - p.seconds) FROM probes p WHERE p.job_id = j.id AND p.seconds IS NOT NULL), j.status "
        "FROM bisect_jobs j JOIN webhook_deliveries d ON d.job_id = j.id WHERE j.completed_at IS NOT NULL ORDER BY j.id"
    )
    if len(rows) < number:
        return None
    *times, status = rows[-1]
    if status != "completed":
        raise RuntimeError(f"the job ended as {status}")
    return [float(time) for time in times]


@contextlib.contextmanager
def events():
    """When test containers were started, by the engine's own word."""
    with tempfile.TemporaryFile("w+") as out:
        command = ["docker", "events", "--filter", "event=start", "--filter", "label=bisectd.lane", "--format", "{{.TimeNano}}"]
        listening = subprocess.Popen(command, stdout=out, start_new_session=True)

        def started():
            out.seek(0)
            return [int(line) / 1e9 for line in out.read().split()]

        try:
            yield started
        finally:
            ended(listening)


# --- claims ---


def claims_case(programs):
    with stage(programs) as here:
        here.server.query(
            "INSERT INTO installations (installation_id, account_type, account_login, account_id, tier) "
            "SELECT n, 'Organization', 'org' || n, n, 'enterprise' FROM generate_series(1001, 1200) n"
        )
        here.server.query(
            "INSERT INTO repositories (github_id, installation_id, owner, name, full_name, private) "
            "SELECT n, n, 'org' || n, 'r', 'org' || n || '/r', false FROM generate_series(1001, 1200) n"
        )
        jobs = (
            "INSERT INTO bisect_jobs (installation_id, repository_id, good_sha, bad_sha, command, status, completed_at) "
            "SELECT 1001 + n % 200, (SELECT min(id) FROM repositories WHERE github_id > 1000) + n % 200, repeat('a', 40), repeat('b', 40), ARRAY['true'], '{}', {} "
            "FROM generate_series(1, {}) n"
        )
        here.server.query(jobs.format("pending", "NULL::timestamptz", PENDING))
        here.server.query("VACUUM ANALYZE")
        claim = [programs / "examples" / "claims", here.server.url, "500"]
        before = json.loads(subprocess.run(claim, check=True, capture_output=True, text=True).stdout)
        say(f"claims: median {before['p50_ms']:.2f} ms; adding {FINISHED:,} finished jobs")
        here.server.query(jobs.format("completed", "now()", FINISHED))
        here.server.query("VACUUM ANALYZE")
        after = json.loads(subprocess.run(claim, check=True, capture_output=True, text=True).stdout)
    return {"pending": PENDING, "finished": FINISHED, "before": before, "after": after}


# --- an idle one ---


def idle_case(programs, runs):
    watched = 60
    ours = "FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = 'bisect' AND query NOT LIKE '%pg_stat_statements%'"
    # What opens and closes a transaction goes with it, in one round trip each, and asks nothing.
    queries = f"SELECT coalesce(sum(calls), 0) {ours} AND query !~ '^(BEGIN|SET LOCAL|COMMIT|ROLLBACK)'"
    with stage(programs, ["shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track_utility=on"]) as here:
        here.server.query("CREATE EXTENSION pg_stat_statements")
        healthy = []
        for number in range(runs):
            began = time.monotonic()
            with here.serve(f"start{number}") as served:
                eventually("it is healthy", served.healthy)
                healthy.append(time.monotonic() - began)
        with here.instance("one") as served:
            time.sleep(10)
            here.server.query("SELECT pg_stat_statements_reset()")
            time.sleep(watched)
            asked = int(here.server.value(queries))
            told = here.server.query(f"SELECT calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 100) {ours} ORDER BY calls DESC LIMIT 12")
            memory = served.resident_mb()
    return {"to_healthy": table.spread(healthy), "resident_mb": memory, "queries_per_second": asked / watched, "statements": told}


# --- taking over ---


def takeover_case(programs, runs):
    took = []
    clocks = {"STALE_AFTER_SECONDS": str(STALE_AFTER), "RECOVERY_INTERVAL_SECONDS": str(RECOVERY), "HEARTBEAT_SECONDS": "0.5"}
    for _ in range(runs):
        with stage(programs) as here, here.instance("one", **clocks) as one:
            write_comment(here.issue, here.comment.replace("python3", "sleep 5; python3"))
            eventually("a probe runs", lambda: here.server.query("SELECT 1 FROM probes LIMIT 1") or None)
            with here.instance("two", **clocks):
                killed = time.time()
                one.process.kill()
                claimed = "SELECT extract(epoch FROM max(created_at)) FROM job_events WHERE kind = 'claimed' HAVING count(*) > 1"
                again = eventually("it is taken over", lambda: here.server.query(claimed) or None)
                took.append(float(again[0][0]) - killed)
                here.server.query("UPDATE bisect_jobs SET cancel_requested_at = now(), cancel_requested_by = 'bench' WHERE status = 'running'")
                eventually("it ends", lambda: here.server.query("SELECT 1 FROM bisect_jobs WHERE completed_at IS NOT NULL") or None)
    return {"seconds": table.spread(took), "bound": STALE_AFTER + RECOVERY + 1}


def measure(programs, wanted, results, folder, runs):
    if "webhooks" in wanted:
        results["webhooks"] = webhooks_case(programs, folder)
    if "start" in wanted:
        results["start"] = start_case(programs, 2 * runs)
    if "claims" in wanted:
        results["claims"] = claims_case(programs)
    if "idle" in wanted:
        results["idle"] = idle_case(programs, runs)
    if "takeover" in wanted:
        results["takeover"] = takeover_case(programs, min(runs, 3))
