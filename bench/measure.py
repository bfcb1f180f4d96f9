#!/usr/bin/env python3
"""Measures `bisectd bisect` beside `git bisect run`, and prints the table of docs/benchmarks.md. Called by bench/run.sh.

    bench/measure.py --programs target/release [--results FOLDER] [--record]

BENCH_RUNS: how many culprits per case (default 5). BENCH_ONLY: some of sleep,lognormal,build,graph,schedule and, of the
service, webhooks,start,claims,idle,takeover; and console, pages; with commas.
Standard library only. Nothing stays behind, also after Ctrl-C.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import console
import ours
import pages
import peer
import repositories
import service
import service_table
import table

IMAGE = os.environ.get("DOCKER_RUNNER_IMAGE", "bisect-runner:latest")
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
CASES = ["sleep", "lognormal", "build", "graph", "schedule", *service.CASES, *console.CASES, *pages.CASES]


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def test_of(kind, culprit):
    """The command: passes on every commit before the planted one."""
    work = "make -s -j2 && ./build/program" if kind == "build" else 'sleep "$(cat seconds)"'
    return ["sh", "-c", f'{work} && test "$(cat number)" -lt {culprit}']


class Busy:
    """How many processors were kept busy, by anyone, while something else was going on."""

    def __init__(self):
        self.ticks, self.clock = self.now(), time.monotonic()

    @staticmethod
    def now():
        user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
        return user + nice + system + irq + softirq + steal

    def processors(self):
        return round((self.now() - self.ticks) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - self.clock), 2)


def busy_others():
    """The same during 3 s of doing nothing."""
    busy = Busy()
    time.sleep(3)
    return busy.processors()


class Case:
    """One repository, one test, several planted culprits: the same for git and for us, in turn."""

    def __init__(self, kind, folder, lanes, git, program):
        self.kind, self.folder, self.lanes, self.git, self.program = kind, folder, lanes, git, program
        self.good, self.bad = (self.rev_parse(name) for name in ("v0", "main"))

    def rev_parse(self, name):
        found = repositories.git(self.folder, "rev-parse", f"{name}^{{commit}}", capture_output=True, text=True)
        return found.stdout.strip()

    def measure(self):
        commits = repositories.BUILD_COMMITS if self.kind == "build" else repositories.COMMITS
        # While git's tests sleep, whatever is busy is somebody else. A build keeps the machine busy itself.
        self.others = [busy_others()] if self.kind == "build" else []
        # Not counted, but told: the first job of all makes the database, the first on a repository its mirror.
        cold = self.run_ours(test_of(self.kind, commits // 3), self.lanes[-1], f"main~{commits - commits // 3}")
        rounds = []
        for index, culprit in enumerate(repositories.culprits(RUNS, commits)):
            expected, test, answers = f"main~{commits - culprit}", test_of(self.kind, culprit), {}
            turns = ["git", *self.lanes]
            for turn in turns[index % len(turns):] + turns[: index % len(turns)]:
                answers[turn] = self.run_git(test, expected) if turn == "git" else self.run_ours(test, turn, expected)
            rounds.append({"culprit": culprit, **answers})
            told = ", ".join(f"{turn if turn == 'git' else f'{turn} lanes'} {answers[turn].seconds:.2f} s" for turn in turns)
            say(f"{self.kind}, culprit {culprit}: {told}")
        self.program.load_jobs([cold] + [answer[lanes] for answer in rounds for lanes in self.lanes])
        return {"cold": cold, "rounds": rounds, "good": self.good, "bad": self.bad, "others_busy": statistics.mean(self.others)}

    def run_git(self, test, expected):
        busy = Busy()
        answer = self.git.run(self.kind, self.good, self.bad, test)
        if self.kind != "build":
            self.others.append(busy.processors())
        self.check("git bisect run", answer.culprit, expected)
        return answer

    def run_ours(self, test, lanes, expected):
        answer = self.program.run(self.folder, self.good, self.bad, test, lanes)
        self.check(f"bisectd with {lanes} lanes", answer.culprit, expected)
        return answer

    def check(self, who, culprit, expected):
        if culprit != self.rev_parse(expected):
            raise RuntimeError(f"{who} named {culprit} instead of {expected} of {self.folder}")


def graph_case(folder, programs):
    """Picks on 100,000 commits, beside git's own one pick."""
    others = busy_others()
    picks, times = [], []
    for _ in range(min(RUNS, 3)):
        said = subprocess.run([programs / "examples" / "picks", folder, "v0", "main", "1", "3", "7"], check=True, capture_output=True, text=True)
        picks.append(json.loads(said.stdout))
    # Of these runs the middle one by its slowest step; a step that another program interrupts is no slow pick.
    picks.sort(key=lambda run: max(lanes["step_max_seconds"] for lanes in run["lanes"]))
    for _ in range(min(RUNS, 3)):
        began = time.perf_counter()
        repositories.git(folder, "rev-list", "--bisect-vars", "v0..main", stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return {"picks": picks[len(picks) // 2], "git_seconds": statistics.median(times), "others_busy": others}


def schedule_case(folder, programs, overhead):
    """The same search on a virtual clock, every commit as culprit: what several lanes could gain at best."""
    answers = {}
    for kind, seconds in (("sleep", lambda _: 1.0), ("lognormal", repositories.seconds_of)):
        durations = folder / f"{kind}.txt"
        durations.write_text("".join(f"{seconds(number):.3f}\n" for number in range(repositories.COMMITS + 1)))
        for name, cost in (("free", 0.0), ("measured", overhead)):
            said = subprocess.run([programs / "examples" / "schedule", durations, str(cost), "1", "3", "7"], check=True, capture_output=True, text=True)
            answers[f"{kind}_{name}"] = json.loads(said.stdout)
    return answers


def machine():
    docker = subprocess.run(["docker", "info", "--format", "{{.ServerVersion}}, {{.Driver}}"], check=True, capture_output=True, text=True)
    memory = next(line for line in pathlib.Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    model = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "memory_gib": round(int(memory.split()[1]) / 2**20, 1),
        "docker": docker.stdout.strip(),
        "kernel": os.uname().release,
        "git": subprocess.run(["git", "--version"], check=True, capture_output=True, text=True).stdout.strip(),
        "git_in_image": peer.version(IMAGE),
        "load": os.getloadavg(),
    }


def measure_all(programs, wanted, folder, kept):
    results = {"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "runs": RUNS, "machine": machine()}
    kinds = [kind for kind in ("sleep", "lognormal", "build", "graph") if kind in wanted]
    for kind in kinds:
        say(f"making the repository {kind}")
        repositories.MAKERS[kind](folder / kind)
    timed = {kind: folder / kind for kind in kinds if kind != "graph"}
    with contextlib.ExitStack() as stack:
        if timed:
            git = stack.enter_context(peer.container(IMAGE, timed))
            program = stack.enter_context(ours.bisectd(programs / "bisectd"))
        for kind, place in timed.items():
            lanes = {"sleep": [1, 3, 7], "lognormal": [3, 7], "build": [1]}[kind]
            case = Case(kind, place, lanes, git, program)
            results[kind] = table.summary(kind, case.measure())
    if "graph" in wanted:
        results["graph"] = graph_case(folder / "graph", programs)
    if "schedule" in wanted:
        results["schedule"] = schedule_case(folder, programs, results.get("sleep", {}).get("overhead", {}).get("median", 0.1))
    service.measure(programs, wanted, results, kept, RUNS)
    if "console" in wanted:
        results["console"] = console.console_case(programs, RUNS)
    if "pages" in wanted:
        results["pages"] = pages.pages_case(programs)
    results["machine"]["load_after"] = os.getloadavg()
    results["dates"] = {case: results["date"] for case in wanted}
    return results


def read(file):
    """What was written as JSON, which cannot have numbers as names: those of lanes and processes are numbers again, status codes remain text."""
    return json.loads(file.read_text(), object_pairs_hook=lambda pairs: {int(name) if name.isdigit() and int(name) < 100 else name: value for name, value in pairs})


def with_recorded(results, recorded):
    """These results, and of what was not measured this time what is recorded, with its date."""
    before = read(recorded) if recorded.exists() else {}
    dates = {case: before["date"] for case in CASES if case in before} | before.get("dates", {}) | results["dates"]
    return before | results | {"dates": dates}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="folder with bisectd and examples/, built for release")
    parser.add_argument("--results", type=pathlib.Path, required=True, help="folder for results.md and results.json")
    parser.add_argument("--record", action="store_true", help="put the table into docs/benchmarks.md; of what was not measured the recorded numbers stay")
    options = parser.parse_args()
    wanted = [name for name in os.environ.get("BENCH_ONLY", "").split(",") if name] or CASES
    if unknown := set(wanted) - set(CASES):
        parser.error(f"BENCH_ONLY knows {', '.join(CASES)}, not {', '.join(sorted(unknown))}")

    # So that `kill` cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bisect-bench-repositories-"))
    folder.chmod(0o755)
    try:
        options.results.mkdir(parents=True, exist_ok=True)
        results = measure_all(options.programs.resolve(), wanted, folder, options.results.resolve())
    except KeyboardInterrupt:
        sys.exit("bench: interrupted; everything was removed")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    recorded = pathlib.Path(__file__).resolve().parent.parent / "docs" / "benchmarks.json"
    if options.record:
        results = with_recorded(results, recorded)
    text = table.render(results, [*service_table.lines(results), *console.lines(results), *pages.lines(results)])
    (options.results / "results.md").write_text(text)
    (options.results / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    if options.record:
        table.put_into(recorded.with_suffix(".md"), text)
        recorded.write_text(json.dumps(results, indent=1) + "\n")
    print(text)
    say(f"also in {options.results}/results.md and results.json")


if __name__ == "__main__":
    main()
