"""The program under measurement: `bisectd bisect`, as a user starts it, on a `DATA_DIR` of its own."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import peer
import postgres

# As many as any row asks for: the default is the number of processors, and tests that sleep need none.
PROBES_AT_ONCE = "8"


@dataclasses.dataclass
class Probe:
    commit: str
    purpose: str
    lane: int
    started: float
    finished: float
    # Setup and command alone, as the sandbox timed them inside.
    seconds: float
    ending: str


@dataclasses.dataclass
class Job:
    """One job's rows. Times are the machine's clock, which PostgreSQL and this program share."""

    created: float
    claimed: float
    completed: float
    probes: list


@dataclasses.dataclass
class OurRun:
    culprit: str
    number: int
    # Wall-clock: from before the process was started to after it ended, database and containers included.
    began: float
    seconds: float
    # Until the result was printed; containers and volumes are removed after that.
    answered: float
    answer: dict
    job: Job = None


class Bisectd:
    def __init__(self, program, data_dir):
        self.program = program
        self.data_dir = data_dir
        self.instances = []
        options = subprocess.run([program, "bisect", "--help"], check=True, capture_output=True, text=True).stdout
        # Once verdicts are remembered across jobs, a measurement must not find them.
        self.always = ["--no-cache"] if "--no-cache" in options else []

    def run(self, repository, good, bad, command, lanes):
        arguments = [self.program, "bisect", str(repository), good, bad, "--jobs", str(lanes), "--network", "none", "--json", *self.always]
        environment = peer.clean_environment() | {"DATA_DIR": str(self.data_dir), "MAX_CONCURRENT_PROBES": PROBES_AT_ONCE}
        began, clock = time.time(), time.perf_counter()
        run = subprocess.Popen(
            [*arguments, "--", *command], env=environment, cwd=self.data_dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )
        self.instances.append(f"-{run.pid}-")
        try:
            out = run.stdout.readline()
            answered = time.perf_counter() - clock
            rest, err = run.communicate()
            out += rest
        except BaseException:
            # Ctrl-C reached only us. The first signal cancels the job and removes its containers.
            run.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(30)
            run.kill()
            raise
        seconds = time.perf_counter() - clock
        if run.returncode != 0:
            raise RuntimeError(f"bisectd ended with exit code {run.returncode}:\n{out}\n{err}")
        answer = json.loads(out)
        number = re.search(r"^job (\d+):", err, re.MULTILINE)
        return OurRun(answer["culprit"], int(number[1]) if number else 0, began, seconds, answered, answer)

    def leftovers(self):
        """Containers and volumes of our processes that are still there, as (kind, name)."""
        for kind, list_all in (("container", ["ps", "--all"]), ("volume", ["volume", "ls"])):
            name = "{{.ID}}" if kind == "container" else "{{.Name}}"
            listed = subprocess.run(
                ["docker", *list_all, "--filter", "label=bisectd.instance", "--format", name + '\t{{.Label "bisectd.instance"}}'],
                check=True, capture_output=True, text=True,
            )
            for line in listed.stdout.splitlines():
                found, _, instance = line.partition("\t")
                if any(ours in instance for ours in self.instances):
                    yield kind, found

    def load_jobs(self, runs):
        """Fills in each run's rows, from the private PostgreSQL, which the last process out has stopped."""
        with postgres.started(self.data_dir / "postgres" / "data", "bisect", "bisect") as server:
            query = server.query
            jobs = {
                int(number): Job(float(created), float(claimed), float(completed), [])
                for number, created, claimed, completed in query(
                    "SELECT id, extract(epoch FROM created_at), extract(epoch FROM (SELECT min(e.created_at) FROM job_events e "
                    "WHERE e.job_id = j.id AND kind = 'claimed')), extract(epoch FROM completed_at) FROM bisect_jobs j "
                    "WHERE completed_at IS NOT NULL"
                )
            }
            for job, commit, purpose, lane, started, finished, seconds, ending in query(
                "SELECT job_id, commit_sha, purpose, lane, extract(epoch FROM started_at), extract(epoch FROM finished_at), "
                "coalesce(seconds, 0), ending FROM probes WHERE finished_at IS NOT NULL ORDER BY id"
            ):
                if int(job) in jobs:
                    probe = Probe(commit, purpose, int(lane), float(started), float(finished), float(seconds), ending)
                    jobs[int(job)].probes.append(probe)
        for run in runs:
            run.job = jobs[run.number]


@contextlib.contextmanager
def bisectd(program):
    """A `bisectd` with a fresh `DATA_DIR`. At the end nothing of it is left; what it left itself is reported and removed."""
    data_dir = pathlib.Path(tempfile.mkdtemp(prefix="bisect-bench-"))
    # The private PostgreSQL runs as another user when we are root.
    data_dir.chmod(0o711)
    ours = Bisectd(program, data_dir)
    try:
        yield ours
    finally:
        for kind, name in list(ours.leftovers()):
            print(f"bench: bisectd left the {kind} {name} behind; removing it", file=sys.stderr)
            subprocess.run(["docker", kind, "rm", "--force", name], check=False, stdout=subprocess.DEVNULL)
        stop_postgres(data_dir)
        shutil.rmtree(data_dir, ignore_errors=True)


def stop_postgres(data_dir):
    """A bisectd that was killed leaves its database running for the next one; there will be none."""
    try:
        pid = int((data_dir / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
        if str(data_dir) in os.readlink(f"/proc/{pid}/cwd"):
            os.kill(pid, signal.SIGINT)
            for _ in range(200):
                time.sleep(0.05)
                os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        pass  # it does not run, which is what is wanted
