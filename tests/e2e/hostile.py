"""What the tests of hostile peers share: an Egret of little patience, of which nothing may stay behind."""

import contextlib
import threading
import time
import unittest

import support

LIMITS = """
defaults:
  addresses: {allow: [127.0.0.1/32]}
  ports: [1-65535]
  limits: {request_body: 64MiB, response_body: 64MiB}
  timeouts: {connect: 2s, response: 2s, idle: 2s, total: 5s, tunnel: 5s}
rules:
  - name: after-the-test
    match: {paths: [/still-alive]}
    timeouts: {connect: 20s, response: 20s, idle: 20s, total: 20s}
"""
PATIENCE = 1.9  # and a bit: the least that a limit takes
TOTAL = 4.9
BIG = bytes(32 << 20)  # more than all the sockets on the way can hold


def head_of(destination, length=0, method="POST"):
    return f"{method} {destination.url()} HTTP/1.1\r\nHost: {destination.authority}\r\nContent-Length: {length}\r\n\r\n"


def drip(sock, data, stop, interval=0.25):
    with contextlib.suppress(OSError):
        for number in range(len(data)):
            sock.sendall(data[number:number + 1])
            if stop.wait(interval):
                return


class HostileCase(unittest.TestCase):
    def setUp(self):
        self.egret = self.enterContext(support.Egret(LIMITS))
        self.stop = threading.Event()
        self.began = time.monotonic()

    def tearDown(self):
        self.stop.set()
        # Whatever happened: nothing is left, and it still works.
        self.egret.wait_for_rest()
        with support.Receiver() as receiver:
            self.assertEqual(support.post(self.egret, receiver.url("/still-alive")).status, 200)

    def assert_took(self, least, most=12):
        took = time.monotonic() - self.began
        self.assertGreaterEqual(took, least)
        self.assertLess(took, most)

    def sender(self):
        return self.enterContext(support.Sender(self.egret.address))

    def destination(self, serve):
        return self.enterContext(support.Listener(serve))

    def drip_in(self, sock, data):
        threading.Thread(target=drip, args=(sock, data, self.stop), daemon=True).start()

    def request_only(self, connection):
        with connection.makefile("rb") as stream:
            return support.read_request(stream)

    @staticmethod
    def send_quietly(sender, data):
        with contextlib.suppress(OSError):
            sender.send(data)

    def send_all(self, sender, destination):
        self.send_quietly(sender, head_of(destination, len(BIG)).encode() + BIG)
