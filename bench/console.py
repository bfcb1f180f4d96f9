"""The operators' console: `bisect-tui` as a process on a terminal of its own, at a daemon with many jobs and a long log.

How long a frame takes cannot be seen from outside: that is measured by tui/examples/frames.rs, in the same program text.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import service
import table

CASES = ["console"]
SIZE = (140, 40)
JOBS, LINES = 10_000, 1_000_000
IDLE_SECONDS = 20


class Terminal:
    """A program on a pseudo-terminal. What it writes is read at once, and kept."""

    def __init__(self, command, environment):
        self.started = time.monotonic()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(command[0], [str(word) for word in command], environment)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        self.written, self.ended = [], threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while not self.ended.is_set():
            if select.select([self.master], [], [], 0.5)[0]:
                try:
                    self.written.append((time.monotonic(), os.read(self.master, 1 << 16)))
                except OSError:
                    return

    def types(self, text):
        """Gives the keys; returns from where on in what is written their effect is."""
        begin = len(self.written)
        os.write(self.master, text.encode())
        return begin

    def shows(self, pattern, begin=0, seconds=60):
        """When that was written, after the piece `begin`."""

        def seen():
            text = b""
            for at, piece in self.written[begin:]:
                text += piece
                if re.search(pattern, text):
                    return at
            return None

        return service.eventually(f"the console shows {pattern!r}", seen, seconds)

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, name):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1000

    def end(self):
        self.ended.set()
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)
        os.close(self.master)


@contextlib.contextmanager
def console(programs, socket):
    environment = service.peer.clean_environment() | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    terminal = Terminal([programs / "bisect-tui", "--socket", socket], environment)
    try:
        yield terminal
    finally:
        terminal.end()


def fill(server):
    """Many jobs that have ended, and the log of the last one."""
    server.query(
        "INSERT INTO bisect_jobs (installation_id, repository_id, good_sha, bad_sha, command, status, completed_at) "
        "SELECT (SELECT min(installation_id) FROM installations), (SELECT min(id) FROM repositories), repeat('a', 40), repeat('b', 40), "
        f"ARRAY['true'], 'failed', now() FROM generate_series(1, {JOBS}) n"
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
            with console(programs, here.folder / "admin.sock") as terminal:
                first.append(terminal.shows(rb"failed") - terminal.started)
                all_jobs.append(terminal.shows(f"{JOBS:,}".encode()) - terminal.started)
                time.sleep(2)
                before = terminal.processor_seconds()
                time.sleep(IDLE_SECONDS)
                processor.append((terminal.processor_seconds() - before) / IDLE_SECONDS)
                begin = terminal.types(f":job {job}\r")
                terminal.shows(b"probes", begin)
                asked = time.monotonic()
                begin = terminal.types("l")
                log.append(terminal.shows(str(LINES - 1).encode(), begin) - asked)
                time.sleep(1)
                memory.append(terminal.memory_mb("VmHWM"))
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
