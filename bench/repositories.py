#!/usr/bin/env python3
"""Makes the repositories that are measured on: always the same commits, by `git fast-import`. Standard library only.

    bench/repositories.py sleep|lognormal|build|graph FOLDER
"""

import argparse
import io
import os
import pathlib
import random
import subprocess

COMMITS = 1_000
BUILD_COMMITS = 256
GRAPH_COMMITS, GRAPH_MERGES = 100_000, 20_000
# Of every generated thing: another number gives other repositories, and other measurements.
SEED = 2026
EPOCH = 1_700_000_000
MODULES = 60


def seconds_of(number, sigma=1.0):
    """How long commit `number` sleeps: log-normal with mean 1 s, from the commit's own number alone."""
    return random.Random(f"{SEED}:{number}").lognormvariate(-sigma * sigma / 2, sigma)


class Stream:
    """A `git fast-import` stream of one branch, `main`."""

    def __init__(self):
        self.out = io.BytesIO()
        self.count = 0

    def commit(self, message, files=None, parents=()):
        """Adds a commit with these files changed; its mark, 1 for the first, is the answer."""
        self.count += 1
        who = f"Bench <bench@bisect.invalid> {EPOCH + 60 * self.count} +0000"
        text = message.encode()
        self.out.write(f"commit refs/heads/main\nmark :{self.count}\nauthor {who}\ncommitter {who}\ndata {len(text)}\n".encode())
        self.out.write(text + b"\n")
        for key, parent in zip(["from", *["merge"] * len(parents)], parents):
            self.out.write(f"{key} :{parent}\n".encode())
        for path, content in (files or {}).items():
            body = content.encode()
            self.out.write(f"M 100644 inline {path}\ndata {len(body)}\n".encode() + body + b"\n")
        self.out.write(b"\n")
        return self.count

    def tag(self, name, mark):
        """Names a commit; fast-import lets a branch and a tag share the commit."""
        self.out.write(f"reset refs/tags/{name}\nfrom :{mark}\n\n".encode())

    def write(self, folder, bare=False):
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=main", *(["--bare"] if bare else []))
        git(folder, "fast-import", "--quiet", "--done", input=self.out.getvalue() + b"done\n")
        if not bare:
            git(folder, "reset", "--quiet", "--hard", "main")


def git(folder, *arguments, **options):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, env=clean, **options)


def linear(folder, seconds):
    """A good commit `v0` and 1,000 more, each with its number and how long its test sleeps; about 20 small files."""
    rng = random.Random(SEED)
    stream = Stream()
    for number in range(COMMITS + 1):
        files = {"number": f"{number}\n", "seconds": f"{seconds(number):.3f}\n"}
        touched = range(18) if number == 0 else [rng.randrange(18)]
        files |= {f"src/part{part:02}.txt": f"part {part} as of commit {number}\n" * 20 for part in touched}
        mark = stream.commit(f"Commit {number}", files)
        if number == 0:
            stream.tag("v0", mark)
    stream.write(folder)


def module(index, constant):
    """A C file that a compiler works on for a tenth of a second or so."""
    lines = ["#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>", "#include <math.h>", ""]
    for function in range(24):
        lines.append(
            f"static double f{index}_{function}(double x, int n) {{\n"
            f"  double a[16] = {{0}};\n"
            f"  for (int i = 0; i < n; i++) a[i % 16] += x * {constant + function} / (i + 1.0) + a[(i * 7 + 3) % 16] * 0.5;\n"
            f"  double s = 0; for (int i = 0; i < 16; i++) s += a[i] > 1e6 ? 1e6 : a[i]; return s;\n}}"
        )
    calls = " + ".join(f"f{index}_{function}(x, {function + 3})" for function in range(24))
    lines.append(f"double module{index:02}(double x) {{ return {calls}; }}")
    return "\n".join(lines) + "\n"


MAKEFILE = """\
OBJECTS := $(patsubst src/%.c,build/%.o,$(wildcard src/*.c))
build/program: $(OBJECTS)
\t$(CC) -o $@ $^ -lm
build/%.o: src/%.c | build
\t$(CC) -O2 -c -o $@ $<
build:
\tmkdir -p $@
"""


def build(folder):
    """A project of 60 C files that `make` builds into an ignored folder; each commit changes one or two of them."""
    rng = random.Random(SEED)
    main = "".join(f"double module{index:02}(double);\n" for index in range(MODULES))
    main += "int main(void) { double s = 0;\n"
    main += "".join(f"  s += module{index:02}(1.5);\n" for index in range(MODULES)) + "  return s != s; }\n"
    stream = Stream()
    for number in range(BUILD_COMMITS + 1):
        files = {"number": f"{number}\n"}
        if number == 0:
            files |= {".gitignore": "/build/\n", "Makefile": MAKEFILE, "src/main.c": main}
        touched = range(MODULES) if number == 0 else rng.sample(range(MODULES), rng.choice([1, 2]))
        files |= {f"src/module{index:02}.c": module(index, number + 1) for index in touched}
        mark = stream.commit(f"Commit {number}", files)
        if number == 0:
            stream.tag("v0", mark)
    stream.write(folder)


def graph(folder):
    """A good commit `v0` and 100,000 more without files, 20,000 of them merges; branches begin up to 400 commits back, 40 at once."""
    rng = random.Random(SEED)
    stream = Stream()
    root = stream.commit("Root")
    stream.tag("v0", root)
    heads = [root]
    # Each merge closes what one commit opened.
    left = {"open": GRAPH_MERGES, "merge": GRAPH_MERGES, "plain": GRAPH_COMMITS - 2 * GRAPH_MERGES}
    while any(left.values()):
        possible = {"open": len(heads) < 40, "merge": len(heads) > 1, "plain": True}
        kinds = list(left)
        [kind] = rng.choices(kinds, [left[kind] * possible[kind] for kind in kinds])
        left[kind] -= 1
        if kind == "open":
            heads.append(stream.commit("Open", parents=[max(root, stream.count - rng.randrange(400))]))
        elif kind == "merge":
            one, other = rng.sample(range(len(heads)), 2)
            heads[one] = stream.commit("Merge", parents=[heads[one], heads[other]])
            del heads[other]
        else:
            place = rng.randrange(len(heads))
            heads[place] = stream.commit("Plain", parents=[heads[place]])
    stream.write(folder, bare=True)


MAKERS = {
    "sleep": lambda folder: linear(folder, lambda _: 1.0),
    "lognormal": lambda folder: linear(folder, seconds_of),
    "build": build,
    "graph": graph,
}


def culprits(count, commits):
    """Which commits are planted, by fixed seed: the same ones for every program measured."""
    return random.Random(SEED).sample(range(1, commits + 1), count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=MAKERS)
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    MAKERS[options.kind](options.folder)


if __name__ == "__main__":
    main()
