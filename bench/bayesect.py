#!/usr/bin/env python3
"""The same simulation as `daemon/examples/noise.rs`, decided by git_bayesect (PyPI, as it is: its Bisector, its stopping rule).

bench/bayesect.py [SEEDS] [COMMITS]   needs numpy and git_bayesect; bench/noise.sh installs them

The ends as in ours: the bad one is run until it fails, the good one once; the first two runs of each are not counted. It has no answer "no culprit": where no commit changed anything, whatever it
names is wrong.
"""
import json
import random
import sys

import numpy
from git_bayesect import Bisector

RATES = [(1.0, 0.0), (1.0, 0.1), (0.9, 0.1), (0.3, 0.0), (0.7, 0.1), (0.1, 0.1), (0.5, 0.5)]
CONFIDENCE = 0.95
# So often the bad end is run until it fails; and so many runs of each end are not counted.
BAD_END, FREE = 50, 2
# After so many runs a search that is not sure names nobody.
MOST_RUNS = 1000


def search(commits: int, after: float, before: float, chance: random.Random) -> tuple[bool, bool, int]:
    """Whether it named the culprit, whether it named another commit, and after how many runs."""
    culprit = chance.randrange(commits)
    # Index 0 is the newest; the last is the good end, as git_bayesect's own get_bisector has it.
    bisector = Bisector(numpy.ones(commits + 1))
    fails = lambda index: chance.random() < (after if index <= culprit else before)
    times = {0: 0, commits: 0}
    counted = 0

    def run(index: int) -> bool:
        nonlocal counted
        failed = fails(index)
        bisector.record(index, failed)
        # The first two runs of an end are free.
        if times.get(index, FREE) >= FREE:
            counted += 1
        else:
            times[index] += 1
        return failed

    run(commits)
    chances = 1
    while not run(0) and chances < BAD_END:
        chances += 1
    while counted < MOST_RUNS:
        if bisector.distribution.max() >= CONFIDENCE:
            found = int(bisector.distribution.argmax())
            right = found == culprit and after > before
            return right, not right, counted
        run(bisector.select())
    return False, False, counted


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    commits = int(sys.argv[2]) if len(sys.argv) > 2 else 128
    rows = []
    for after, before in RATES:
        results = [search(commits, after, before, random.Random(seed)) for seed in range(seeds)]
        mean = lambda column: sum(result[column] for result in results) / seeds
        rows.append({"after": after, "before": before, "right": mean(0), "wrong_commit": mean(1), "runs": mean(2)})
    print(json.dumps({"commits": commits, "seeds": seeds, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
