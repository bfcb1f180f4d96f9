#!/usr/bin/env python3
"""Builds a real git history out of the published releases of a Python package.

One commit per final release, in version order, with the files of its source archive, dated by its upload, tagged with its version. The
same releases always give the same commit ids. Archives come from the index that pip is configured for, are checked against the index's
SHA-256 and kept in a cache; nothing of them is executed. Standard library only.

    demo/make-history.py [--package packaging] [--cache .demo/cache] REPOSITORY
"""

import argparse
import base64
import concurrent.futures
import datetime
import hashlib
import html.parser
import io
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from typing import NamedTuple, Optional

FINAL_RELEASE = re.compile(r"(\d+(?:\.\d+)*)(?:\.post(\d+))?")
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
# A stamp inside .git tells that a repository was made here, and from what.
STAMP = "made-by-make-history"
AUTHOR = "{package} releases <releases@{package}.invalid>"


class Release(NamedTuple):
    version: str
    filename: str
    url: str
    sha256: Optional[str]
    uploaded: Optional[int]  # seconds since 1970; an index without the JSON interface does not tell


def say(text):
    print(f"history: {text}", flush=True)


# --- the index ---


def index_url():
    """The index that pip uses: its environment variable, else its configuration, else the public one."""
    if url := os.environ.get("PIP_INDEX_URL"):
        return url
    for pip in (["pip"], ["pip3"], [sys.executable, "-m", "pip"]):
        try:
            found = subprocess.run([*pip, "config", "get", "global.index-url"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.strip()
    return "https://pypi.org/simple"


def fetch(url, accept="*/*"):
    """The body, the content type and the final address. Tries three times: package indexes have short hiccups."""
    parts = urllib.parse.urlsplit(url)
    headers = {"Accept": accept, "User-Agent": "bisect-bot-demo"}
    if parts.username:  # urllib does not read a user name and password from the address by itself
        login = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        url = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    trusted = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE"))
    for attempt in range(3):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60, context=trusted) as answer:
                return answer.read(), answer.headers.get_content_type(), answer.geturl()
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == 2:
                raise
        except OSError:
            if attempt == 2:
                raise
        time.sleep(1 + attempt)
    raise AssertionError("unreachable")


class Links(html.parser.HTMLParser):
    """The older, HTML form of an index page: one <a href="…#sha256=…" data-yanked> per file."""

    def __init__(self):
        super().__init__()
        self.files = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "a" and attrs.get("href"):
            url, _, fragment = attrs["href"].partition("#")
            sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
            name = urllib.parse.unquote(url.rpartition("/")[2])
            self.files.append({"filename": name, "url": url, "hashes": {"sha256": sha256}, "yanked": "data-yanked" in attrs})


def published_files(package):
    name = re.sub(r"[-_.]+", "-", package).lower()
    page = f"{index_url().rstrip('/')}/{name}/"
    body, content_type, page = fetch(page, accept=f"{SIMPLE_JSON}, text/html;q=0.5")
    if content_type == SIMPLE_JSON:
        files = json.loads(body)["files"]
    else:
        links = Links()
        links.feed(body.decode())
        files = links.files
    return [{**file, "url": urllib.parse.urljoin(page, file["url"])} for file in files]


def version_of(package, filename):
    """The version in an archive's name, or None when it is no source archive or wheel of the package."""
    name = re.sub(r"[-_.]+", "[-_.]+", re.escape(package).replace("\\", ""))
    if match := re.fullmatch(rf"{name}-(.+?)(\.tar\.gz|\.zip)", filename, re.IGNORECASE):
        return match[1]
    if match := re.fullmatch(rf"{name}-([^-]+)-[^-]+-none-any\.whl", filename, re.IGNORECASE):
        return match[1]
    return None


def version_order(version):
    numbers, post = FINAL_RELEASE.fullmatch(version).groups()
    return [int(n) for n in numbers.split(".")], int(post or -1)


def final_releases(package):
    """One file per final release that was not withdrawn: the source archive, else a wheel."""
    best = {}
    for file in published_files(package):
        version = version_of(package, file["filename"])
        if version is None or not FINAL_RELEASE.fullmatch(version) or file.get("yanked"):
            continue
        uploaded = file.get("upload-time")
        release = Release(
            version,
            file["filename"],
            file["url"],
            file["hashes"].get("sha256"),
            int(datetime.datetime.fromisoformat(re.sub(r"(\.\d+)?Z$", "+00:00", uploaded)).timestamp()) if uploaded else None,
        )
        preference = [".tar.gz", ".zip", ".whl"]
        rank = next(i for i, ending in enumerate(preference) if file["filename"].endswith(ending))
        if version not in best or rank < best[version][0]:
            best[version] = (rank, release)
    return sorted((release for _, release in best.values()), key=lambda release: version_order(release.version))


def download(release, cache):
    """The archive's bytes, from the cache or the index, checked either way."""
    kept = cache / release.filename
    if kept.is_file():
        body = kept.read_bytes()
        if release.sha256 in (None, hashlib.sha256(body).hexdigest()):
            return body
    body, _, _ = fetch(release.url)
    found = hashlib.sha256(body).hexdigest()
    if release.sha256 not in (None, found):
        sys.exit(f"history: {release.filename} has SHA-256 {found}, but the index says {release.sha256}; refusing it")
    # Renamed into place, so that an interrupted download never looks like a finished one.
    part = kept.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(body)
    part.replace(kept)
    return body


# --- the archive ---


def archive_files(release, body):
    """{path: (git mode, bytes)} without the folder around it all, and the archive's newest time. Nothing is unpacked to disk."""
    entries = []
    if release.filename.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            for member in archive:
                if member.isreg():
                    mode = "100755" if member.mode & 0o100 else "100644"
                    entries.append((member.name, mode, archive.extractfile(member).read(), int(member.mtime)))
                elif member.issym():
                    entries.append((member.name, "120000", member.linkname.encode(), int(member.mtime)))
    else:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    stamp = datetime.datetime(*member.date_time, tzinfo=datetime.timezone.utc)
                    entries.append((member.filename, "100644", archive.read(member), int(stamp.timestamp())))
    strip = 0 if release.filename.endswith(".whl") else 1
    files = {}
    for name, mode, content, _ in entries:
        path = [part for part in name.split("/") if part not in ("", ".")][strip:]
        if path and ".." not in path and ".git" not in path:
            files["/".join(path)] = (mode, content)
    return files, max(stamp for *_, stamp in entries)


# --- the repository ---


def fast_import_stream(package, releases, bodies):
    """One `git fast-import` stream. It knows nothing of ignore rules, line endings or anybody's git configuration."""
    out = io.BytesIO()

    def data(content):
        out.write(b"data %d\n" % len(content) + content + b"\n")

    author = AUTHOR.format(package=package)
    for release, body in zip(releases, bodies):
        files, newest = archive_files(release, body)
        when = f"{author} {release.uploaded if release.uploaded is not None else newest} +0000\n".encode()
        out.write(b"commit refs/heads/main\nauthor " + when + b"committer " + when)
        data(f"{package} {release.version}\n".encode())
        out.write(b"deleteall\n")
        for path in sorted(files):
            mode, content = files[path]
            out.write(f"M {mode} inline {quoted(path)}\n".encode())
            data(content)
        # Tags without objects of their own: `git rev-parse 22.0` is then the commit itself.
        out.write(f"reset refs/tags/{release.version}\nfrom refs/heads/main\n\n".encode())
    out.write(b"done\n")
    return out.getvalue()


def quoted(path):
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def git(repository, *arguments, **options):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(["git", "-C", str(repository), *arguments], check=True, env=clean, **options)


def build(package, releases, bodies, repository):
    """Makes the repository beside its place and moves it there when it is whole."""
    repository.parent.mkdir(parents=True, exist_ok=True)
    fresh = pathlib.Path(tempfile.mkdtemp(prefix=f".{repository.name}.", dir=repository.parent))
    try:
        fresh.chmod(0o755)
        git(fresh, "init", "--quiet", "--initial-branch=main")
        git(fresh, "fast-import", "--quiet", "--done", input=fast_import_stream(package, releases, bodies))
        git(fresh, "reset", "--quiet", "--hard", "main")
        (fresh / ".git" / STAMP).write_text(stamp_of(releases))
        if repository.exists():
            shutil.rmtree(repository)
        fresh.rename(repository)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def stamp_of(releases):
    return "".join(f"{release.version} {release.filename} {release.sha256} {release.uploaded}\n" for release in releases)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="packaging", help="name on the index (default: %(default)s)")
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(".demo/cache"), help="folder for archives (default: %(default)s)")
    parser.add_argument("repository", type=pathlib.Path, metavar="REPOSITORY", help="where the history goes")
    options = parser.parse_args()
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", options.package):
        parser.error(f"{options.package!r} is no package name")

    stamp = options.repository / ".git" / STAMP
    if options.repository.exists() and not stamp.is_file():
        sys.exit(f"history: {options.repository} exists and was not made by this program; remove it or name another place")
    try:
        releases = final_releases(options.package)
    except (OSError, ValueError) as error:
        if not stamp.is_file():
            sys.exit(f"history: the package index did not answer ({error}); PIP_INDEX_URL or `pip config set` name another one")
        say(f"the package index did not answer ({error}); going on with the history that is here")
        return
    if not releases:
        sys.exit(f"history: the index has no final release of {options.package}")
    if stamp.is_file() and stamp.read_text() == stamp_of(releases):
        say(f"{options.repository} is already there: {len(releases)} releases of {options.package}")
        return

    options.cache.mkdir(parents=True, exist_ok=True)
    say(f"getting {len(releases)} releases of {options.package}, {releases[0].version} to {releases[-1].version}")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda release: download(release, options.cache), releases))
    build(options.package, releases, bodies, options.repository)
    say(f"made {options.repository}: one commit per release, tags {releases[0].version} … {releases[-1].version}")


if __name__ == "__main__":
    main()
