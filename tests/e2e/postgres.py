"""A PostgreSQL server of the test's own: in a temporary folder, on a Unix socket only."""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import support


def program(name):
    """Debian keeps them beside the version."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise AssertionError(f"{name} is not installed: ./scripts/install.sh test")
    return str(found[-1])


class Postgres:
    """`uri(schema)` names a schema of it, which is there."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="egret-pg-"))
        self.log = self.folder / "log"
        self.process = None
        self.user = {}
        self.environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        if os.geteuid() == 0:  # it does not run as root
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        try:
            self._run(program("initdb"), "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=egret",
                      "-D", str(self.folder / "data"))
            with open(self.folder / "data" / "postgresql.conf", "a", encoding="utf-8") as settings:
                settings.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\nmax_connections = 60\nshared_buffers = 32MB\n")
            self.start()
        except BaseException:
            self.close()
            raise

    def _run(self, *words):
        subprocess.run(words, check=True, capture_output=True, env=self.environment, cwd="/", timeout=120, **self.user)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([program("postgres"), "-D", str(self.folder / "data")], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment, cwd="/", **self.user)
        support.wait_until(lambda: self.sql("SELECT 1", check=False) == "1", 60, "PostgreSQL")

    def stop(self, number=signal.SIGINT):
        """SIGINT: fast, SIGQUIT: at once; SIGKILL: its children see that, and end."""
        self.process.send_signal(number)
        self.process.wait(60)
        if number == signal.SIGKILL:  # what is left of its shared memory goes with its last child
            support.wait_until(lambda: not self._children(), 30, "the end of PostgreSQL's children")

    def _children(self):
        mark = str(self.folder).encode()
        for each in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark in (each / "cmdline").read_bytes() or (each / "cwd").readlink() == self.folder / "data":
                    return True
            except OSError:
                continue
        return False

    def sql(self, text, schema="public", check=True):
        done = subprocess.run([support.tool("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", self.uri(schema), "-c", text], check=check,
                              capture_output=True, text=True, timeout=60, env=self.environment)
        return done.stdout.strip()

    def schema(self, name):
        self.sql(f"CREATE SCHEMA {name}")
        return self.uri(name)

    def uri(self, schema):
        return f"postgresql://egret@/postgres?host={self.folder}&options=-csearch_path%3D{schema}"

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


class Forwarder(support.Listener):
    """A TCP port that leads to a server's Unix socket."""

    def __init__(self, server):
        self.server = server
        self.open = []
        super().__init__(self._forward)

    def _forward(self, client):
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self.server.folder / ".s.PGSQL.5432"))
            self.open.append(client)
            back = threading.Thread(target=self._copy, args=(server, client))
            back.start()
            self._copy(client, server)
            back.join()

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for each in self.open:
            each.shutdown(socket.SHUT_RDWR)
        self.open.clear()

    def uri(self, schema):
        return f"postgresql://egret@localhost:{self.port}/postgres?options=-csearch_path%3D{schema}"
