"""connect: intercept. Senders as Debian packages them trust Egret's CA as `egret ca show` says, and send https through
CONNECT as ever; Egret sees each request inside, and is careful with what it does not like."""

import pathlib
import socket
import ssl
import subprocess
import tempfile
import unittest

import pki
import support
import tls_support
from senders_test import BODY, FIELDS, HERE, compiled_go, curl, script

HOST = "hooks.customer.example"
ZONE = {HOST: "127.0.0.1", "expired.customer.example": "127.0.0.1", "intranet.customer.example": "10.0.0.7"}


class InterceptionCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="egret-e2e-")))
        cls.ca, key = cls.folder / "ca.crt", cls.folder / "ca.key"
        code, out, err = support.run("ca", "init", "--certificate", str(cls.ca), "--key", str(key))
        if code != 0:
            raise AssertionError(f"egret ca init ended with {code}: {out}{err}")
        root, intermediate = pki.authority()
        (cls.folder / "root.pem").write_text(root.pem, encoding="ascii")
        cls.names = cls.enterClassContext(support.NameServer(ZONE))
        good = pki.issue(intermediate, HOST, [HOST, "127.0.0.1"])
        cls.receiver = cls.enterClassContext(tls_support.TlsReceiver(tls_support.server_context(good)))
        old = pki.issue(intermediate, "old", ["expired.customer.example"], since=-30 * pki.DAY, until=-pki.DAY)
        cls.expired = cls.enterClassContext(tls_support.TlsReceiver(tls_support.server_context(old)))
        (cls.folder / "password").write_text("open-sesame\n", encoding="ascii")
        (cls.folder / "password").chmod(0o600)
        cls.text = (f"interception: {{ca_certificate: {cls.ca}, ca_key: {key}}}\n"
                    "defaults:\n  addresses: {allow: [127.0.0.1/32]}\n  ports: [1-65535]\n  connect: intercept\n"
                    f"  tls: {{ca: {cls.folder}/root.pem}}\n"
                    "rules: [{name: admin-only, match: {paths: [/admin/*]}, action: deny}]\n" + cls.names.yaml)
        cls.egret = cls.enterClassContext(support.Egret(cls.text))
        cls.guarded = cls.enterClassContext(support.Egret(
            cls.text + f"senders: [{{name: billing, credentials: {{username: billing, password: {{file: {cls.folder}/password}}}}}}]\n"))
        for egret in (cls.egret, cls.guarded):
            cls.addClassCleanup(egret.wait_for_rest)  # before it is stopped: whatever happened, nothing is left

    @property
    def authority(self):
        return f"{HOST}:{self.receiver.port}"


class SendersTest(InterceptionCase):
    """Each is told of the proxy and of the CA, and of nothing else."""

    def send(self, command, egret, trust, credentials=""):
        proxy = egret.url.replace("http://", "http://" + credentials)
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "NODE_PATH": "/usr/share/nodejs", **trust}
        env.update(dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), proxy))
        done = subprocess.run(command, input=BODY, capture_output=True, timeout=60, check=False, env=env)
        return (done.stdout + done.stderr).decode(errors="replace")

    def check(self, make, variable=None, credentials=True, quiet=False):
        """`variable`: the environment variable that names the CA; None when `make(url, ca)` puts it on the command line.
        `quiet`: one that does not trust closes without an alert, so that Egret cannot be sure why."""
        trust = {variable: str(self.ca)} if variable else {}
        self.delivers(make, trust, self.egret)
        if credentials:
            self.delivers(make, trust, self.guarded, "billing:open-sesame@")
        self.does_not_trust(make, variable, {"interception_refused", "sender_tls_failed"} if quiet else {"interception_refused"})

    def command(self, make, variable, url, ca):
        return make(url) if variable else make(url, str(ca))

    def delivers(self, make, trust, egret, credentials=""):
        path = f"/hook/{self.id()}?token=a%2Fb&x=1"
        before = len(self.receiver.requests)
        said = self.send(self.command(make, trust, f"https://{self.authority}{path}", self.ca), egret, trust, credentials)
        self.assertIn("200", said)
        self.assertIn("thanks", said)
        self.assertEqual(len(self.receiver.requests), before + 1, said)
        got = self.receiver.requests[-1]
        self.assertEqual((got.line, got.body), (f"POST {path} HTTP/1.1", BODY))
        self.assertEqual((got["X-Webhook-Id"], got["Host"]), ("evt_42", self.authority))
        self.assertEqual((bool(got["Via"]), got["Proxy-Authorization"]), (True, ""))
        line = egret.wait_for_line(method="POST", destination=f"https://{self.authority}{path.partition('?')[0]}")
        self.assertEqual((line["status"], line["verdict"], line["sender"]), (200, "allowed", "billing" if credentials else ""))

        refused = f"https://{self.authority}/admin/{self.id()}"
        said = self.send(self.command(make, trust, refused, self.ca), egret, trust, credentials)
        self.assertIn("403", said)
        self.assertEqual(egret.wait_for_line(method="POST", destination=refused)["reason"], "rule_denied")

    def does_not_trust(self, make, variable, reasons):
        """Another CA in its place: the sender ends it, and Egret says why nothing was delivered."""
        stranger = self.folder / "stranger.pem"
        stranger.write_text(pki.issue(None, "a stranger", ca=True).pem, encoding="ascii")
        requests = len(self.receiver.requests)

        def told():
            return sum(line["reason"] in reasons for line in self.egret.access())

        before = told()
        trust = {variable: str(stranger)} if variable else {}
        said = self.send(self.command(make, variable, f"https://{self.authority}/untrusted", stranger), self.egret, trust)
        self.assertNotIn("thanks", said)
        support.wait_until(lambda: told() > before, what=f"{reasons} in the log, while the sender says {said}")
        self.assertEqual(len(self.receiver.requests), requests)

    def test_curl(self):
        self.check(curl(), "CURL_CA_BUNDLE")

    def test_curl_with_an_option(self):
        self.check(lambda url, ca: curl("--cacert", ca)(url))

    def test_wget(self):
        self.check(lambda url, ca: [
            support.tool("wget"), "--output-document=-", "--content-on-error", "--tries=1", "--post-data=" + BODY.decode(),
            f"--ca-certificate={ca}", *[f"--header={field}" for field in FIELDS], url])

    def test_python_requests(self):
        self.check(lambda url: ["/usr/bin/python3", str(HERE / "sender.py"), url], "REQUESTS_CA_BUNDLE")

    def test_node_undici(self):
        self.check(script("node", "undici.js"), "NODE_EXTRA_CA_CERTS", credentials=False, quiet=True)

    def test_go_net_http(self):
        program = compiled_go(self.folder)
        self.check(lambda url: [str(program), url], "SSL_CERT_FILE")

    def test_java_net_http(self):
        def java(url, ca):
            store = self.folder / f"{pathlib.Path(ca).name}.p12"
            if not store.exists():
                subprocess.run([support.tool("keytool"), "-importcert", "-noprompt", "-alias", "egret", "-file", ca, "-keystore", store,
                                "-storepass", "changeit"], check=True, capture_output=True, timeout=60)
            return [support.tool("java"), f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit",
                    str(HERE / "Sender.java"), url]

        self.check(java, credentials=False, quiet=True)

    def test_ruby_net_http(self):
        self.check(script("ruby", "sender.rb"), "SSL_CERT_FILE")

    def test_php_curl(self):
        self.check(lambda url, ca: [support.tool("php"), "-d", f"curl.cainfo={ca}", str(HERE / "curl.php"), url])

    def test_perl_lwp(self):
        self.check(script("perl", "sender.pl"), "PERL_LWP_SSL_CA_FILE")


class InsideTest(InterceptionCase):
    def context(self, **how):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=str(self.ca))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        if "alpn" in how:
            context.set_alpn_protocols(how["alpn"])
        return context

    def tunnel(self, authority=None, server_name=HOST, egret=None, **how):
        return self.enterContext(tls_support.through_tunnel(egret or self.egret, authority or self.authority, self.context(**how),
                                                            server_name))

    def setUp(self):
        self.lines = len(self.egret.access())
        self.got = len(self.receiver.requests)

    def assert_the_tunnel_ended(self, *reasons):
        """With one of them. Lines of the test before may come later than its end."""
        support.wait_until(lambda: [line for line in self.egret.access()[self.lines:] if line["reason"] in reasons],
                           what=f"a line with one of {reasons}")

    def test_an_answer_says_who_was_in_between(self):
        answer = self.tunnel().inside("/hook", self.authority)
        self.assertEqual((answer.status, answer.body), (200, b"thanks"))
        self.assertRegex(answer["Proxy-Status"], "^egret; received-status=200")

    def test_requests_follow_each_other(self):
        inside = self.tunnel()
        for number in range(3):
            self.assertEqual(inside.inside(f"/kept/{number}", self.authority).status, 200)
        self.assertEqual([request.line for request in self.receiver.requests[self.got:]],
                         [f"POST /kept/{number} HTTP/1.1" for number in range(3)])
        ids = {self.egret.wait_for_line(destination=f"https://{self.authority}/kept/{number}")["request_id"] for number in range(3)}
        self.assertEqual(len(ids), 3)

    def test_rules_see_the_paths_inside(self):
        inside = self.tunnel()
        for path, status in (("/hook", 200), ("/admin/users", 403), ("/hook/../admin/users", 403), ("/hook", 200)):
            answer = inside.inside(path, self.authority)
            self.assertEqual(answer.status, status, answer)
            if status == 403:
                self.assertEqual((answer.reason, answer.problem["rule"]), ("rule_denied", "admin-only"))
        self.assertEqual(len(self.receiver.requests), self.got + 2)

    def test_another_authority_is_misdirected(self):
        for name, path, host in (("another host", "/hook", f"evil.example:{self.receiver.port}"), ("another port", "/hook", f"{HOST}:444"),
                                 ("an address", "/hook", f"127.0.0.1:{self.receiver.port}"),
                                 ("an absolute target", f"https://evil.example:{self.receiver.port}/hook", f"evil.example:{self.receiver.port}"),
                                 ("the other scheme", f"http://{self.authority}/hook", self.authority)):
            with self.subTest(name):
                answer = self.tunnel().inside(path, host)
                self.assertIn((answer.status, answer.reason), ((421, "authority_mismatch"),), answer)
        self.assertEqual(len(self.receiver.requests), self.got)

    def test_the_same_authority_may_be_spelt_otherwise(self):
        for path, host in (("/hook", self.authority.upper()), (f"https://{self.authority}/hook", self.authority)):
            self.assertEqual(self.tunnel().inside(path, host).status, 200)

    def test_egret_headers_lead_nowhere_else(self):
        answer = self.tunnel().inside("/hook", self.authority, headers=f"Egret-Target: https://evil.example:{self.receiver.port}/\r\n")
        self.assertIn(answer.status, (400, 421), answer)
        self.assertEqual(len(self.receiver.requests), self.got)

    def test_no_tunnel_within(self):
        inside = self.tunnel()
        inside.send(f"CONNECT {self.authority} HTTP/1.1\r\nHost: {self.authority}\r\n\r\n")
        answer = inside.answer("CONNECT")
        self.assertGreaterEqual(answer.status, 400)
        self.assertLess(answer.status, 502)

    def test_websockets_are_not_carried(self):
        answer = self.tunnel().inside("/socket", self.authority, b"", "GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
        self.assertEqual((answer.status, answer.reason), (501, "upgrade_not_supported"), answer)
        self.assertEqual(len(self.receiver.requests), self.got)

    def test_only_http_1_1_is_spoken(self):
        self.assertEqual(self.tunnel(alpn=["h2", "http/1.1"]).sock.selected_alpn_protocol(), "http/1.1")
        self.assertIsNone(self.tunnel().sock.selected_alpn_protocol())
        try:
            self.assertIsNone(self.tunnel(alpn=["h2"]).sock.selected_alpn_protocol())
        except ssl.SSLError as error:
            self.assertIn("no application protocol", str(error).lower().replace("_", " "))

    def test_the_certificate_is_for_the_host_alone_and_made_once(self):
        first, second = (self.tunnel().sock for _ in range(2))
        said = first.getpeercert()
        self.assertEqual(said["subjectAltName"], (("DNS", HOST),))
        self.assertEqual(first.getpeercert(binary_form=True), second.getpeercert(binary_form=True))
        address = self.tunnel(f"127.0.0.1:{self.receiver.port}", "127.0.0.1").sock.getpeercert()
        self.assertEqual(address["subjectAltName"], (("IP Address", "127.0.0.1"),))

    def test_an_address_needs_no_server_name(self):
        answer = self.tunnel(f"127.0.0.1:{self.receiver.port}", "127.0.0.1").inside("/hook", f"127.0.0.1:{self.receiver.port}")
        self.assertEqual(answer.status, 200, answer)

    def test_another_server_name_is_refused(self):
        for authority in (self.authority, f"127.0.0.1:{self.receiver.port}"):
            with self.subTest(authority), self.assertRaises(OSError):
                self.tunnel(authority, "other.example")
            self.assert_the_tunnel_ended("tunnel_sni_mismatch", "sender_tls_failed")
        self.assertEqual(len(self.receiver.requests), self.got)

    def test_a_sender_that_does_not_trust_it(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            tls_support.through_tunnel(self.egret, self.authority, tls_support.client_context(pki.issue(None, "a stranger", ca=True)), HOST)
        self.assert_the_tunnel_ended("interception_refused")
        self.assertEqual(len(self.receiver.requests), self.got)

    def test_what_is_not_tls(self):
        with support.Sender(self.egret.address) as sender:
            self.assertEqual(sender.connect(self.authority).status, 200)
            sender.send(f"POST /hook HTTP/1.1\r\nHost: {self.authority}\r\nContent-Length: 0\r\n\r\n")
            self.assertNotIn(b"thanks", sender.read_to_end())
        self.assert_the_tunnel_ended("sender_tls_failed", "tunnel_not_tls")
        self.assertEqual(len(self.receiver.requests), self.got)

    def test_connect_itself_is_judged(self):
        for host, status, reason in (("intranet.customer.example", 403, "address_prohibited"), ("10.0.0.1", 403, "address_prohibited"),
                                     ("no-such-name.example", 502, "name_not_found")):
            with self.subTest(host), support.Sender(self.egret.address) as sender:
                answer = sender.connect(f"{host}:443")
                self.assertEqual((answer.status, answer.reason), (status, reason))

    def test_credentials_stand_at_the_connect(self):
        with support.Sender(self.guarded.address) as sender:
            self.assertEqual(sender.connect(self.authority).status, 407)
        sock = socket.create_connection(self.guarded.address, support.PATIENCE)
        plain = "YmlsbGluZzpvcGVuLXNlc2FtZQ=="  # billing:open-sesame
        sock.sendall(f"CONNECT {self.authority} HTTP/1.1\r\nHost: {self.authority}\r\nProxy-Authorization: Basic {plain}\r\n\r\n".encode())
        self.assertIn(b" 200 ", sock.recv(4096))
        inside = self.enterContext(tls_support.TlsSender(self.context(), HOST, over=sock))
        self.assertEqual(inside.inside("/with-credentials", self.authority).status, 200)
        line = self.guarded.wait_for_line(destination=f"https://{self.authority}/with-credentials")
        self.assertEqual(line["sender"], "billing")

    def test_a_destination_that_is_not_to_be_trusted_is_a_502_inside(self):
        authority = f"expired.customer.example:{self.expired.port}"
        answer = self.tunnel(authority, "expired.customer.example").inside("/hook", authority)
        self.assertEqual((answer.status, answer.reason), (502, "tls_certificate_error"), answer)
        self.assertIn("it has expired", answer.problem["detail"])
        self.assertEqual(self.expired.requests, [])


if __name__ == "__main__":
    unittest.main()
