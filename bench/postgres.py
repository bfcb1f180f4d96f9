"""PostgreSQL of the benchmarks' own: a cluster that is started, asked and stopped, as an unprivileged user even under root."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time


def programs():
    """The folder of the newest server programs."""
    return max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))


def nobody():
    """Who runs the server: it refuses root."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
    raise RuntimeError("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


class Server:
    """A running one."""

    def __init__(self, socket, user, database, become):
        self.socket, self.user, self.database, self.become = socket, user, database, become

    @property
    def url(self):
        return f"postgresql:///{self.database}?host={self.socket}&user={self.user}"

    def query(self, text):
        """The rows of a statement, as text."""
        command = [programs() / "psql", "-h", self.socket, "-U", self.user, "-d", self.database, "-AtF", "\t", "-v", "ON_ERROR_STOP=1", "-c", text]
        answer = subprocess.run(command, capture_output=True, text=True, cwd=self.socket, check=True, **self.become)
        return [line.split("\t") for line in answer.stdout.splitlines()]

    def value(self, text):
        return self.query(text)[0][0]


@contextlib.contextmanager
def started(cluster, user, database, options=()):
    """Starts a stopped cluster as the user it belongs to, on a socket of its own."""
    owner = cluster.stat()
    socket = pathlib.Path(tempfile.mkdtemp(prefix="bisect-bench-db-"))
    become = {}
    if os.geteuid() == 0:
        shutil.chown(socket, owner.st_uid, owner.st_gid)
        # Ours may come in as well: bisectd connects as whoever runs the benchmark.
        become = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    settings = [word for option in options for word in ("-c", option)]
    server = subprocess.Popen(
        [programs() / "postgres", "-D", cluster, "-k", socket, "-c", "listen_addresses=", *settings],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=socket, start_new_session=True, **become,
    )
    running = Server(socket, user, "postgres", become)
    try:
        for attempt in range(200):
            try:
                running.query("SELECT 1")
                break
            except subprocess.CalledProcessError:
                if server.poll() is not None or attempt == 199:
                    raise
                time.sleep(0.05)
        running.database = database
        yield running
    finally:
        server.send_signal(signal.SIGINT)  # "fast" shutdown
        server.wait(60)
        shutil.rmtree(socket, ignore_errors=True)


@contextlib.contextmanager
def fresh(options=()):
    """A new cluster with an empty database `bisect`; nothing of it is left."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bisect-bench-cluster-"))
    become = {}
    if os.geteuid() == 0:
        uid, gid = nobody()
        os.chown(folder, uid, gid)
        become = {"user": uid, "group": gid, "extra_groups": []}
    try:
        cluster = folder / "data"
        initdb = [programs() / "initdb", "-D", cluster, "-U", "bisect", "-E", "UTF8", "--locale=C", "--auth=trust"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder, **become)
        with started(cluster, "bisect", "postgres", options) as server:
            server.query("CREATE DATABASE bisect")
            server.database = "bisect"
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)
