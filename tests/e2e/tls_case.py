"""What the tests of TLS to destinations share: a PKI, names, and an Egret with a rule for every setting."""

import pathlib
import ssl
import tempfile
import unittest

import pki
import support
import tls_support

HOST, OTHER = "good.tls.example", "other.tls.example"
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ZONE = {HOST: "127.0.0.1", OTHER: "127.0.0.1", "inside.example": "10.0.0.7", "mixed.example": "127.0.0.1 10.0.0.7",
        "rebind.tls.example": ["127.0.0.1", "127.0.0.2"]}

CONFIG = """
defaults:
  addresses: {{allow: [127.0.0.1/32]}}
  ports: [1-65535]
  tls: {{ca: {folder}/root.pem}}
  timeouts: {{tls: 2s, response: 5s}}
rules:
  - {{name: hurried, match: {{paths: [/hurried]}}, timeouts: {{tls: 300ms}}}}
  - {{name: modern, match: {{paths: [/modern]}}, tls: {{min_version: "1.3"}}}}
  - {{name: closed, match: {{paths: [/closed]}}, scheme: https-only}}
  - {{name: known, match: {{paths: [/known]}}, tls: {{client_certificate: {{certificate: {client[0]}, private_key: {client[1]}}}}}}}
  - {{name: unknown, match: {{paths: [/unknown]}}, tls: {{client_certificate: {{certificate: {stranger[0]}, private_key: {stranger[1]}}}}}}}
  - {{name: pinned, match: {{paths: [/pinned]}}, tls: {{pins: ["{pins[good]}"]}}}}
  - {{name: backup, match: {{paths: [/backup]}}, tls: {{pins: ["{pins[none]}", "{pins[good]}"]}}}}
  - {{name: issuer, match: {{paths: [/issuer]}}, tls: {{pins: ["{pins[intermediate]}"]}}}}
  - {{name: root, match: {{paths: [/root]}}, tls: {{pins: ["{pins[root]}"]}}}}
  - {{name: mispinned, match: {{paths: [/mispinned]}}, tls: {{pins: ["{pins[none]}"]}}}}
"""


def closing(body=b"thanks"):
    return lambda request: support.ok(body, fields="Connection: close\r\n")


class TlsCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))
        cls.root, cls.intermediate = pki.authority()
        cls.clients, _ = pki.authority("clients")
        cls.good = pki.issue(cls.intermediate, HOST, [HOST, OTHER, "rebind.tls.example", "127.0.0.1"])
        pathlib.Path(folder, "root.pem").write_text(cls.root.pem, encoding="ascii")
        pins = {"good": cls.good.pin, "intermediate": cls.intermediate.pin, "root": cls.root.pin,
                "none": pki.issue(None, "a key that is not in use yet").pin}
        client = pki.issue(cls.clients, "egret", usage=(pki.CLIENT,)).write(folder, "client")
        stranger = pki.issue(None, "a stranger", usage=(pki.CLIENT,)).write(folder, "stranger")
        cls.names = cls.enterClassContext(support.NameServer(ZONE))
        cls.egret = cls.enterClassContext(support.Egret(
            CONFIG.format(folder=folder, pins=pins, client=client, stranger=stranger) + cls.names.yaml))
        cls.addClassCleanup(cls.egret.wait_for_rest)  # before it is stopped

    def receiver(self, respond=lambda request: support.ok(), clean=True, once=False, host="127.0.0.1", port=0, **how):
        context = tls_support.server_context(self.good, **how)
        return self.enterContext(tls_support.TlsReceiver(context, respond, clean, once, host=host, port=port))

    def post(self, receiver, path="/hook", host=HOST):
        return support.post(self.egret, f"https://{host}:{receiver.port}{path}")

    def assert_refused(self, answer, status, *reasons):
        self.assertEqual(answer.status, status, answer)
        self.assertIn(answer.reason, reasons, answer)
        line = self.egret.wait_for_line(request_id=answer.problem["request_id"])
        self.assertEqual((line["reason"], line["status"]), (answer.reason, status))
        return answer
