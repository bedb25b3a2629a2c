"""The faulty certificates of the tests are what they say: a plain OpenSSL client finds each fault by its own code.
Without this, a destination that Egret refuses for the wrong reason would look right."""

import socket
import ssl
import tempfile
import unittest

import pki
import tls_support

# X509_V_ERR_* of <openssl/x509_vfy.h>.
CODES = {
    "expired": 10, "not-yet": 9, "wrong-host": 62, "address-only": 62, "cn-only": 62, "a.b.two": 62, "two": 62, "nul": 62,
    "nul-behind": 62, "hook": 62, "self-signed": 18, "unknown-issuer": 20, "untrusted-root": 19, "forged": 19,
    "missing-intermediate": 20, "no-authority": 79, "path-length": 25, "name-constraint": 47, "weak-key": 66, "weak-signature": 68,
    "client-only": 26, "revoked": 23, "stale-list": 12, "no-list": 3,
}
SOUND = {"good", "wildcard.one", "two.names", "rsa", "not-revoked", "long-chain"}  # how long is too long is Egret's to say


class PkiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.faults = pki.Faults()

    def fault_of(self, host):
        """The code of the client's check; 0 for none."""
        context = tls_support.client_context(self.faults.root)
        context.hostname_checks_common_name = False
        if host in self.faults.lists:
            self.load_list(context, self.faults.lists[host])
        with tls_support.TlsReceiver(tls_support.server_context(self.faults.certificates[host])) as receiver, \
                socket.create_connection((receiver.host, receiver.port), 10) as sock:
            try:
                with context.wrap_socket(sock, server_hostname=host):
                    return 0
            except ssl.SSLCertVerificationError as error:
                return error.verify_code

    @staticmethod
    def load_list(context, text):
        with tempfile.NamedTemporaryFile("w", prefix="egret-e2e-") as file:
            file.write(text)
            file.flush()
            context.load_verify_locations(cafile=file.name)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF

    def test_each_fault_is_found_as_itself(self):
        self.assertEqual(set(CODES) | SOUND, {host.removesuffix(f".{pki.Faults.DOMAIN}") for host in self.faults.certificates})
        for label, code in {**CODES, **dict.fromkeys(SOUND, 0)}.items():
            with self.subTest(label):
                self.assertEqual(self.fault_of(self.faults.host(label)), code)


if __name__ == "__main__":
    unittest.main()
