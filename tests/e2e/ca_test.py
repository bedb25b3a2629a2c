"""egret ca init and egret ca show: files, refusals, words; what openssl makes of the CA; and that the key is never told."""

import os
import pathlib
import re
import shlex
import stat
import subprocess
import tempfile
import unittest

import support

OPENSSL = support.tool("openssl")


def openssl(*arguments):
    done = subprocess.run([OPENSSL, *map(str, arguments)], capture_output=True, timeout=30, check=False, text=True)
    return done.returncode, done.stdout + done.stderr


class CaCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-")))
        self.certificate, self.key = self.folder / "ca.pem", self.folder / "ca.key"

    def config(self, text):
        path = self.folder / "egret.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def init(self, *arguments, good=True):
        said = self.egret("ca", "init", "--certificate", str(self.certificate), "--key", str(self.key), *arguments)
        if good:
            self.assertEqual((said[0], said[2]), (0, ""), said)
        return said

    def egret(self, *arguments):
        """As support.run, in the test's folder. Whatever happens, no byte of a key is printed."""
        done = subprocess.run([support.BINARY, *arguments], cwd=self.folder, capture_output=True, timeout=60, check=False)
        said = done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        self.assertNotIn("PRIVATE", said[1] + said[2])
        for key in filter(pathlib.Path.is_file, self.folder.rglob("*.key")):
            for line in key.read_text(encoding="latin-1").split("\n"):
                if len(line) > 8 and not line.startswith("-----"):
                    self.assertNotIn(line, said[1] + said[2])
        return said

    def refused(self, *arguments, says, kept=()):
        """One line on stderr with `says` in it, nothing on stdout, and no file more than before."""
        code, out, err = self.egret("ca", *arguments)
        self.assertEqual((code, out), (2, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("egret: "), err)
        self.assertIn(says, err)
        self.assertEqual({path.name for path in self.folder.iterdir()}, set(kept))


class InitRefusesTest(CaCase):
    def test_mistakes_on_the_command_line(self):
        cases = (
            (["--days", "0"], "--days"), (["--days", "36501"], "--days"), (["--days", "ten"], "--days"),
            (["--name", ""], "1 to 64 bytes"), (["--name", "n" * 65], "1 to 64 bytes"), (["--name", "a\nb"], "control character"),
            (["--name", b"\xff\xfe"], "utf8"),
            (["--permit-dns", ""], "is no domain"), (["--permit-dns", "*.a.example"], "is no domain"),
            (["--permit-dns", "192.0.2.1"], "is no domain"), (["--permit-dns", "a.example,permitted;DNS:b"], "is no domain"),
            (["--permit-dns", "a.example", "--permit-dns", ".b.example"], '".b.example" is no domain'),
            (["--permit-ip", "x"], "is not a network"), (["--permit-ip", "10.0.0.5/8"], "10.0.0.0/8"),
            (["--permit-ip", "10.0.0.0/33"], "--permit-ip"),
            (["--overwrite"], "--overwrite"),
        )
        for arguments, says in cases:
            with self.subTest(arguments):
                self.refused("init", *arguments, says=says)
        self.refused(says="subcommand")
        self.refused("make", says="subcommand")

    def test_a_file_that_is_there(self):
        for name in ("egret-ca.key", "egret-ca.pem"):
            with self.subTest(name):
                path = self.folder / name
                path.write_text("precious\n", encoding="ascii")
                self.refused("init", says=f"{name} is there already; nothing was overwritten", kept=[name])
                self.assertEqual(path.read_text(encoding="ascii"), "precious\n")
                path.unlink()

    def test_a_second_time(self):
        self.init()
        before = self.certificate.read_bytes(), self.key.read_bytes()
        code, _, err = self.init(good=False)
        self.assertEqual(code, 2)
        self.assertIn("is there already", err)
        self.assertEqual((self.certificate.read_bytes(), self.key.read_bytes()), before)

    def test_a_link_is_not_followed(self):
        for name in ("egret-ca.key", "egret-ca.pem"):
            for target in ("target", "absent"):
                with self.subTest(name, target=target):
                    (self.folder / "target").write_text("precious\n", encoding="ascii")
                    (self.folder / name).symlink_to(self.folder / target)
                    self.refused("init", says="is there already", kept=[name, "target"])
                    self.assertEqual((self.folder / "target").read_text(encoding="ascii"), "precious\n")
                    (self.folder / name).unlink()

    def test_one_file_for_both(self):
        for key in ("one.pem", "./one.pem", str(self.folder / "one.pem")):
            with self.subTest(key):
                self.refused("init", "--certificate", "one.pem", "--key", key, says="need a file each")

    def test_no_key_is_left_without_its_certificate(self):
        self.refused("init", "--certificate", "absent/ca.pem", says="cannot write absent/ca.pem: No such file or directory")
        self.refused("init", "--key", "absent/ca.key", says="cannot write absent/ca.key: No such file or directory")

    def test_half_a_file_is_not_left(self):
        """RLIMIT_FSIZE: the disk is full, as far as Egret can see."""
        for most, what in ((100, "egret-ca.key"), (300, "egret-ca.pem")):
            with self.subTest(what):
                done = subprocess.run(
                    [support.tool("prlimit"), f"--fsize={most}", "/bin/sh", "-c", 'trap "" XFSZ; exec "$@"', "sh", support.BINARY, "ca", "init"],
                    cwd=self.folder, capture_output=True, timeout=60, check=False, text=True)
                self.assertEqual(done.returncode, 2)
                self.assertIn(f"cannot write {what}: File too large", done.stderr)
                self.assertEqual(list(self.folder.iterdir()), [])

    def test_what_the_configuration_lacks(self):
        cases = (
            ("rules: []\n", "interception: {ca_certificate: FILE, ca_key: FILE}"), ("interception: {ca_key: k}\n", "ca_certificate is needed"),
            ("interception: {ca_certificate: c}\n", "ca_key is needed"), ("interception: here\n", "mapping"),
            ("interception: {ca_certificate: [c], ca_key: k}\n", "one value"), ("interception: {ca_certificate: '', ca_key: k}\n", "empty"),
            ("interception: {ca_certificate: c, ca_key: k, ca: x}\n", "ca"), ("[", "egret.yaml:"),
        )
        for text, says in cases:
            for command in ("init", "show"):
                with self.subTest(text, command=command):
                    code, out, err = self.egret("ca", command, "-c", self.config(text))
                    self.assertEqual((code, out), (2, ""))
                    self.assertIn("egret.yaml:", err)
                    self.assertIn(says, err)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["egret.yaml"])
        self.assertIn('cannot read "absent.yaml"', self.egret("ca", "init", "-c", "absent.yaml")[2])
        path = self.config("interception: {ca_certificate: c, ca_key: k}\n")
        self.refused("init", "-c", path, "--key", "k", says="not both", kept=["egret.yaml"])
        self.refused("show", "-c", path, says='cannot read "c"', kept=["egret.yaml"])


class InitTest(CaCase):
    def test_the_files_and_their_modes(self):
        for umask in (0o000, 0o022, 0o077):
            with self.subTest(oct(umask)):
                before = os.umask(umask)
                try:
                    code, out, err = self.egret("ca", "init")
                finally:
                    os.umask(before)
                self.assertEqual((code, err), (0, ""))
                self.assertIn("egret-ca.pem", out)
                self.assertIn("egret ca show --certificate egret-ca.pem", out)
                files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.folder.iterdir()}
                self.assertEqual(files, {"egret-ca.pem": 0o644, "egret-ca.key": 0o600})
                for name in files:
                    (self.folder / name).unlink()

    def test_where_the_configuration_says(self):
        text = f"interception: {{ca_certificate: {self.certificate}, ca_key: {self.key}}}\ndefaults: {{connect: intercept}}\n"
        path = self.config(text)
        self.assertEqual(self.egret("check", "-c", path)[0], 2)
        self.assertEqual(self.egret("ca", "init", "-c", path)[0], 0)
        self.assertEqual(self.egret("check", "-c", path)[0], 0)
        code, out, _ = self.egret("ca", "show", "-c", path)
        self.assertEqual(code, 0)
        self.assertTrue(out.startswith(f"{self.certificate}\n"), out)

    def test_openssl_agrees(self):
        _, out, _ = self.init("--name", "Ours, all ours", "--days", "30", "--permit-dns", "example.com", "--permit-dns", "müller.example",
                              "--permit-ip", "192.0.2.0/24", "--permit-ip", "2001:db8::/33")
        code, text = openssl("x509", "-in", self.certificate, "-noout", "-text", "-nameopt", "RFC2253", "-fingerprint", "-sha256")
        self.assertEqual(code, 0)
        words = re.sub(r"\s+", " ", text)
        for said in ("Version: 3 (0x2)", "Signature Algorithm: ecdsa-with-SHA256", "Subject: CN=Ours\\, all ours", "Issuer: CN=Ours\\, all ours",
                     "ASN1 OID: prime256v1", "X509v3 Basic Constraints: critical CA:TRUE, pathlen:0",
                     "X509v3 Key Usage: critical Certificate Sign, CRL Sign", "X509v3 Subject Key Identifier:",
                     "X509v3 Name Constraints: critical Permitted: DNS:example.com DNS:xn--mller-kva.example IP:192.0.2.0/255.255.255.0 "
                     "IP:2001:DB8:0:0:0:0:0:0/FFFF:FFFF:8000:0:0:0:0:0"):
            self.assertIn(said, words)
        self.assertNotIn("Excluded", words)
        fingerprint = re.search(r"sha256 Fingerprint=(\S+)", text).group(1)
        self.assertIn(fingerprint, out)
        self.assertIn(fingerprint, self.egret("ca", "show", "--certificate", str(self.certificate))[1])
        self.assertEqual(openssl("x509", "-in", self.certificate, "-noout", "-checkend", 30 * 86400 - 300)[0], 0)
        self.assertEqual(openssl("x509", "-in", self.certificate, "-noout", "-checkend", 30 * 86400 + 300)[0], 1)
        self.assertEqual(openssl("verify", "-x509_strict", "-CAfile", self.certificate, self.certificate)[0], 0)
        self.assertIn("-----BEGIN PRIVATE KEY-----", self.key.read_text(encoding="ascii"))
        public = openssl("pkey", "-in", self.key, "-pubout")[1]
        self.assertEqual(public, openssl("x509", "-in", self.certificate, "-noout", "-pubkey")[1])

    def test_of_one_kind_permitted_the_other_is_not(self):
        cases = (
            (["--permit-dns", "a.example"], {"DNS:x.a.example": True, "DNS:b.example": False, "IP:192.0.2.1": False, "IP:2001:db8::1": False}),
            (["--permit-ip", "192.0.2.0/24"], {"IP:192.0.2.1": True, "IP:192.0.3.1": False, "IP:2001:db8::1": False, "DNS:a.example": False}),
            ([], {"IP:192.0.2.1": True, "IP:2001:db8::1": True, "DNS:a.example": True}),
        )
        for permitted, names in cases:
            with self.subTest(permitted):
                self.init(*permitted)
                for name, good in names.items():
                    self.assertEqual(self.openssl_believes(name), good, name)
                self.certificate.unlink()
                self.key.unlink()

    def openssl_believes(self, name):
        """A certificate for `name` that somebody with the key makes without Egret."""
        request, leaf, extensions = (self.folder / each for each in ("leaf.csr", "leaf.pem", "leaf.txt"))
        extensions.write_text(f"subjectAltName={name}\n", encoding="ascii")
        code, said = openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=x",
                             "-keyout", self.folder / "leaf-key", "-out", request)
        self.assertEqual(code, 0, said)
        code, said = openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-days", "1", "-extfile", extensions,
                             "-out", leaf)
        self.assertEqual(code, 0, said)
        code, said = openssl("verify", "-CAfile", self.certificate, leaf)
        self.assertTrue(code == 0 or "subtree violation" in said, said)
        return code == 0

    def test_two_are_two(self):
        self.init()
        serial, public = (openssl("x509", "-in", self.certificate, "-noout", what)[1] for what in ("-serial", "-pubkey"))
        self.certificate.unlink()
        self.key.unlink()
        self.init()
        self.assertNotEqual(openssl("x509", "-in", self.certificate, "-noout", "-serial")[1], serial)
        self.assertNotEqual(openssl("x509", "-in", self.certificate, "-noout", "-pubkey")[1], public)


class ShowTest(CaCase):
    def test_what_is_no_ca(self):
        self.init()
        (self.folder / "empty").write_text("", encoding="ascii")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-addext",
                "basicConstraints=critical,CA:FALSE", "-keyout", self.folder / "leaf-key", "-out", self.folder / "leaf.pem")
        kept = {path.name for path in self.folder.iterdir()}
        for name, says in (("absent", "egret ca init makes one"), (".", "directory"), ("empty", "no certificate"), ("ca.key", "no certificate"),
                           ("leaf.pem", "no CA")):
            with self.subTest(name):
                self.refused("show", "--certificate", name, says=says, kept=kept)
        self.refused("show", "--certificate", "ca.pem", "--key", "ca.key", says="--key", kept=kept)

    def test_the_key_is_not_needed(self):
        self.init("--permit-dns", "example.com")
        self.key.unlink()
        code, out, err = self.egret("ca", "show", "--certificate", "./ca.pem")
        self.assertEqual((code, err), (0, ""))
        for said in ("CN=Egret interception CA", "SHA-256", "valid from", "valid until", "DNS:example.com"):
            self.assertIn(said, out)
        self.assertTrue(out.startswith(f"{self.certificate}\n"), out)

    def test_each_client_is_told_of_the_absolute_path(self):
        self.init()
        _, out, _ = self.egret("ca", "show", "--certificate", "ca.pem")
        path = self.certificate
        for said in (f"--cacert {path}", f"CURL_CA_BUNDLE={path}", f"REQUESTS_CA_BUNDLE={path}", f"NODE_EXTRA_CA_CERTS={path}",
                     f"SSL_CERT_FILE={path}", f"-file {path}", f"curl.cainfo={path}", f"openssl.cafile={path}",
                     f"cp {path} /usr/local/share/ca-certificates/egret.crt && update-ca-certificates"):
            self.assertIn(said, out)
        for client in ("curl", "Python requests", "Node", "Go", "Java", "Ruby", "PHP", "Debian"):
            self.assertRegex(out, rf"(?m)^  {client}\b.*{re.escape(str(path))}")

    def test_a_path_that_a_shell_would_take_apart(self):
        self.certificate = self.folder / "it's a $HOME;CA.pem"
        _, out, _ = self.init()
        self.assertEqual(shlex.split(out.splitlines()[-1].partition(": ")[2])[-1], str(self.certificate))
        _, out, _ = self.egret("ca", "show", "--certificate", str(self.certificate))
        line = next(line for line in out.splitlines() if line.startswith("  Node "))
        done = subprocess.run(["/bin/sh", "-c", line.split(None, 1)[1].partition("   (")[0] + '; printf %s "$NODE_EXTRA_CA_CERTS"'],
                              capture_output=True, timeout=10, check=True, text=True)
        self.assertEqual(done.stdout, str(self.certificate))


if __name__ == "__main__":
    unittest.main()
