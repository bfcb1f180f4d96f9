"""From measurements to numbers, and from numbers to the table."""

import statistics

START, END = "<!-- results: written by bench/measure.py --record -->", "<!-- end of results -->"


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(kind, measured):
    """The numbers of one case. Ratios are taken culprit by culprit, then the median: each culprit costs git another time."""
    rounds, ends = measured["rounds"], {measured["good"], measured["bad"]}
    lanes = [key for key in rounds[0] if isinstance(key, int)]
    numbers = {
        "culprits": [answer["culprit"] for answer in rounds],
        "others_busy": measured["others_busy"],
        "cold_seconds": measured["cold"].seconds,
        "git": spread([answer["git"].seconds for answer in rounds]),
        "git_seconds": [answer["git"].seconds for answer in rounds],
        "git_probes": [len(answer["git"].probes) for answer in rounds],
        "lanes": {},
    }
    for count in lanes:
        walls = [answer[count].seconds for answer in rounds]
        numbers["lanes"][count] = {
            "seconds": walls,
            "wall": spread(walls),
            "ratio": spread([answer[count].seconds / answer["git"].seconds for answer in rounds]),
            "answered": spread([answer[count].answered for answer in rounds]),
            "answered_ratio": spread([answer[count].answered / answer["git"].seconds for answer in rounds]),
            "probes": [len(answer[count].job.probes) for answer in rounds],
            "stopped": [sum(probe.ending == "stopped" for probe in answer[count].job.probes) for answer in rounds],
            "phases": phases([answer[count] for answer in rounds]),
        }
    if 1 in lanes:
        one_lane(kind, numbers, rounds, ends)
    return numbers


def one_lane(kind, numbers, rounds, ends):
    """What only runs that follow one another can tell: the search without ends and proof, and what each probe costs."""
    steps, alone = [], []
    for answer in rounds:
        run = answer[1]
        mine = search_steps(run.job, ends)
        steps.append(mine)
        alone.append(search_alone(run, ends, mine))
    numbers["search_alone"] = spread(alone)
    numbers["search_alone_ratio"] = spread([time / answer["git"].seconds for time, answer in zip(alone, rounds)])
    if kind == "sleep":
        # The command sleeps 1 s; everything else from one probe's row to the next is overhead, `sh`, `cat` and `test` included.
        numbers["overhead"] = spread([statistics.mean(time - 1 for _, time, _ in mine) for mine in steps])
        numbers["git_overhead"] = spread([statistics.mean(time - 1 for _, time in answer["git"].probes) for answer in rounds])
    # Later probes only: the first one starts from another commit's build than git's does.
    same = [[commit for commit, _, _ in mine[1:]] == [commit for commit, _ in answer["git"].probes[1:]] for mine, answer in zip(steps, rounds)]
    numbers["same_commits"] = all(same)
    ours = [statistics.mean(time for _, time, _ in mine[1:]) for mine in steps]
    git = [statistics.mean(time for _, time in answer["git"].probes[1:]) for answer in rounds]
    numbers["per_probe"] = {"git": spread(git), "ours": spread(ours), "ratio": spread([mine / theirs for mine, theirs in zip(ours, git)])}


def search_steps(job, ends):
    """Each midpoint: (commit, from its row's start to the next row's, the command alone)."""
    steps = []
    following = [probe.started for probe in job.probes[1:]] + [job.completed]
    for probe, until in zip(job.probes, following):
        if probe.purpose == "search" and probe.commit not in ends:
            steps.append((probe.commit, until - probe.started, probe.seconds))
    return steps


def search_alone(run, ends, steps):
    """The whole command without what only ends and proof needed.

    Of an end that is its command and a steady probe's overhead: what the first probe waits for (the lane) stays with the search. Of a
    proof it is everything from its row to the next one's, its fresh lane included.
    """
    overhead = statistics.median(time - seconds for _, time, seconds in steps)
    spared = sum(probe.seconds + overhead for probe in run.job.probes if probe.purpose == "search" and probe.commit in ends)
    following = [probe.started for probe in run.job.probes[1:]] + [run.job.probes[-1].finished]
    spared += sum(until - probe.started for probe, until in zip(run.job.probes, following) if probe.purpose == "proof")
    return run.seconds - spared


def phases(runs):
    """Where the time outside of probes goes, medians in seconds."""

    def of(run):
        job = run.job
        # A row's `finished` is written after the command ended, so this is later than the command's real beginning.
        begun = min(probe.finished - probe.seconds for probe in job.probes if probe.ending != "stopped")
        return {
            "start to claim": job.claimed - run.began,
            "claim to first row": job.probes[0].started - job.claimed,
            "claim to first command": begun - job.claimed,
            "last answer to completed": job.completed - max(probe.finished for probe in job.probes if probe.ending != "stopped"),
            "completed to exit": run.began + run.seconds - job.completed,
        }

    all_phases = [of(run) for run in runs]
    return {name: spread([phase[name] for phase in all_phases]) for name in all_phases[0]}


# --- the table ---


class Row:
    def __init__(self, case, git, ours, ratio, target, met):
        self.cells = [case, git, ours, ratio, target, "met" if met else "**not met**"]

    def __str__(self):
        return "| " + " | ".join(self.cells) + " |"


def seconds(numbers, digits=2):
    return f"{numbers['median']:.{digits}f} s ({numbers['min']:.{digits}f}–{numbers['max']:.{digits}f})"


def times(numbers):
    return f"{numbers['median']:.2f} × ({numbers['min']:.2f}–{numbers['max']:.2f})"


def ratio_row(case, git, ours, ratio, target):
    return Row(case, seconds(git), seconds(ours), times(ratio), f"≤ {target} ×", ratio["median"] <= target)


def limit_row(case, git, numbers, target, digits=3):
    return Row(case, git, seconds(numbers, digits), "", f"≤ {target} s", numbers["median"] <= target)


def rows(results):
    if sleep := results.get("sleep"):
        lanes = sleep["lanes"]
        yield ratio_row("1,000 commits, test sleeps 1 s, one lane: the search alone", sleep["git"], sleep["search_alone"], sleep["search_alone_ratio"], 1.15)
        yield ratio_row("… ends and proof included", sleep["git"], lanes[1]["wall"], lanes[1]["ratio"], 1.6)
        yield limit_row("… overhead per probe", seconds(sleep["git_overhead"], 3), sleep["overhead"], 0.1)
        yield ratio_row("… 3 lanes, all included", sleep["git"], lanes[3]["wall"], lanes[3]["ratio"], 0.75)
        yield ratio_row("… 7 lanes, all included", sleep["git"], lanes[7]["wall"], lanes[7]["ratio"], 0.6)
    if lognormal := results.get("lognormal"):
        for count, target in ((3, 0.75), (7, 0.55)):
            mine = lognormal["lanes"][count]
            yield ratio_row(f"1,000 commits, log-normal durations, {count} lanes, all included", lognormal["git"], mine["wall"], mine["ratio"], target)
    if build := results.get("build"):
        per_probe = build["per_probe"]
        yield ratio_row("Incremental build, one lane, per probe", per_probe["git"], per_probe["ours"], per_probe["ratio"], 1.1)
    if graph := results.get("graph"):
        picks = graph["picks"]
        case = f"{picks['candidates']:,} candidates, {picks['merges']:,} merges: "
        worst = max(lanes["step_max_seconds"] for lanes in picks["lanes"])
        middle = statistics.median(lanes["step_median_seconds"] for lanes in picks["lanes"])
        mib = picks["peak_bytes"] / 1e6
        yield Row(case + "load", "", f"{picks['load_seconds']:.2f} s", "", "≤ 2 s", picks["load_seconds"] <= 2)
        yield Row("… each pick (slowest of all; 1, 3, 7 lanes)", f"{graph['git_seconds']:.1f} s", f"{worst:.3f} s (median {middle:.4f} s)", "", "≤ 0.1 s", worst <= 0.1)
        yield Row("… memory", "", f"{mib:.0f} MB", "", "≤ 200 MB", mib <= 200)
    if sleep:
        yield limit_row("Second job on a repository: claim to its first command", "", sleep["lanes"][1]["phases"]["claim to first command"], 1, 2)


def render(results, service=()):
    """The whole text; `service`: the lines of the other table."""
    machine = results["machine"]
    loads = " / ".join(f"{load[0]:.2f}" for load in (machine["load"], machine["load_after"]))
    others = ", ".join(f"{kind} {results[kind]['others_busy']:.2f}" for kind in results if isinstance(results[kind], dict) and "others_busy" in results[kind])
    found = [str(row) for row in rows(results)]
    lines = [
        f"Measured {results['date']}: {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB, Docker {machine['docker']}, "
        f"kernel {machine['kernel']}, {machine['git']}, in the image {machine['git_in_image']}. {results['runs']} culprits per case. "
        f"Load before / after: {loads}" + (f"; processors that others kept busy (sleeping tests: while git's runs slept; else before the case): {others}." if others else "."),
        *other_days(results),
        "",
        *(["| case | git | bisectd | ratio | target | |", "|---|---|---|---|---|---|", *found, ""] if found else []),
        *service,
        *details(results),
    ]
    return "\n".join(lines) + "\n"


def other_days(results):
    """What was measured at another time than the rest."""
    others = {}
    for case, date in results.get("dates", {}).items():
        if date != results["date"]:
            others.setdefault(date, []).append(case)
    return [f"At {date}: {', '.join(cases)}." for date, cases in others.items()]


def details(results):
    """What the rows above are made of."""
    answered = [
        f"{kind}, {count} {'lane' if count == 1 else 'lanes'}: {seconds(numbers['answered'])}, {times(numbers['answered_ratio'])}"
        for kind in ("sleep", "lognormal", "build")
        for count, numbers in results.get(kind, {}).get("lanes", {}).items()
    ]
    if answered:
        yield "Until the result is printed, which is before containers and volumes are removed: " + "; ".join(answered) + "."
        yield ""
    if sleep := results.get("sleep"):
        phase = sleep["lanes"][1]["phases"]
        yield "Outside of the probes, one lane: " + ", ".join(f"{name} {numbers['median']:.2f} s" for name, numbers in phase.items()) + "."
        yield f"The first job of all, which makes the database and the mirror and is not in the table: {sleep['cold_seconds']:.1f} s with 7 lanes."
        yield ""
    if build := results.get("build"):
        same = "tested the same commits in the same order" if build["same_commits"] else "did **not** test the same commits"
        whole = build["lanes"][1]
        yield f"Incremental build: git and bisectd {same}. The whole job, with ends and a proof from scratch: {times(whole['ratio'])} git's time."
        yield ""
    if schedule := results.get("schedule"):
        yield "| on a virtual clock, all 1,000 culprits, ends and proof included | 1 lane | 3 lanes | 7 lanes |"
        yield "|---|---|---|---|"
        for name, answer in schedule.items():
            kind, cost = name.split("_")
            title = f"{'test sleeps 1 s' if kind == 'sleep' else 'log-normal'}, a probe costs {answer['overhead_seconds']:.3f} s more than its command"
            yield f"| {title} | " + " | ".join(f"{lanes['median']:.2f} × ({lanes['p10']:.2f}–{lanes['p90']:.2f})" for lanes in answer["lanes"]) + " |"
        yield ""
        yield "In the last table: median and 10th to 90th percentile over all culprits."


def put_into(page, text):
    """Replaces what stands between the two marks of the page."""
    before, _, rest = page.read_text().partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n{text}{END}{after}")
