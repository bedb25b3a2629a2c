"""TLS to destinations beyond their certificates: the handshake, its failures and time, what is offered."""

import ssl
import time
import unittest

import support
import tls_support
from tls_case import HOST, V12, V13, TlsCase, closing


class HandshakeTest(TlsCase):
    def test_what_is_not_tls(self):
        for name, said in (("http", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), ("smtp", b"220 hello\r\n"),
                           ("zeros", bytes(100)), ("a record too long", b"\x16\x03\x03\xff\xff" + bytes(65535))):
            with self.subTest(name):
                def serve(connection, said=said):
                    connection.recv(4096)
                    connection.sendall(said)
                    connection.recv(4096)

                plain = self.enterContext(support.Listener(serve))
                answer = self.assert_refused(self.post(plain), 502, "tls_protocol_error")
                self.assertRegex(answer["Proxy-Status"], "^egret; error=tls_protocol_error(;|$)")
                self.assertEqual(plain.connections, 1)

    def test_a_peer_that_leaves(self):
        def at_once(connection):
            connection.recv(4096)

        def by_reset(connection):
            connection.recv(4096)
            support.close_by_reset(connection)

        def within_a_record(connection):
            connection.recv(4096)
            connection.sendall(b"\x16\x03\x03\x00\x7a\x02\x00")

        for serve in (at_once, by_reset, within_a_record):
            with self.subTest(serve.__name__):
                leaving = self.enterContext(support.Listener(serve))
                self.assert_refused(self.post(leaving), 502, "tls_protocol_error", "connection_terminated")

    def test_old_versions(self):
        for newest in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with self.subTest(newest):
                old = self.receiver(oldest=ssl.TLSVersion.TLSv1, newest=newest)
                self.assert_refused(self.post(old), 502, "tls_protocol_error", "tls_alert_received")
                self.assertEqual((old.requests, old.handshakes), ([], []))

    def test_min_version(self):
        old, new = self.receiver(newest=V12), self.receiver(oldest=V13)
        self.assert_refused(self.post(old, "/modern"), 502, "tls_protocol_error", "tls_alert_received")
        self.assertEqual(self.post(new, "/modern").status, 200)
        self.assertEqual(self.post(old).status, 200)
        self.assertEqual((old.handshakes[-1].version, new.handshakes[-1].version), ("TLSv1.2", "TLSv1.3"))

    def test_alerts_are_named(self):
        for number, name in ((40, "handshake_failure"), (80, "internal_error"), (112, "unrecognized_name"), (49, "access_denied"),
                             (120, "no_application_protocol"), (200, "200")):
            with self.subTest(name):
                def serve(connection, number=number):
                    connection.recv(4096)
                    connection.sendall(bytes([21, 3, 3, 0, 2, 2, number]))
                    connection.recv(4096)

                answer = self.assert_refused(self.post(self.enterContext(support.Listener(serve))), 502, "tls_alert_received")
                self.assertIn(name, answer.problem["detail"])
                self.assertRegex(answer["Proxy-Status"], "^egret; error=tls_alert_received(;|$)")

    def test_a_stalled_handshake_has_its_own_time(self):
        def silent(connection):
            connection.recv(4096)
            time.sleep(1.5)

        def half_a_hello(connection):
            connection.recv(4096)
            connection.sendall(b"\x16\x03\x03\x00\x7a\x02")
            time.sleep(1.5)

        def dripping(connection):
            connection.recv(4096)
            for byte in b"\x16\x03\x03\x00\x7a" + bytes(20):
                connection.sendall(bytes([byte]))
                time.sleep(0.07)

        for serve in (silent, half_a_hello, dripping):
            with self.subTest(serve.__name__):
                stalling = self.enterContext(support.Listener(serve))
                began = time.monotonic()
                self.assert_refused(self.post(stalling, "/hurried"), 504, "tls_timeout")
                self.assertGreater(time.monotonic() - began, 0.25)
                self.assertLess(time.monotonic() - began, 1.3)
                self.assertEqual(stalling.connections, 1)


class IdentityTest(TlsCase):
    def test_a_client_certificate_that_is_not_there(self):
        for newest in (V12, V13):  # in 1.3 the alert comes behind the handshake
            with self.subTest(newest):
                strict = self.receiver(client_ca=self.clients.pem, newest=newest)
                self.assert_refused(self.post(strict), 502, "tls_alert_received")
                self.assert_refused(self.post(strict, "/unknown"), 502, "tls_alert_received")
                self.assertEqual(strict.requests, [])

    def test_a_client_certificate(self):
        for newest in (V12, V13):
            with self.subTest(newest):
                strict = self.receiver(client_ca=self.clients.pem, newest=newest)
                self.assertEqual(self.post(strict, "/known").status, 200)
                self.assertEqual(strict.handshakes[-1].client, "egret")

    def test_a_client_certificate_is_shown_by_its_rule_only(self):
        """A connection that was made with it is not another rule's."""
        asking = self.receiver(client_ca=self.clients.pem, asks=ssl.CERT_OPTIONAL)
        for path, client in (("/known", "egret"), ("/hook", None), ("/known", None), ("/hook", None)):
            self.assertEqual(self.post(asking, path).status, 200)
            if client:
                self.assertEqual(asking.handshakes[-1].client, client)
        self.assertEqual([each.client for each in asking.handshakes], ["egret", None])

    def test_pins(self):
        receiver = self.receiver()
        for path in ("/pinned", "/backup", "/issuer", "/root"):
            with self.subTest(path):
                self.assertEqual(self.post(receiver, path).status, 200)
        dialled = receiver.connections
        answer = self.assert_refused(self.post(receiver, "/mispinned"), 502, "tls_certificate_error")
        self.assertIn("no key of its chain is pinned", answer.problem["detail"])
        self.assertEqual(receiver.connections, dialled + 1)
        self.assertEqual([request.line for request in receiver.requests if "mispinned" in request.line], [])

    def test_pins_are_no_less_when_the_destination_is_known_already(self):
        """Neither a kept connection nor a session of a rule without the pins gets past them."""
        for respond in (lambda request: support.ok(), closing()):
            for newest in (V12, V13):
                receiver = self.receiver(respond, newest=newest)
                self.assertEqual(self.post(receiver).status, 200)
                self.assertEqual(self.post(receiver).status, 200)
                self.assert_refused(self.post(receiver, "/mispinned"), 502, "tls_certificate_error")
                self.assertEqual(len(receiver.requests), 2)

    def test_what_is_offered(self):
        receiver = self.receiver(closing())
        self.assertEqual(self.post(receiver).status, 200)
        self.assertEqual(self.post(receiver, host=HOST.upper()).status, 200)
        self.assertEqual(self.post(receiver, host="127.0.0.1").status, 200)
        self.assertEqual([hello.server_name for hello in receiver.hellos], [HOST, HOST, None])
        self.assertEqual([hello.alpn for hello in receiver.hellos], [["http/1.1"]] * 3)

    def test_a_destination_without_alpn_is_spoken_to_all_the_same(self):
        context = tls_support.server_context(self.good)
        context.set_alpn_protocols([])
        receiver = self.enterContext(tls_support.TlsReceiver(context))
        self.assertEqual(self.post(receiver).status, 200)
        self.assertEqual((receiver.handshakes[-1].alpn_offered, receiver.handshakes[-1].alpn), (["http/1.1"], None))


class PolicyTest(TlsCase):
    def test_https_only(self):
        receiver = self.receiver()
        answer = support.post(self.egret, f"http://{HOST}:{receiver.port}/closed")
        self.assert_refused(answer, 403, "scheme_prohibited")
        self.assertEqual(receiver.connections, 0)
        self.assertEqual(self.post(receiver, "/closed").status, 200)
        answer = support.post(self.egret, f"http://{HOST}:{receiver.port}/closed", headers="Egret-Scheme: https\r\n")
        self.assertEqual(answer.status, 200, answer)

    def test_addresses_are_judged_before_any_connection(self):
        for host, reason in (("10.0.0.1", "address_prohibited"), ("inside.example", "address_prohibited"), ("[::1]", "address_prohibited"),
                             ("169.254.169.254", "address_prohibited"), ("mixed.example", "addresses_mixed")):
            with self.subTest(host):
                receiver = self.receiver()
                self.assert_refused(self.post(receiver, host=host), 403, reason)
                self.assertEqual(receiver.connections, 0)

    def test_rebinding(self):
        """As in dns_test: what was judged is what is dialled, and it is asked for once."""
        public = self.receiver(closing())
        inside = self.receiver(host="127.0.0.2", port=public.port)
        self.assertEqual(self.post(public, host="rebind.tls.example").status, 200)
        self.assertEqual(len(self.names.asked("rebind.tls.example")), 2)  # one a family
        answer = self.assert_refused(self.post(public, host="rebind.tls.example"), 403, "address_prohibited")
        self.assertIn("127.0.0.2", answer.problem["detail"])
        self.assertEqual((public.connections, inside.connections), (1, 0))


if __name__ == "__main__":
    unittest.main()
