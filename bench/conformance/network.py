"""The network that the comparison plays in: a namespace in which every address there is leads to one receiver.

Nothing can leave it, and whatever a proxy dials, it reaches: that it was dialled is seen on the wire, not guessed from
an answer."""

import ipaddress
import os
import pathlib
import socket
import struct
import tempfile

import namespace
import support

PROXY = ("127.0.0.1", 3128)
NAMES = "127.0.0.53"
PUBLIC = "203.0.114.10"  # stands for the internet: globally routable, and in no list
FOLDER = pathlib.Path(__file__).resolve().parent
ETH_P_ALL, PACKET_OUTGOING, TCP, SYN, ACK = 3, 4, 6, 0x02, 0x10

# What a machine would have: a search domain is there to be left alone.
FILES = {
    "/etc/resolv.conf": f"nameserver {NAMES}\nsearch corp.test\noptions timeout:1 attempts:2\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
}


def prohibited_ranges():
    """The lines of prohibited.txt."""
    lines = (FOLDER / "prohibited.txt").read_text(encoding="ascii").splitlines()
    return [ipaddress.ip_network(line) for line in lines if line and not line.startswith("#")]


RANGES = prohibited_ranges()


def is_inside(address):
    """Whether no stranger's URL may lead there."""
    return any(address in network for network in RANGES)


class Wire:
    """Every attempt to open a TCP connection in the namespace, as (address, port), in order."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.bind(("lo", ETH_P_ALL))
        self.sock.setblocking(False)

    def dialled(self):
        """What was dialled since the last call. An attempt is here before its outcome is known to whoever dials."""
        found = []
        while True:
            try:
                packet, about = self.sock.recvfrom(128)
            except BlockingIOError:
                return found
            attempt = self._attempt(packet) if about[2] == PACKET_OUTGOING else None
            if attempt and attempt != (ipaddress.ip_address(NAMES), 53):
                found.append(attempt)

    @staticmethod
    def _attempt(packet):
        if packet[0] >> 4 == 4:
            protocol, address, begin = packet[9], packet[16:20], (packet[0] & 15) * 4
        else:
            protocol, address, begin = packet[6], packet[24:40], 40
        if protocol != TCP or packet[begin + 13] & (SYN | ACK) != SYN:
            return None
        return ipaddress.ip_address(address), struct.unpack("!H", packet[begin + 2:begin + 4])[0]

    def close(self):
        self.sock.close()


class Network:
    """The namespace with receivers on ports 80 and 443 of every address. Who needs a name server starts one."""

    def __init__(self):
        namespace.become_root()
        self.namespace = namespace.Namespace()
        self.folder = tempfile.TemporaryDirectory(prefix="egret-conformance-")
        self.path = pathlib.Path(self.folder.name)
        os.chmod(self.path, 0o755)
        for name, text in FILES.items():
            (self.path / pathlib.Path(name).name).write_text(text, encoding="ascii")
        self.namespace.ip("link", "set", "lo", "up")
        self.namespace.ip("route", "add", "local", "0.0.0.0/0", "dev", "lo")
        self.namespace.ip("-6", "route", "add", "local", "::/0", "dev", "lo")
        with self.namespace.inside():
            self.wire = Wire()
            self.receivers = [support.Receiver(host="::", port=port) for port in (80, 443)]

    def wrapper(self):
        """Words in front of a command, with which it sees FILES instead of the machine's."""
        mounts = " && ".join(f'mount --bind "{self.path / pathlib.Path(name).name}" {name}' for name in FILES)
        return [support.tool("unshare"), "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]

    def close(self):
        for receiver in self.receivers:
            receiver.close()
        self.wire.close()
        os.close(self.namespace.fd)
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
