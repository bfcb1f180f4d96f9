#!/usr/bin/env python3
"""Checks every relative link and anchor in the project's Markdown files. Links to other sites are not followed. Standard library only."""

import pathlib
import re
import subprocess
import sys
import urllib.parse

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\s*\[[^\]^]+\]:\s*<?(\S+?)>?(?:\s|$)", re.MULTILINE)
HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$", re.MULTILINE)
EXPLICIT_ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")


def without_code(text):
    """The text with fenced blocks and inline code blanked out, lines kept."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])

    text = re.sub(r"^( {0,3})(`{3,}|~{3,})[^\n]*\n.*?^ {0,3}\2[`~]*\s*$", blank, text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", blank, text)


def anchors(text):
    """The anchors that GitHub gives a page: headings in lower case, without punctuation, blanks as dashes, numbered when repeated."""
    fenced_out = re.sub(r"^( {0,3})(`{3,}|~{3,})[^\n]*\n.*?^ {0,3}\2[`~]*\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
    found, seen = set(EXPLICIT_ANCHOR.findall(text)), {}
    for match in HEADING.finditer(fenced_out):
        title = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", match[2]).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found


def broken_links(root, page):
    text = page.read_text(encoding="utf-8")
    visible = without_code(text)
    for match in LINK.finditer(visible):
        target = match[1] or match[2]
        if re.match(r"[a-z][a-z0-9+.-]*:|//", target, re.IGNORECASE):
            continue
        path, _, anchor = urllib.parse.unquote(target).partition("#")
        line = visible.count("\n", 0, match.start()) + 1
        linked = (root / path.lstrip("/") if path.startswith("/") else page.parent / path).resolve() if path else page
        if not linked.is_relative_to(root):
            yield line, target, "leads out of the repository"
        elif not linked.exists():
            yield line, target, "no such file"
        elif anchor and linked.suffix == ".md" and anchor not in anchors(linked.read_text(encoding="utf-8")):
            yield line, target, "no such heading"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md"],
        check=True, capture_output=True, text=True,
    ).stdout
    pages = [root / name for name in listed.split("\0") if name and (root / name).is_file()]
    broken = 0
    for page in pages:
        for line, target, reason in broken_links(root, page):
            print(f"{page.relative_to(root)}:{line}: {target}: {reason}")
            broken += 1
    print(f"{len(pages)} documents, {broken} broken links")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
