"""Listeners that speak TLS: an HTTPS proxy, senders known by their certificates, certificates that are replaced."""

import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

import pki
import support
import tls_support

PROXY = "proxy.example"


def replace(path, text):
    """As a deployment does: whole or not at all."""
    new = pathlib.Path(path + ".new")
    new.touch(mode=0o600)
    new.write_text(text, encoding="ascii")
    os.replace(new, path)


class ListenerCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))
        cls.root, cls.intermediate = pki.authority()
        cls.own = pki.issue(cls.intermediate, PROXY, [PROXY, "127.0.0.1"])
        cls.clients = pki.issue(None, "clients", ca=True)
        cls.root_file = pathlib.Path(cls.folder, "root.pem")
        cls.root_file.write_text(cls.root.pem, encoding="ascii")
        cls.clients_file, _ = cls.clients.write(cls.folder, "clients")

    def setUp(self):
        self.receiver = self.enterContext(support.Receiver())

    def start(self, more="", rest="", certificate=None, name="proxy", defaults=""):
        chain, key = (certificate or self.own).write(self.folder, name)
        return self.enterContext(support.Egret(
            f"defaults: {{addresses: {{allow: [127.0.0.1/32]}}, ports: [1-65535]{defaults}}}\n"
            f"listeners: [{{address: 127.0.0.1:0, tls: {{certificate: {chain}, private_key: {key}{more}}}}}]\n{rest}"))

    def sender(self, egret, certificate=None, **how):
        return self.enterContext(tls_support.TlsSender(tls_support.client_context(self.root, certificate, **how), PROXY, egret.address))

    def client(self, cn, names=(), **how):
        return pki.issue(self.clients, cn, names, usage=how.pop("usage", (pki.CLIENT,)), **how)


class HttpsProxyTest(ListenerCase):
    def test_every_kind_of_request(self):
        egret = self.start()
        sender = self.sender(egret)
        for _ in range(2):
            self.assertEqual(sender.request(self.receiver.url()).status, 200)
        self.assertEqual(sender.request("http://10.0.0.1/").reason, "address_prohibited")
        sender.send(f"POST / HTTP/1.1\r\nHost: egret\r\nEgret-Target: {self.receiver.url('/by-target')}\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(sender.answer().status, 200)
        self.assertEqual(sender.connect(self.receiver.authority).status, 200)
        sender.send("POST /in-the-tunnel HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(sender.answer().status, 200)
        self.assertEqual([request.line.split(" ")[1] for request in self.receiver.requests],
                         ["/hook", "/hook", "/by-target", "/in-the-tunnel"])
        sender.close()
        egret.wait_for_rest()

    def test_curl(self):
        egret = self.start()
        secure = self.enterContext(tls_support.TlsReceiver(tls_support.server_context(pki.issue(self.intermediate, "a", ["127.0.0.1"]))))
        for url in (self.receiver.url(), secure.url()):  # the second: TLS in a tunnel in TLS
            done = subprocess.run([support.tool("curl"), "--silent", "--show-error", "--noproxy", "", "--proxy", egret.url.replace("http:", "https:"),
                                   "--proxy-cacert", str(self.root_file), "--cacert", str(self.root_file), "--data", "{}", url],
                                  capture_output=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stdout), (0, b"thanks"), done.stderr)

    def test_much_passes_both_ways(self):
        body = bytes(range(256)) * 3000
        echo = self.enterContext(support.Receiver(lambda request: support.ok(request.body)))
        egret = self.start(defaults=", limits: {response_body: 1MiB}")
        answer = self.sender(egret).request(echo.url(), body)
        self.assertEqual((answer.status, answer.body == body), (200, True))

    def test_what_is_spoken(self):
        egret = self.start()
        self.assertEqual(self.sender(egret, alpn=["h2", "http/1.1"]).sock.selected_alpn_protocol(), "http/1.1")
        for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = tls_support.client_context(self.root)
            context.maximum_version = newest
            with tls_support.TlsSender(context, PROXY, egret.address) as sender:
                self.assertEqual(sender.request(self.receiver.url()).status, 200)
        context = tls_support.client_context(self.root)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with self.assertRaises(OSError):
            tls_support.TlsSender(context, PROXY, egret.address)
        egret.wait_for_line(reason="sender_tls_failed")

    def test_what_is_not_tls(self):
        egret = self.start()
        for said in (f"POST {self.receiver.url()} HTTP/1.1\r\nHost: {self.receiver.authority}\r\nContent-Length: 0\r\n\r\n", "\0" * 100,
                     "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"):
            with self.subTest(said[:20]), support.Sender(egret.address) as sender:
                lines = len(egret.access())
                self.assertNotIn(b" 200 ", sender.send(said).read_to_end())
                line = support.wait_until(lambda: egret.access()[lines:])[0]
                self.assertEqual((line["reason"], line["status"]), ("sender_tls_failed", 0))
        self.assertEqual(self.receiver.connections, 0)
        egret.wait_for_rest()

    def test_a_session_is_no_pass_for_another_listener(self):
        chain, key = self.own.write(self.folder, "proxy")
        pair = f"tls: {{certificate: {chain}, private_key: {key}"
        egret = self.enterContext(support.Egret(
            "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535]}\n"
            f"listeners: [{{address: 127.0.0.1:0, {pair}}}}}, {{address: 127.0.0.2:0, {pair}, client_ca: {self.clients_file}}}}}]\n"))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = tls_support.client_context(self.root)
            context.maximum_version = version

            def ask(address, session):
                with socket.create_connection(address) as plain, \
                     context.wrap_socket(plain, server_hostname=PROXY, session=session) as secure:
                    secure.settimeout(5)
                    secure.sendall(f"GET {self.receiver.url()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                    return secure.recv(4096)[:12], secure.session_reused, secure.session

            with self.subTest(version):
                open_one, closed_one = (egret.endpoint(each) for each in egret.listening_at)
                said, _, session = ask(open_one, None)
                self.assertEqual(said, b"HTTP/1.1 200")
                self.assertEqual(ask(open_one, session)[1], True)
                with self.assertRaises(OSError):
                    if not ask(closed_one, session)[0]:
                        raise OSError("closed")

    def test_a_handshake_has_its_time(self):
        egret = self.start(defaults=", timeouts: {tls: 500ms}")
        for said in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with self.subTest(said), support.Sender(egret.address) as sender:
                began, lines = time.monotonic(), len(egret.access())
                sender.send(said).read_to_end()
                self.assertLess(time.monotonic() - began, 5)
                if said:
                    line = support.wait_until(lambda: egret.access()[lines:])[0]
                    self.assertEqual(line["reason"], "sender_tls_failed")
                else:
                    self.assertEqual(egret.access()[lines:], [], "a port scan is no line")
        egret.wait_for_rest()

    def test_a_handshake_that_is_left_harms_nobody(self):
        egret = self.start()
        for said in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
            with support.Sender(egret.address) as sender:
                sender.send(said)
            support.Sender(egret.address).send(said).reset()
        self.assertEqual(self.sender(egret).request(self.receiver.url()).status, 200)
        support.wait_until(lambda: egret.total("egret_sender_connections") == 1)


class ClientCertificateTest(ListenerCase):
    SENDERS = ("senders:\n"
               "  - {name: by-uri, certificates: ['spiffe://corp.example/billing']}\n"
               "  - {name: by-dns, certificates: [crm.corp.example]}\n"
               "  - {name: by-cn, certificates: [deploy]}\n")

    def outcome(self, egret, certificate):
        """(status, reason, the sender in the log); (0, the log's reason, "") when the handshake fails."""
        lines = len(egret.access())
        try:
            with tls_support.TlsSender(tls_support.client_context(self.root, certificate), PROXY, egret.address) as sender:
                answer = sender.request(self.receiver.url())
        except OSError:  # in TLS 1.3 the refusal comes behind the client's part of the handshake
            answer = None
        line = support.wait_until(lambda: egret.access()[lines:])[0]
        return (answer.status if answer else 0), line["reason"], line["sender"]

    def test_senders_are_known_by_their_certificates(self):
        egret = self.start(f", client_ca: {self.clients_file}", self.SENDERS)
        for name, certificate, expected in (
                ("a URI", self.client("x", ["other.example", "spiffe://corp.example/billing"]), (200, "", "by-uri")),
                ("a DNS name", self.client("x", ["crm.corp.example"]), (200, "", "by-dns")),
                ("a CN", self.client("deploy"), (200, "", "by-cn")),
                ("a CN beside others", self.client("deploy", ["other.example"]), (403, "sender_unknown", "")),
                ("the first sender that it is", self.client("deploy", ["crm.corp.example"]), (200, "", "by-dns")),
                ("nobody", self.client("x", ["spiffe://corp.example/other"]), (403, "sender_unknown", "")),
                ("a name that goes on", self.client("x", ["spiffe://corp.example/billing/x"]), (403, "sender_unknown", "")),
                ("a name with a NUL behind", self.client("x", ["crm.corp.example\0.evil.example"]), (403, "sender_unknown", "")),
                ("a star", self.client("x", ["*.corp.example"]), (403, "sender_unknown", "")),
        ):
            with self.subTest(name):
                self.assertEqual(self.outcome(egret, certificate), expected)

    def test_certificates_that_are_no_good(self):
        uri = ["spiffe://corp.example/billing"]
        stranger = pki.issue(None, "clients", ca=True)
        for mode in ("required", "optional"):
            egret = self.start(f", client_ca: {self.clients_file}, client_certificate: {mode}", self.SENDERS)
            for name, certificate in (("of another CA", pki.issue(stranger, "x", uri, usage=(pki.CLIENT,))),
                                      ("of the listener's CA", pki.issue(self.intermediate, "x", uri, usage=(pki.CLIENT,))),
                                      ("self-signed", pki.issue(None, "x", uri, usage=(pki.CLIENT,))),
                                      ("expired", self.client("x", uri, since=-30 * pki.DAY, until=-pki.DAY)),
                                      ("for servers", self.client("x", uri, usage=(pki.SERVER,)))):
                with self.subTest(name, mode=mode):
                    self.assertEqual(self.outcome(egret, certificate), (0, "sender_tls_failed", ""))
        self.assertEqual(self.receiver.connections, 0)

    def test_required_and_optional(self):
        required = self.start(f", client_ca: {self.clients_file}", self.SENDERS)
        self.assertEqual(self.outcome(required, None), (0, "sender_tls_failed", ""))
        optional = self.start(f", client_ca: {self.clients_file}, client_certificate: optional",
                              self.SENDERS + "  - {name: by-network, networks: [127.0.0.1]}\n")
        self.assertEqual(self.outcome(optional, None), (200, "", "by-network"))
        self.assertEqual(self.outcome(optional, self.client("deploy")), (200, "", "by-cn"))

    def test_both_kinds_must_hold(self):
        egret = self.start(f", client_ca: {self.clients_file}", "senders: [{name: a, certificates: [deploy], networks: [10.0.0.0/8]}]\n")
        self.assertEqual(self.outcome(egret, self.client("deploy")), (403, "sender_unknown", ""))

    def test_revocation(self):
        good, revoked = self.client("deploy"), self.client("deploy")
        lists = pathlib.Path(self.folder, "clients.crl")
        lists.write_text(pki.revocations(self.clients, [revoked]), encoding="ascii")
        egret = self.start(f", client_ca: {self.clients_file}, crl: {lists}", self.SENDERS)
        self.assertEqual(self.outcome(egret, good), (200, "", "by-cn"))
        self.assertEqual(self.outcome(egret, revoked), (0, "sender_tls_failed", ""))
        lists.write_text(pki.revocations(self.clients, [good, revoked]), encoding="ascii")
        egret.reload()
        self.assertEqual(self.outcome(egret, good), (0, "sender_tls_failed", ""))

    def test_a_session_is_no_way_around_a_new_list(self):
        """A resumed session shows no certificate again."""
        good = self.client("deploy")
        lists = pathlib.Path(self.folder, "resumed.crl")
        lists.write_text(pki.revocations(self.clients), encoding="ascii")
        egret = self.start(f", client_ca: {self.clients_file}, crl: {lists}", self.SENDERS)
        for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(newest):
                lists.write_text(pki.revocations(self.clients), encoding="ascii")
                egret.reload()
                context = tls_support.client_context(self.root, good)
                context.maximum_version = newest
                with tls_support.TlsSender(context, PROXY, egret.address) as sender:
                    self.assertEqual(sender.request(self.receiver.url()).status, 200)
                    session = sender.sock.session
                lists.write_text(pki.revocations(self.clients, [good]), encoding="ascii")
                egret.reload()
                with self.assertRaises(OSError):
                    sock = context.wrap_socket(socket.create_connection(egret.address, support.PATIENCE), server_hostname=PROXY, session=session)
                    with sock:
                        sock.sendall(f"GET {self.receiver.url()} HTTP/1.1\r\nHost: {self.receiver.authority}\r\n\r\n".encode())
                        if not sock.recv(100):
                            raise ConnectionResetError
                self.assertEqual(len(self.receiver.requests), 1)
                self.receiver.requests.clear()


class ReloadTest(ListenerCase):
    def shown(self, egret):
        with tls_support.TlsSender(tls_support.client_context(self.root), PROXY, egret.address) as sender:
            return int(sender.sock.getpeercert()["serialNumber"], 16)

    def test_a_new_certificate_is_shown_to_new_connections(self):
        egret = self.start(name="renewed")
        self.assertEqual(self.shown(egret), self.own.x509.serial_number)
        sender = self.sender(egret)
        self.assertEqual(sender.request(self.receiver.url()).status, 200)
        tunnel = self.sender(egret)
        self.assertEqual(tunnel.connect(self.receiver.authority).status, 200)

        renewed = pki.issue(self.intermediate, PROXY, [PROXY])
        replace(f"{self.folder}/renewed.crt", renewed.chain_pem)
        replace(f"{self.folder}/renewed.key", renewed.key_pem)
        self.assertEqual(self.shown(egret), self.own.x509.serial_number)  # not before it is asked for
        egret.reload()
        self.assertEqual(self.shown(egret), renewed.x509.serial_number)
        self.assertEqual(sender.request(self.receiver.url()).status, 200)
        tunnel.send("POST /still-there HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(tunnel.answer().status, 200)

    def test_a_broken_one_is_refused_and_the_old_stays(self):
        egret = self.start(name="broken")
        other = pki.issue(self.intermediate, PROXY, [PROXY])
        for name, text in (("key", other.key_pem), ("key", ""), ("key", "nonsense\n"), ("crt", self.own.chain_pem[:300])):
            before = pathlib.Path(self.folder, f"broken.{name}").read_text(encoding="ascii")
            with self.subTest(name, text=text[:30]):
                replace(f"{self.folder}/broken.{name}", text)
                egret.reload("refused")
                self.assertEqual(self.shown(egret), self.own.x509.serial_number)
                self.assertNotIn("PRIVATE KEY-----\n", egret.stderr())
            replace(f"{self.folder}/broken.{name}", before)
        egret.reload()


if __name__ == "__main__":
    unittest.main()
