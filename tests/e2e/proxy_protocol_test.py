"""The PROXY protocol: behind a load balancer, a sender's address is the header's; and only a load balancer may say so."""

import ipaddress
import socket
import struct
import tempfile
import time
import unittest

import pki
import support
import tls_support

SENDERS = ("senders:\n  - {name: far, networks: [192.0.2.0/24, '2001:db8::/32']}\n"
           "  - {name: balancer, networks: [127.0.0.1]}\n")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(address, other=None):
    other = other or ("2001:db8::2" if ":" in address else "192.0.2.200")
    return f"PROXY TCP{6 if ':' in address else 4} {address} {other} 56324 443\r\n".encode()


def v2(address=None, more=b"", command=1, version=2, family=None):
    """`address` None: nothing but `more`, as in LOCAL. `more`: TLVs."""
    body = b""
    if address:
        packed = ipaddress.ip_address(address).packed
        family = family or (0x11 if len(packed) == 4 else 0x21)
        body = packed + packed + struct.pack("!HH", 56324, 443)
    body += more
    return SIGNATURE + bytes([version << 4 | command, family or 0]) + struct.pack("!H", len(body)) + body


class ProxyProtocolTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.receiver = cls.enterClassContext(support.Receiver())
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))
        cls.root, intermediate = pki.authority()
        chain, key = pki.issue(intermediate, "proxy.example", ["proxy.example"]).write(cls.folder, "proxy")
        cls.tls = f", tls: {{certificate: {chain}, private_key: {key}}}"
        cls.plain, cls.secure = cls.start(), cls.start(cls.tls)
        cls.listed_elsewhere = cls.start(networks="127.0.0.2")

    @classmethod
    def start(cls, more="", networks="127.0.0.1"):
        egret = cls.enterClassContext(support.Egret(
            "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], timeouts: {tls: 500ms}}\n"
            f"listeners: [{{address: 127.0.0.1:0, proxy_protocol: true, proxy_protocol_from: [{networks}]{more}}}]\n{SENDERS}"))
        cls.addClassCleanup(egret.wait_for_rest)
        return egret

    def request(self, path="/hook"):
        return f"POST {self.receiver.url(path)} HTTP/1.1\r\nHost: {self.receiver.authority}\r\nContent-Length: 0\r\n\r\n".encode()

    HEADERS = (("v1", v1("192.0.2.7"), "far"), ("v1, IPv6", v1("2001:db8::7"), "far"), ("v1 of nobody known", v1("198.51.100.7"), None),
               ("v1, unknown", b"PROXY UNKNOWN\r\n", "balancer"),
               ("v1, unknown with more", b"PROXY UNKNOWN 192.0.2.7 192.0.2.8 1 2\r\n", "balancer"),
               ("v2", v2("192.0.2.7"), "far"), ("v2, IPv6", v2("2001:db8::7"), "far"), ("v2 of nobody known", v2("198.51.100.7"), None),
               ("v2 with TLVs", v2("192.0.2.7", b"\x04\x00\x04" + bytes(4) + b"\x02\x00\x03abc"), "far"),
               ("v2, local", v2(command=0), "balancer"), ("v2, local with an address", v2("192.0.2.7", command=0), "balancer"))

    def assert_known(self, answer, sender, egret, path):
        if sender is None:
            self.assertEqual((answer.status, answer.reason), (403, "sender_unknown"), answer)
        else:
            self.assertEqual(answer.status, 200, answer)
        line = egret.wait_for_line(destination=self.receiver.url(path))
        self.assertEqual(line["sender"], sender or "")

    def test_the_sender_is_who_the_header_says(self):
        for number, (name, header, sender) in enumerate(self.HEADERS):
            with self.subTest(name), support.Sender(self.plain.address) as connection:
                path = f"/together/{number}"
                self.assert_known(connection.send(header + self.request(path)).answer(), sender, self.plain, path)
                if sender:  # it holds for all requests of the connection
                    self.assertEqual(connection.request(self.receiver.url(path + "/again")).status, 200)
                    self.assertEqual(self.plain.wait_for_line(destination=self.receiver.url(path + "/again"))["sender"], sender)

    def test_it_may_arrive_in_pieces(self):
        for number, (name, header, sender) in enumerate(self.HEADERS):
            for cut in (1, 5, 11, len(header) - 1):
                with self.subTest(name, cut=cut), support.Sender(self.plain.address) as connection:
                    path = f"/pieces/{number}/{cut}"
                    connection.send(header[:cut])
                    time.sleep(0.01)
                    self.assert_known(connection.send(header[cut:] + self.request(path)).answer(), sender, self.plain, path)

    def test_before_tls(self):
        for number, (name, header, sender) in enumerate(self.HEADERS):
            with self.subTest(name):
                path = f"/tls/{number}"
                raw = support.Sender(self.secure.address).send(header)
                with tls_support.TlsSender(tls_support.client_context(self.root), "proxy.example", over=raw.sock) as connection:
                    self.assert_known(connection.send(self.request(path)).answer(), sender, self.secure, path)

    def assert_closed(self, egret, said, reason="proxy_protocol_invalid", source=None):
        lines, requests = len(egret.access()), len(self.receiver.requests)
        with support.Sender(egret.address, source=source) as connection:
            try:
                connection.send(said)
            except OSError:
                pass  # closed already
            self.assertNotIn(b" 200 ", connection.read_to_end())
        line = support.wait_until(lambda: egret.access()[lines:])[0]
        self.assertEqual((line["reason"], line["status"], line["sender"]), (reason, 0, ""))
        self.assertEqual(len(self.receiver.requests), requests)

    def test_what_is_no_header(self):
        long = b"PROXY TCP4 " + b"1" * 200
        for name, said in (("none", self.request()), ("a TLS ClientHello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
                           ("no address", b"PROXY TCP4 here there 1 2\r\n"), ("the other family", b"PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n"),
                           ("a word too few", b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n"), ("a word too many", b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n"),
                           ("a port too high", b"PROXY TCP4 192.0.2.7 192.0.2.8 65536 2\r\n"),
                           ("a leading zero", b"PROXY TCP4 192.0.2.007 192.0.2.8 1 2\r\n"), ("no CR", b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\n"),
                           ("small letters", b"proxy tcp4 192.0.2.7 192.0.2.8 1 2\r\n"), ("a line without end", long),
                           ("another version", v2("192.0.2.7", version=3)), ("another command", v2("192.0.2.7", command=2)),
                           ("of no address", v2(command=1)), ("TLVs without end", v2("192.0.2.7", bytes(4000))),
                           ("too short for its family", v2("192.0.2.7", family=0x21)), ("half a signature", SIGNATURE[:7] + b"nonsense")):
            for egret in (self.plain, self.secure):
                with self.subTest(name):
                    self.assert_closed(egret, said + self.request())

    def test_a_health_check_that_connects_and_goes_is_no_line(self):
        for egret in (self.plain, self.secure):
            lines = len(egret.access())
            with support.Sender(egret.address) as connection:
                connection.sock.shutdown(socket.SHUT_WR)
                self.assertTrue(connection.closed(15))
            self.assertEqual(egret.access()[lines:], [])

    def test_a_header_has_its_time(self):
        for said in (b"", b"PROXY TCP4 192.0.2.7 ", SIGNATURE, v2("192.0.2.7")[:20]):
            with self.subTest(said), support.Sender(self.plain.address) as connection:
                began, lines = time.monotonic(), len(self.plain.access())
                connection.send(said)
                self.assertTrue(connection.closed(15))
                self.assertLess(time.monotonic() - began, 15)
                if said:
                    line = support.wait_until(lambda: self.plain.access()[lines:])[0]
                    self.assertEqual(line["reason"], "proxy_protocol_invalid")

    def test_who_is_not_listed_is_not_heard(self):
        for header in (v1("192.0.2.7"), v2("192.0.2.7"), b""):
            with self.subTest(header):
                self.assert_closed(self.listed_elsewhere, header + self.request())
        with support.Sender(self.listed_elsewhere.address, source=("127.0.0.2", 0)) as connection:
            self.assertEqual(connection.send(v1("192.0.2.7") + self.request("/listed")).answer().status, 200)

    def test_without_it_a_header_is_no_request(self):
        with support.Egret(support.OPEN + SENDERS) as egret:
            for header in (v1("192.0.2.7"), v2("192.0.2.7")):
                with self.subTest(header), support.Sender(egret.address) as connection:
                    answer = connection.send(header + self.request()).answer()
                    self.assertEqual(answer.status // 100, 4, answer)


if __name__ == "__main__":
    unittest.main()
