"""Networks of a test's own: network namespaces without a name. They end with this process, and all that is in them."""

import contextlib
import ctypes
import os
import subprocess
import threading

import support

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number) + ": no network namespace could be made or entered (are you root?)")


class Namespace:
    """A network namespace, held by a descriptor."""

    def __init__(self):
        self.fd = None
        maker = threading.Thread(target=self._make)
        maker.start()
        maker.join()
        if self.fd is None:
            raise AssertionError(f"no network namespace: {self.error}")

    def _make(self):
        try:
            check(libc.unshare(CLONE_NEWNET))
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        except OSError as error:
            self.error = error

    @contextlib.contextmanager
    def inside(self):
        """This thread, and what it starts, is in the namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        check(libc.setns(self.fd, CLONE_NEWNET))
        try:
            yield
        finally:
            check(libc.setns(home, CLONE_NEWNET))
            os.close(home)

    def ip(self, *words):
        with self.inside():
            subprocess.run([support.tool("ip"), *words], check=True, timeout=30)

    def bring_up(self, link, addresses):
        self.ip("link", "set", "lo", "up")
        for address in addresses:
            options = ["nodad"] if ":" in address else []
            self.ip("address", "add", address, "dev", link, *options)
        self.ip("link", "set", link, "up")


def become_root():
    """Who is not root may still own networks, this one too, where the kernel lets them."""
    if os.geteuid() == 0:
        return
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET))
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
