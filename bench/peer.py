"""The peer: `git bisect run` of the same command inside the same image, in one long-lived container with a lane's limits."""

import contextlib
import dataclasses
import os
import re
import shlex
import subprocess
import time

HOME = "/peer"


@dataclasses.dataclass
class PeerRun:
    culprit: str
    seconds: float
    # Each commit with the time from the start of its test to the start of the next one's, or to the end.
    probes: list


class Peer:
    def __init__(self, container):
        self.container = container

    def run(self, repository, good, bad, command):
        """Times `git bisect start BAD GOOD && git bisect run COMMAND`; `docker exec` itself, which runs once, is not counted."""
        script = (
            f"stty -echo; echo bench-begin; git bisect start {bad} {good} && git bisect run {shlex.join(command)}; "
            "echo; echo bench-end $?; git bisect reset >/dev/null 2>&1; git clean -qffdx"
        )
        # With a terminal git writes each line when it happens, so that the probes can be timed from outside, at no cost to git.
        run = subprocess.Popen(
            ["docker", "exec", "--tty", "--user", "runner", "--workdir", f"{HOME}/{repository}", "--env", f"HOME={HOME}", self.container, "sh", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        said, begin, end, commit, starts, culprit = [], None, None, None, [], None
        try:
            for line in run.stdout:
                now = time.perf_counter()
                line = line.strip()
                said.append(line)
                if line == "bench-begin":
                    begin = now
                elif line.startswith("bench-end"):
                    end = end or now
                elif match := re.match(r"\[([0-9a-f]{40})\] ", line):
                    commit = match[1]
                elif line.startswith("running "):
                    starts.append((commit, now))
                elif match := re.match(r"([0-9a-f]{40}) is the first bad commit", line):
                    culprit = match[1]
            run.wait()
        finally:
            if run.poll() is None:
                run.kill()
        if culprit is None or end is None:
            raise RuntimeError("git bisect run named no culprit:\n" + "\n".join(said))
        ends = [moment for _, moment in starts[1:]] + [end]
        return PeerRun(culprit, end - begin, [(sha, stop - start) for (sha, start), stop in zip(starts, ends)])


@contextlib.contextmanager
def container(image, repositories):
    """A container that holds a clone of each repository (name → folder on this machine) in a volume of its own, as a lane does."""
    arguments = ["docker", "run", "--detach", "--rm", "--init", "--user", "0", "--network", "none", "--label", "bisectd.bench=peer"]
    # What sandbox::Limits gives a lane.
    arguments += ["--memory", "2g", "--memory-swap", "2g", "--cpus", "2", "--pids-limit", "512", "--tmpfs", "/tmp:exec,size=512m"]
    arguments += ["--cap-drop", "ALL", "--cap-add", "CHOWN", "--security-opt", "no-new-privileges", "--volume", HOME]
    for name, folder in repositories.items():
        arguments += ["--volume", f"{folder}:/repositories/{name}:ro"]
    started = subprocess.run([*arguments, image, "sleep", "86400"], check=True, capture_output=True, text=True)
    name = started.stdout.strip()
    try:
        subprocess.run(["docker", "exec", name, "chown", "runner", HOME], check=True)
        script = "git config --global safe.directory '*' && git config --global advice.detachedHead false"
        for repository in repositories:
            script += f" && git clone --quiet file:///repositories/{repository} {HOME}/{repository}"
        subprocess.run(["docker", "exec", "--user", "runner", "--env", f"HOME={HOME}", name, "sh", "-c", script], check=True)
        yield Peer(name)
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def version(image):
    answer = subprocess.run(["docker", "run", "--rm", "--network", "none", image, "git", "--version"], check=True, capture_output=True, text=True)
    return answer.stdout.strip()


def clean_environment():
    """This process's environment without what would change what git or bisectd do."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DATABASE_"))}
