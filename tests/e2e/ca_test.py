"""egret ca init and show: files that nobody else reads, nothing overwritten, no key ever shown."""

import pathlib
import stat
import subprocess
import tempfile
import unittest

import support


class CaTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-")))
        self.files = ("--certificate", str(self.folder / "ca.pem"), "--key", str(self.folder / "ca.key"))

    def openssl(self, *arguments):
        return subprocess.run([support.tool("openssl"), *map(str, arguments)], capture_output=True, text=True, check=True, timeout=30).stdout

    def test_init_makes_a_ca_that_openssl_agrees_with(self):
        code, out, err = support.run("ca", "init", *self.files, "--name", "Acme hooks", "--days", "30", "--permit-dns", "acme.example",
                                     "--permit-ip", "192.0.2.0/24")
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(stat.S_IMODE((self.folder / "ca.key").stat().st_mode), 0o600)
        text = self.openssl("x509", "-in", self.folder / "ca.pem", "-noout", "-text")
        for said in ("CN = Acme hooks", "CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "DNS:acme.example", "IP:192.0.2.0/255.255.255.0",
                     "prime256v1"):
            self.assertIn(said, text)
        fingerprint = self.openssl("x509", "-in", self.folder / "ca.pem", "-noout", "-fingerprint", "-sha256").strip().partition("=")[2]
        self.assertIn(fingerprint, out)
        self.assertIn(self.openssl("pkey", "-in", self.folder / "ca.key", "-pubout"),
                      self.openssl("x509", "-in", self.folder / "ca.pem", "-noout", "-pubkey"))
        code, shown, err = support.run("ca", "show", "--certificate", str(self.folder / "ca.pem"))
        self.assertEqual((code, err), (0, ""))
        for said in (fingerprint, "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "keytool", "curl.cainfo", str(self.folder / "ca.pem")):
            self.assertIn(said, shown)
        for line in (self.folder / "ca.key").read_text().splitlines():
            self.assertNotIn(line, out + shown)

    def test_nothing_is_overwritten(self):
        for name in ("ca.key", "ca.pem"):
            with self.subTest(name):
                (self.folder / name).write_text("mine")
                code, out, err = support.run("ca", "init", *self.files)
                self.assertEqual((code, out), (2, ""))
                self.assertIn("is there already; nothing was overwritten", err)
                self.assertEqual([path.name for path in self.folder.iterdir()], [name])
                self.assertEqual((self.folder / name).read_text(), "mine")
                (self.folder / name).unlink()

    def test_a_link_is_not_followed(self):
        (self.folder / "ca.key").symlink_to(self.folder / "elsewhere")
        self.assertEqual(support.run("ca", "init", *self.files)[0], 2)
        self.assertFalse((self.folder / "elsewhere").exists())

    def test_the_configuration_names_the_files(self):
        path = self.folder / "egret.yaml"
        path.write_text(f"interception: {{ca_certificate: {self.folder}/ca.pem, ca_key: {self.folder}/ca.key}}\ndefaults: {{connect: intercept}}\n")
        self.assertEqual(support.run("check", "-c", str(path))[0], 2)  # they are not there yet
        code, _, err = support.run("ca", "init", "-c", str(path))
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(support.run("check", "-c", str(path))[0], 0)
        self.assertEqual(support.run("ca", "show", "-c", str(path))[0], 0)

    def test_mistakes_are_one_line_with_what_to_do(self):
        (self.folder / "none.yaml").write_text("mode: enforce\n")
        (self.folder / "half.yaml").write_text(f"interception: {{ca_certificate: {self.folder}/ca.pem}}\n")
        leaf = self.folder / "leaf.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-addext",
                     "basicConstraints=critical,CA:FALSE", "-keyout", self.folder / "leaf.key", "-out", leaf)
        for arguments, said in (
                (("init", "-c", str(self.folder / "none.yaml")), "interception: it is not there"),
                (("init", "-c", str(self.folder / "half.yaml")), "ca_key is needed"),
                (("init", "-c", str(self.folder / "half.yaml"), *self.files), "not both"),
                (("init", "-c", str(self.folder / "absent.yaml")), "absent.yaml"),
                (("init", *self.files, "--permit-dns", "192.0.2.1"), "is no domain"),
                (("init", *self.files, "--permit-ip", "acme.example"), "--permit-ip"),
                (("init", *self.files, "--days", "0"), "--days"),
                (("init", *self.files, "--name", ""), "--name"),
                (("init", "--certificate", str(self.folder / "no/ca.pem"), "--key", str(self.folder / "ca.key")), "cannot write"),
                (("show", "--certificate", str(self.folder / "absent.pem")), "egret ca init makes one"),
                (("show", "--certificate", str(leaf)), "no CA"),
                (("show", "--certificate", str(self.folder / "leaf.key")), "no certificate"),
                ((), "subcommand"), (("nonsense",), "see egret --help")):
            with self.subTest(arguments):
                code, out, err = support.run("ca", *arguments)
                self.assertEqual((code, out), (2, ""))
                self.assertIn(said, err)
        self.assertFalse((self.folder / "ca.key").exists())


if __name__ == "__main__":
    unittest.main()
