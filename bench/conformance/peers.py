"""The proxies of the comparison: how each is started as a process of our own, and what it calls itself."""

import dataclasses
import os
import pathlib
import re
import socket
import subprocess
import tempfile

import network
import support


# A port that is neither 80 nor 443, in tinyproxy's filter.
OTHER_PORTS = (r"^(http://)?(\[[^]/]*\]|[^]/?:[]*):"
               r"([0-35-79]|4([^4]|$)|44([^3]|$)|443[^/?]|8([^0]|$)|80[^/?]|[^0-9/?])")


@dataclasses.dataclass(frozen=True)
class Peer:
    """`ports`: how its configuration says ports 80 and 443, and every port. `connect`: whether it has tunnels."""
    name: str
    title: str
    files: tuple
    command: tuple
    version: tuple
    ports: dict
    connect: bool


PEERS = [
    Peer("egret", "Egret", ("egret.yaml",), (support.BINARY or "egret", "run", "-c", "@RUN@/egret.yaml"),
         (support.BINARY or "egret", "version"), {"@PORTS@": ("80, 443", "1-65535")}, True),
    Peer("squid", "Squid", ("squid.conf", "prohibited.txt"), ("squid", "-N", "-f", "@RUN@/squid.conf"),
         ("squid", "-v"), {"@PORTS@": ("80 443", "1-65535")}, True),
    Peer("haproxy", "HAProxy", ("haproxy.cfg", "prohibited.txt"), ("haproxy", "-db", "-f", "@RUN@/haproxy.cfg"),
         ("haproxy", "-v"), {"@PORTS@": ("80 443", "1:65535")}, False),
    Peer("nginx", "nginx", ("nginx.conf", "prohibited.geo"), ("nginx", "-c", "@RUN@/nginx.conf"),
         ("nginx", "-v"), {"@OTHER_PORTS@": ("0", "1")}, False),
    Peer("tinyproxy", "tinyproxy", ("tinyproxy.conf", "tinyproxy.filter"),
         ("tinyproxy", "-d", "-c", "@RUN@/tinyproxy.conf"),
         ("tinyproxy", "-v"), {"@CONNECT_PORTS@": ("ConnectPort 443\nConnectPort 80", ""),
                          "@PORTS@": ("# Ports other than 80 and 443.\n" + OTHER_PORTS, "# Every port.")}, True),
]


def text_of(name):
    """A file of the configuration; nginx's form of the list of ranges is made from the one that all have."""
    if name == "prohibited.geo":
        return "".join(f"{each} 1;\n" for each in network.RANGES)
    return (network.FOLDER / name).read_text(encoding="utf-8")


def version(peer):
    """The product's own words for its version, the package's revision left out."""
    command = [support.tool(peer.version[0]), *peer.version[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = (done.stdout + done.stderr).splitlines()[0]
    return re.search(r"\d[\d.]*", line)[0]


class Running:
    """A peer that listens on network.PROXY in the namespace. `wide`: every port is permitted."""

    def __init__(self, peer, where, wide=False):
        self.address = network.PROXY
        self.peer = peer
        self.folder = tempfile.TemporaryDirectory(prefix=f"egret-conformance-{peer.name}-")
        run = pathlib.Path(self.folder.name)
        os.chmod(run, 0o777)  # Squid and nginx change their user
        for name in peer.files:
            text = text_of(name).replace("@RUN@", str(run))
            for mark, ports in peer.ports.items():
                text = text.replace(mark, ports[wide])
            (run / name).write_text(text, encoding="utf-8")
        command = [word.replace("@RUN@", str(run)) for word in peer.command]
        command[0] = support.tool(command[0])
        self.output = open(run / "output", "wb")
        with where.namespace.inside():
            self.process = subprocess.Popen([*where.wrapper(), *command], stdout=self.output, stderr=self.output,
                                            stdin=subprocess.DEVNULL, cwd=run)
            try:
                support.wait_until(self._listens, what=f"{peer.title} on {self.address}")
            except BaseException:
                self.stop()
                raise

    def said(self):
        return (pathlib.Path(self.folder.name) / "output").read_text(encoding="utf-8", errors="replace")

    def _listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.peer.title} ended with {self.process.returncode}: {self.said()}")
        try:
            socket.create_connection(self.address, 1).close()
        except OSError:
            return False
        return True

    def stop(self):
        """An end for certain; it says whether the proxy was still alive."""
        alive = self.process.poll() is None
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()
        self.folder.cleanup()
        return alive

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
