"""The operators' console: `bisect-tui` as a process on a terminal of its own, at a daemon with many jobs and a long log.

How long a frame takes cannot be seen from outside: that is measured by tui/examples/frames.rs, in the same program text.
"""

import contextlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import time

import peer
import service
import table

CASES = ["console"]
SIZE = (140, 40)
JOBS, LINES = 10_000, 1_000_000
IDLE_SECONDS = 20


class Terminal:
    """A program in a window of tmux."""

    def __init__(self, folder, command, environment):
        self.socket = folder / f"tmux-{time.monotonic_ns()}"
        self.environment = environment
        self.started = time.monotonic()
        words = shlex.join(str(word) for word in command)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(SIZE[0]), "-y", str(SIZE[1]), f"exec {words}")
        self.pid = int(self.tmux("display-message", "-p", "#{pane_pid}"))

    def tmux(self, *arguments):
        said = subprocess.run(["tmux", "-S", self.socket, *arguments], check=True, capture_output=True, text=True, env=self.environment)
        return said.stdout

    def types(self, text):
        self.tmux("send-keys", "-l", text)

    def shows(self, text, seconds=60):
        """When the screen has it."""
        return service.eventually(f"the console shows {text!r}", lambda: time.monotonic() if text in self.tmux("capture-pane", "-p") else None, seconds)

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000


@contextlib.contextmanager
def console(programs, folder):
    environment = peer.clean_environment() | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    terminal = Terminal(folder, [programs / "bisect-tui", "--socket", folder / "admin.sock"], environment)
    try:
        yield terminal
    finally:
        terminal.tmux("kill-server")


def fill(server):
    """Many jobs that have ended, and the log of the last one."""
    server.query("INSERT INTO installations (installation_id, account_type, account_login, account_id) VALUES (1001, 'Organization', 'org', 1001)")
    server.query("INSERT INTO repositories (github_id, installation_id, owner, name, full_name, private) VALUES (1001, 1001, 'org', 'r', 'org/r', false)")
    server.query(
        "INSERT INTO bisect_jobs (installation_id, repository_id, good_sha, bad_sha, command, status, completed_at) "
        "SELECT 1001, (SELECT id FROM repositories WHERE github_id = 1001), repeat('a', 40), repeat('b', 40), ARRAY['true'], 'failed', now() "
        f"FROM generate_series(1, {JOBS}) n"
    )
    server.query(
        "INSERT INTO probes (job_id, epoch, commit_sha, purpose, lane, ending, exit_code, verdict, seconds, finished_at) "
        "SELECT max(id), 1, repeat('b', 40), 'search', 0, 'exited', 1, 'bad', 1, now() FROM bisect_jobs"
    )
    line = "'line ' || c * 1000 + l || ' tests/test_' || l % 83 || '.py::test_case PASSED in 0.' || l || 's, nothing else to say' || chr(10)"
    server.query(
        f"INSERT INTO log_chunks (probe_id, seq, bytes) SELECT (SELECT max(id) FROM probes), c, "
        f"convert_to((SELECT string_agg({line}, '' ORDER BY l) FROM generate_series(0, 999) l), 'UTF8') FROM generate_series(0, {LINES // 1000 - 1}) c"
    )
    server.query("VACUUM ANALYZE")
    return int(server.value("SELECT max(id) FROM bisect_jobs"))


def console_case(programs, runs):
    frames = [programs / "examples" / "frames", str(LINES), str(JOBS)]
    inside = json.loads(subprocess.run(frames, check=True, capture_output=True, text=True).stdout)
    first, all_jobs, log, memory, processor = [], [], [], [], []
    with service.stage(programs) as here, here.instance("one", ADMIN_SOCKET=str(here.folder / "admin.sock")):
        job = fill(here.server)
        for _ in range(min(runs, 3)):
            with console(programs, here.folder) as terminal:
                first.append(terminal.shows("failed") - terminal.started)
                all_jobs.append(terminal.shows(f"{JOBS:,} jobs") - terminal.started)
                time.sleep(2)
                before = terminal.processor_seconds()
                time.sleep(IDLE_SECONDS)
                processor.append((terminal.processor_seconds() - before) / IDLE_SECONDS)
                terminal.types(f":job {job}\r")
                terminal.shows("VERDICT")
                asked = time.monotonic()
                terminal.types("l")
                log.append(terminal.shows(f"line {LINES - 1}") - asked)
                time.sleep(1)
                memory.append(terminal.memory_mb())
    service.say(f"console: first screen after {first}, a log of {LINES:,} lines after {log}")
    return {
        "first_screen": table.spread(first),
        "all_jobs": table.spread(all_jobs),
        "log": table.spread(log),
        "memory_mb": table.spread(memory),
        "idle_processor": table.spread(processor),
        "inside": inside,
    }


def rows(answer):
    inside = answer["inside"]
    frames, grown = inside["frames_ms"], inside["hour"]["grown_mb"]

    def row(case, ours, target, met):
        return table.Row(case, "", ours, "", target, met)

    def frame(name):
        return f"{frames[name]['both_p99']:.1f} ms (slowest {frames[name]['both_max']:.1f})"

    first, memory, processor = answer["first_screen"], answer["memory_mb"], answer["idle_processor"]
    yield row(f"{JOBS:,} jobs: from exec to the first screen", table.seconds(first), "≤ 1 s", first["median"] <= 1)
    yield row("… to all jobs", table.seconds(answer["all_jobs"]), "", True)
    yield row(f"A log of {LINES:,} lines: from the key to its end", table.seconds(answer["log"]), "", True)
    yield row("… memory of the console, with all jobs, at most", f"{memory['median']:.0f} MB", "≤ 80 MB", memory["max"] <= 80)
    following = max(frames["log_following"]["both_p99"], frames["log_wrapped"]["both_p99"], frames["log_scrolled_back"]["both_p99"])
    yield row("A frame at 140×40 while 2,000 lines a second arrive, p99: following", frame("log_following"), "≤ 16 ms", following <= 16)
    yield row("… while all of the log is searched", frame("log_searching"), "≤ 16 ms", frames["log_searching"]["both_p99"] <= 16)
    yield row("… in the table of jobs", frame("jobs"), "≤ 16 ms", frames["jobs"]["both_p99"] <= 16)
    yield row("An hour of 2,000 lines a second: memory grown", f"{grown:.1f} MB", "no growth", grown <= 1)
    yield row("Processor while nothing changes", f"{processor['median'] * 100:.2f} %", "≤ 1 %", processor["median"] <= 0.01)


def lines(results):
    """The table, if it was measured."""
    if answer := results.get("console"):
        yield "| the console | | bisect-tui | | target | |"
        yield "|---|---|---|---|---|---|"
        yield from (str(row) for row in rows(answer))
        yield ""
