"""Destinations whose certificates are not to be trusted: each is refused for its own fault, whichever way the
request asks for TLS, before a byte of it is sent, and without a second try."""

import pathlib
import tempfile
import unittest

import pki
import support
import tls_support

# What `detail` says; the rest of the words are proxy/tls/words.cc's.
ANOTHER_NAME = "it is for another name"
FAULTS = {
    "expired": "it has expired",
    "not-yet": "it is not valid yet",
    "wrong-host": ANOTHER_NAME,
    "address-only": ANOTHER_NAME,
    "cn-only": ANOTHER_NAME,
    "hook": ANOTHER_NAME,
    "a.b.two": ANOTHER_NAME,
    "two": ANOTHER_NAME,
    "nul": ANOTHER_NAME,
    "nul-behind": ANOTHER_NAME,
    "self-signed": "it is self-signed",
    "unknown-issuer": "its issuer is not known",
    "untrusted-root": "its root is not trusted",
    "forged": "its root is not trusted",
    "missing-intermediate": "its issuer is not known",
    "no-authority": "its issuer is no certificate authority",
    "path-length": "its chain is too long",
    "long-chain": "its chain is too long",
    "name-constraint": "its issuer may not vouch for the name (name constraint)",
    "weak-key": "its key is too weak",
    "weak-signature": "its signature is too weak",
    "client-only": "it is not meant for this use",
    "revoked": "it is revoked",
    "stale-list": "its issuer's revocation list has expired",
    "no-list": "no revocation list of its issuer is at hand",
}
SOUND = ("good", "wildcard.one", "two.names", "rsa", "not-revoked")


def by_url(egret, host, port, path):
    return support.post(egret, f"https://{host}:{port}{path}")


def by_header(egret, host, port, path):
    return support.post(egret, f"http://{host}:{port}{path}", headers="Egret-Scheme: https\r\n")


def by_rule(egret, host, port, path):
    return support.post(egret, f"http://{host}:{port}/always{path}")


def by_target(egret, host, port, path):
    with support.Sender(egret.address) as sender:
        sender.send(f"POST / HTTP/1.1\r\nHost: egret\r\nEgret-Target: https://{host}:{port}{path}\r\nContent-Length: 2\r\n\r\n{{}}")
        return sender.answer()


WAYS = (by_url, by_header, by_rule, by_target)


def configuration(folder, faults, names):
    """Trusts the tests' root; each host that has revocation lists is looked up in its own."""
    folder = pathlib.Path(folder)
    (folder / "root.pem").write_text(faults.root.pem, encoding="ascii")
    rules = []
    for host, text in faults.lists.items():
        (folder / f"{host}.crl").write_text(text, encoding="ascii")
        tls = f"tls: {{crl: {folder}/{host}.crl}}"
        rules.append(f"  - {{name: always-{host}, match: {{hosts: [{host}], paths: [/always/*]}}, scheme: https, {tls}}}\n")
        rules.append(f"  - {{name: {host}, match: {{hosts: [{host}]}}, {tls}}}\n")
    rules.append("  - {name: always, match: {paths: [/always/*]}, scheme: https}\n")
    return ("defaults:\n  addresses: {allow: [127.0.0.1/32]}\n  ports: [1-65535]\n"
            f"  tls: {{ca: {folder}/root.pem}}\nrules:\n" + "".join(rules) + names.yaml)


class TlsCertificatesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.faults = pki.Faults()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))
        cls.names = cls.enterClassContext(support.NameServer(dict.fromkeys(cls.faults.certificates, "127.0.0.1")))
        cls.egret = cls.enterClassContext(support.Egret(configuration(folder, cls.faults, cls.names)))
        cls.addClassCleanup(cls.egret.wait_for_rest)  # before it is stopped

    def receiver(self, label, **how):
        context = tls_support.server_context(self.faults.certificates[self.faults.host(label)])
        return self.enterContext(tls_support.TlsReceiver(context, **how))

    def assert_refused(self, answer, phrase, receiver, dialled):
        self.assertEqual((answer.status, answer.reason), (502, "tls_certificate_error"), answer)
        self.assertRegex(answer["Proxy-Status"], r"^egret; error=tls_certificate_error(;|$)")
        self.assertIn(phrase, answer.problem["detail"])
        self.assertIn(phrase, answer["Proxy-Status"])
        line = self.egret.wait_for_line(request_id=answer.problem["request_id"])
        self.assertEqual((line["reason"], line["status"], line["verdict"]), ("tls_certificate_error", 502, "allowed"))
        self.assertIn(phrase, line["detail"])
        self.assertEqual(receiver.connections, dialled, "a certificate does not get better by asking again")
        self.assertEqual(receiver.requests, [])

    def test_every_fault_is_refused_in_its_own_words(self):
        for label, phrase in FAULTS.items():
            with self.receiver(label) as receiver:
                for number, way in enumerate(WAYS, 1):
                    with self.subTest(label, way=way.__name__):
                        answer = way(self.egret, self.faults.host(label), receiver.port, "/hook")
                        self.assert_refused(answer, phrase, receiver, number)
                        self.assertIn(self.faults.host(label), answer.problem["detail"])
        self.egret.wait_for_rest()

    def test_no_method_is_tried_twice(self):
        with self.receiver("expired") as receiver:
            for number, method in enumerate(("GET", "PUT", "DELETE"), 1):
                with self.subTest(method):
                    answer = support.post(self.egret, receiver.url(host=self.faults.host("expired")), b"", method)
                    self.assert_refused(answer, "it has expired", receiver, number)

    def test_sound_ones_are_delivered_to(self):
        for label in SOUND:
            with self.receiver(label) as receiver:
                for way in WAYS:
                    with self.subTest(label, way=way.__name__):
                        answer = way(self.egret, self.faults.host(label), receiver.port, "/hook?a=%2F")
                        self.assertEqual((answer.status, answer.body), (200, b"thanks"), answer)
                        prefix = "/always" if way is by_rule else ""
                        self.assertEqual(receiver.requests[-1].line, f"POST {prefix}/hook?a=%2F HTTP/1.1")
                        self.assertEqual(receiver.requests[-1]["Host"], f"{self.faults.host(label)}:{receiver.port}")
                        self.assertEqual(receiver.requests[-1]["Egret-Scheme"] + receiver.requests[-1]["Egret-Target"], "")

    def test_an_address_is_checked_against_addresses(self):
        with self.receiver("address-only") as receiver:
            self.assertEqual(support.post(self.egret, receiver.url()).status, 200)
        with self.receiver("good") as receiver:
            self.assert_refused(support.post(self.egret, receiver.url()), ANOTHER_NAME, receiver, 1)

    def test_a_trailing_dot_is_no_other_name(self):
        with self.receiver("good") as receiver:
            answer = support.post(self.egret, receiver.url(host=self.faults.host("good") + "."))
            self.assertEqual(answer.status, 200, answer)
            self.assertEqual(receiver.hellos[-1].server_name, self.faults.host("good"))

    def test_the_systems_anchors_are_others(self):
        """Without `ca`, the tests' root is nobody."""
        with support.Egret(support.OPEN + self.names.yaml) as egret, self.receiver("good") as receiver:
            answer = support.post(egret, receiver.url(host=self.faults.host("good")))
            self.assertEqual((answer.status, answer.reason), (502, "tls_certificate_error"), answer)
            self.assertIn("its issuer is not known", answer.problem["detail"])
            self.assertEqual((receiver.connections, receiver.requests), (1, []))

    def test_no_detail_of_it_in_answers_when_detail_is_minimal(self):
        with tempfile.TemporaryDirectory(prefix="egret-e2e-") as folder, self.receiver("expired") as receiver, \
                support.Egret(configuration(folder, self.faults, self.names) + "log: {detail: minimal}\n") as egret:
            answer = support.post(egret, receiver.url(host=self.faults.host("expired")))
            self.assertEqual(answer.reason, "tls_certificate_error")
            self.assertNotIn("expired.", repr(answer).replace(self.faults.host("expired"), ""))
            self.assertNotIn("it has expired", repr(answer))


if __name__ == "__main__":
    unittest.main()
