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
        with private_postgres(self.data_dir) as query:
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
def private_postgres(data_dir):
    """Starts the stopped cluster as the user it belongs to, and gives a function that runs one query."""
    cluster = data_dir / "postgres" / "data"
    owner = cluster.stat()
    socket = pathlib.Path(tempfile.mkdtemp(prefix="bisect-bench-db-"))
    shutil.chown(socket, owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None
    become = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    server = subprocess.Popen(
        [programs / "postgres", "-D", cluster, "-k", socket, "-c", "listen_addresses="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=socket, **become,
    )

    def query(text):
        command = [programs / "psql", "-h", socket, "-U", "bisect", "-d", "bisect", "-AtF", "\t", "-c", text]
        answer = subprocess.run(command, capture_output=True, text=True, cwd=socket, check=True, **become)
        return [line.split("\t") for line in answer.stdout.splitlines()]

    try:
        for attempt in range(200):
            try:
                query("SELECT 1")
                break
            except subprocess.CalledProcessError:
                if server.poll() is not None or attempt == 199:
                    raise
                time.sleep(0.05)
        yield query
    finally:
        server.send_signal(signal.SIGINT)  # "fast" shutdown
        server.wait(60)
        shutil.rmtree(socket, ignore_errors=True)


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
