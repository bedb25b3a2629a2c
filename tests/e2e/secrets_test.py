"""Private keys and passwords of TLS and of parent proxies are written nowhere: not into logs, answers, metrics, error
messages or memory dumps, however loud Egret is and whatever is wrong with their files."""

import base64
import os
import pathlib
import resource
import subprocess
import tempfile
import unittest

import pki
import support
import tls_support

HOST = "hook.example"
PASSWORDS = {"parent": "plant-parent-8813", "sender": "plant-sender-1907", "token": "plant-token-2251", "admin": "plant-admin-6644"}


class SecretsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="egret-e2e-")))
        cls.root, intermediate = pki.authority()
        cls.clients = pki.issue(None, "clients", ca=True)
        (cls.folder / "root.pem").write_text(cls.root.pem, encoding="ascii")
        (cls.folder / "clients.pem").write_text(cls.clients.pem, encoding="ascii")
        for name, text in PASSWORDS.items():
            cls.plant(name, text + "\n")
        code, out, err = support.run("ca", "init", "--certificate", str(cls.folder / "ca.crt"), "--key", str(cls.folder / "ca.key"))
        if code != 0:
            raise AssertionError(f"egret ca init ended with {code}: {out}{err}")
        cls.first_words = out + err
        cls.server = pki.issue(intermediate, HOST, [HOST, "127.0.0.1"])
        cls.server.write(cls.folder, "listener")
        cls.client = pki.issue(cls.clients, "egret", usage=(pki.CLIENT,))
        cls.client.write(cls.folder, "client")
        cls.names = cls.enterClassContext(support.NameServer({HOST: "127.0.0.1"}))
        cls.secrets = cls.all_secrets()

    @classmethod
    def plant(cls, name, text):
        (cls.folder / name).write_text(text, encoding="ascii")
        (cls.folder / name).chmod(0o600)

    @classmethod
    def all_secrets(cls):
        """Every line of every key, its bytes, and the passwords as they are and as HTTP sends them."""
        found = [text.encode() for text in PASSWORDS.values()]
        found += [base64.b64encode(f"{name}:{PASSWORDS[name]}".encode()) for name in ("parent", "sender")]
        for name in ("ca.key", "listener.key", "client.key"):
            lines = (cls.folder / name).read_text(encoding="ascii").split("-----")[2].split()
            found += [line.encode() for line in lines if len(line) > 16]
            found.append(base64.b64decode("".join(lines)))
            numbers = subprocess.run([support.tool("openssl"), "pkey", "-in", cls.folder / name, "-noout", "-text"], capture_output=True,
                                     check=True, timeout=30, text=True).stdout
            private = numbers.split("priv:")[1].split("pub:")[0].split() if "priv:" in numbers else []
            if private:
                found += [bytes.fromhex("".join(private).replace(":", "")), "".join(private).replace(":", "").lstrip("0").encode()]
        return found

    def assert_nowhere(self, *said):
        everything = b"\n".join(each if isinstance(each, bytes) else str(each).encode() for each in said)
        for secret in self.secrets:
            self.assertEqual(everything.find(secret), -1, f"a secret of {len(secret)} bytes: {secret[:12]!r}…")

    def config(self, parent="127.0.0.1:1"):
        f = self.folder
        return (
            f"admin: {{address: 127.0.0.1:0, token: {{file: {f}/admin}}}}\nlog: {{level: debug}}\n"
            f"listeners:\n  - {{address: 127.0.0.1:0}}\n"
            f"  - {{address: 127.0.0.2:0, tls: {{certificate: {f}/listener.crt, private_key: {f}/listener.key, client_ca: {f}/clients.pem,"
            " client_certificate: optional}}\n"
            f"interception: {{ca_certificate: {f}/ca.crt, ca_key: {f}/ca.key}}\n"
            f"senders:\n  - {{name: sender, credentials: {{username: sender, password: {{file: {f}/sender}}}}}}\n"
            f"  - {{name: crm, credentials: {{token: {{file: {f}/token}}}}}}\n  - {{name: known, certificates: [egret]}}\n"
            "  - {name: anyone, networks: [127.0.0.1]}\n"
            f"defaults:\n  addresses: {{allow: [127.0.0.1/32]}}\n  ports: [1-65535]\n  timeouts: {{tls: 1s}}\n  connect: intercept\n"
            f"  tls: {{ca: {f}/root.pem, client_certificate: {{certificate: {f}/client.crt, private_key: {f}/client.key}}}}\n"
            f"rules:\n  - name: through-a-parent\n    match: {{paths: [/parent]}}\n"
            f"    via: {{proxy: 'http://{parent}', username: parent, password: {{file: {f}/parent}}}}\n") + self.names.yaml

    def exercise(self, egret, receiver):
        """All the ways that things go right and wrong; what was said to whom."""
        said = []

        def post(url, headers=""):
            answer = support.post(egret, url, headers=headers)
            said.append(repr(answer))
            return answer

        basic = base64.b64encode(f"sender:{PASSWORDS['sender']}".encode()).decode()
        url = receiver.url(host=HOST)
        self.assertEqual(post(url).status, 200)
        self.assertEqual(post(url, f"Proxy-Authorization: Basic {basic}\r\n").status, 200)
        self.assertEqual(post(url, f"Proxy-Authorization: Bearer {PASSWORDS['token']}\r\n").status, 200)
        self.assertEqual(post(url, f"Proxy-Authorization: Basic {basic[:-4]}AAAA\r\n").status, 407)
        self.assertEqual(post(receiver.url("/parent", HOST)).status, 502)  # which says 407, and to whom
        self.assertEqual(post(f"https://{PASSWORDS['sender']}@{HOST}:{receiver.port}/").status, 400)
        with tls_support.TlsReceiver(tls_support.server_context(pki.issue(None, HOST, [HOST]))) as forged:
            self.assertEqual(post(forged.url(host=HOST)).reason, "tls_certificate_error")
        with support.Listener(lambda connection: connection.sendall(b"220 no TLS\r\n") or connection.recv(4096)) as plain:
            self.assertEqual(post(f"https://{HOST}:{plain.port}/").status, 502)

        authority = f"{HOST}:{receiver.port}"
        trusting, context = tls_support.client_context(self.root), tls_support.client_context(self.root)
        trusting.load_verify_locations(cafile=str(self.folder / "ca.crt"))
        with tls_support.through_tunnel(egret, authority, trusting, HOST) as inside:
            said.append(repr(inside.inside("/inside", authority)))
        with self.assertRaises(OSError):
            tls_support.through_tunnel(egret, authority, context, HOST)
        secure = egret.endpoint(egret.listening_at[1])
        for certificate in (None, self.client):
            with tls_support.TlsSender(tls_support.client_context(self.root, certificate), HOST, secure) as sender:
                said.append(repr(sender.request(url)))
        with support.Sender(secure) as sender:
            said.append(sender.send("GET / HTTP/1.1\r\n\r\n").read_to_end())
        bearer = {"Authorization": f"Bearer {PASSWORDS['admin']}"}
        said += [repr(egret.ask_admin(path, **headers)) for path in ("/metrics", "/healthz", "/readyz", "/nothing") for headers in ({}, bearer)]
        return said

    def parent(self):
        """A parent proxy that is of no help, and repeats what it was told."""
        def serve(connection):
            with connection.makefile("rb") as stream:
                request = support.read_request(stream)
            if request is not None:
                told = request["Proxy-Authorization"].encode()
                connection.sendall(b"HTTP/1.1 407 No " + told + b"\r\nX-Told: " + told + b"\r\nContent-Length: 0\r\n\r\n")

        return self.enterContext(support.Listener(serve))

    def reload(self, egret):
        lines = len(egret.events())
        egret.process.send_signal(support.signal.SIGHUP)
        support.wait_until(lambda: any(line.startswith(("configuration reloaded", "reload refused")) for line in egret.events()[lines:]))
        return egret.events()[lines:]

    def receiver(self):
        return self.enterContext(tls_support.TlsReceiver(tls_support.server_context(self.server, client_ca=self.clients.pem)))

    def test_a_running_egret_says_none(self):
        receiver = self.receiver()
        with support.Egret(self.config(self.parent().authority)) as egret:
            said = self.exercise(egret, receiver)
            for name in ("listener.key", "client.key", "ca.key", "parent"):
                whole = (self.folder / name).read_text(encoding="ascii")
                for broken in (whole[:-40] if "key" in name else whole + whole, "", whole.replace("\n", "\n\n", 2), whole[len(whole) // 2:]):
                    self.plant(name, broken)
                    said += self.reload(egret)
                    said.append(repr(support.run("check", "-c", str(egret.config))))
                self.plant(name, whole)
            said += self.reload(egret)
            self.assertIn("configuration reloaded", " ".join(said[-3:]))
            said += self.exercise(egret, receiver)
            self.assertEqual(receiver.handshakes[-1].client, "egret")
            said += [egret.access_path.read_bytes(), egret.events_path.read_bytes()]
            self.assertGreater(len(egret.access()), 15)
            said.append(pathlib.Path(f"/proc/{egret.process.pid}/cmdline").read_bytes())
        self.assert_nowhere(self.first_words, *said)
        for request in receiver.requests:
            self.assert_nowhere(repr(request.fields), request.line, request.body)

    def test_commands_say_none(self):
        path = self.folder / "egret.yaml"
        path.write_text(self.config(), encoding="utf-8")
        said = [repr(support.run(*words)) for words in (
            ("check", "-c", str(path)), ("explain", "-c", str(path), f"https://{HOST}/"), ("explain", "-c", str(path), "--json", f"https://{HOST}/"),
            ("explain", "-c", str(path), "--json", f"http://{HOST}/parent"), ("explain", "-c", str(path), "--json", "--method", "CONNECT", f"{HOST}:443"),
            ("ca", "show", "--certificate", str(self.folder / "ca.crt")), ("ca", "show", "-c", str(path)), ("ca", "show", str(self.folder / "ca.crt")),
            # A second time: what is there stays, and is not shown.
            ("ca", "init", "--certificate", str(self.folder / "ca.crt"), "--key", str(self.folder / "ca.key")),
            ("ca", "init", "--certificate", str(self.folder / "new.crt"), "--key", str(self.folder / "ca.key")))]
        self.assertEqual(support.run("check", "-c", str(path))[0], 0)
        self.assert_nowhere(self.first_words, *said)
        self.assertEqual(self.secrets, self.all_secrets(), "ca init wrote over a key")

    def test_configurations_with_mistakes_say_none(self):
        key = (self.folder / "client.key").read_text(encoding="ascii")
        path, said = self.folder / "wrong.yaml", []
        files = {name: str(self.folder / name) for name in ("client.key", "client.crt", "ca.key", "listener.key")}
        indented = key.replace("\n", "\n      ")
        for text in (f"defaults:\n  tls:\n    ca: |\n      {indented}\n", f"defaults:\n  tls:\n    bogus: |\n      {indented}\n",
                     f"defaults: {{tls: {{client_certificate: {{certificate: {files['client.key']}, private_key: {files['client.crt']}}}}}}}\n",
                     f"defaults: {{tls: {{ca: {files['ca.key']}, crl: {files['client.key']}}}}}\n",
                     f"interception: {{ca_certificate: {files['ca.key']}, ca_key: {files['client.key']}}}\n",
                     f"listeners: [{{address: 127.0.0.1:0, tls: {{certificate: {files['listener.key']}, private_key: {files['listener.key']}}}}}]\n",
                     f"defaults: {{via: {{proxy: 'http://a:{PASSWORDS['parent']}@127.0.0.1:3128'}}}}\n",
                     f"defaults: {{via: {{proxy: 'http://127.0.0.1:3128', username: a, password: {PASSWORDS['parent']}}}}}\n",
                     f"defaults: {{via: {{proxy: 'http://127.0.0.1:3128', username: a, password: {{file: {files['client.key']}}}}}}}\n",
                     f"admin: {{address: 127.0.0.1:0, token: {{file: {files['ca.key']}}}}}\n", key, f"defaults:\n{key}"):
            path.write_text(text, encoding="utf-8")
            for command in ("check", "run"):
                code, out, err = support.run(command, "-c", str(path))
                with self.subTest(text[:60].partition("PRIVATE")[0], command=command):
                    self.assertIn(code, (1, 2), (out, err))
                    self.assert_nowhere(out, err)
                    self.assertGreater(len(err), 10)
        self.assert_nowhere(*said)

    def test_memory_is_not_dumped(self):
        """A key is reason enough, without any password."""
        f = self.folder
        for text in (f"interception: {{ca_certificate: {f}/ca.crt, ca_key: {f}/ca.key}}\ndefaults: {{connect: intercept}}\n",
                     f"listeners: [{{address: 127.0.0.1:0, tls: {{certificate: {f}/listener.crt, private_key: {f}/listener.key}}}}]\n",
                     f"defaults: {{tls: {{client_certificate: {{certificate: {f}/client.crt, private_key: {f}/client.key}}}}}}\n",
                     f"defaults: {{via: {{proxy: 'http://127.0.0.1:3128', username: a, password: {{file: {f}/parent}}}}}}\n"):
            with self.subTest(text[:30]), support.Egret(text) as egret:
                limits = pathlib.Path(f"/proc/{egret.process.pid}/limits").read_text(encoding="ascii").splitlines()
                self.assertEqual(next(line.split()[4:6] for line in limits if line.startswith("Max core file size")), ["0", "0"])
                if os.geteuid() != 0 and resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
                    # What is not dumpable belongs to root in /proc (proc(5)).
                    self.assertEqual(os.stat(f"/proc/{egret.process.pid}/mem").st_uid, 0)


if __name__ == "__main__":
    unittest.main()
