"""Senders as Debian packages them deliver through Egret unchanged: no line of them knows of it."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import support

HERE = pathlib.Path(__file__).resolve().parent / "senders"
BODY = json.dumps({"type": "invoice.paid", "amount": 42, "note": "naïve £ü€ \u2603"}, ensure_ascii=False).encode()

# Their destinations are names, as a customer's are; some clients also bypass a proxy for loopback literals.
ZONE = {"hooks.customer.example": "127.0.0.1", "intranet.customer.example": "10.0.0.7"}

FIELDS = ["Content-Type: application/json", "X-Webhook-Id: evt_42"]


def curl(*options):
    fields = [part for field in FIELDS for part in ("--header", field)]
    return lambda url: [support.tool("curl"), "--silent", "--show-error", "--data-binary", "@-", *fields,
                        "--write-out", "\n%{http_code}", *options, url]


def wget(url):
    return [support.tool("wget"), "--output-document=-", "--content-on-error", "--tries=1", "--post-data=" + BODY.decode(),
            *[f"--header={field}" for field in FIELDS], url]


def script(interpreter, name, *arguments):
    return lambda url: [support.tool(interpreter), str(HERE / name), url, *arguments]


def compiled_go(folder):
    program = pathlib.Path(folder, "sender")
    if not program.exists():
        subprocess.run([support.tool("go"), "build", "-o", program, HERE / "sender.go"], check=True, timeout=240,
                       env={"PATH": os.environ["PATH"], "HOME": str(folder), "GO111MODULE": "off", "GOPROXY": "off",
                            "GOFLAGS": "-p=1", "CGO_ENABLED": "0"})
    return program


class SendersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))
        cls.names = cls.enterClassContext(support.NameServer(ZONE))
        cls.receiver = cls.enterClassContext(support.Receiver())
        password = pathlib.Path(cls.folder, "password")
        password.write_text("open-sesame\n", encoding="ascii")
        password.chmod(0o600)
        cls.egret = cls.enterClassContext(support.Egret(support.OPEN + cls.names.yaml))
        cls.key = pathlib.Path(cls.folder, "hooks.whsec")
        assert support.run("keygen", "standard-webhooks", "-o", str(cls.key))[0] == 0
        # Signs, and tries again.
        cls.helper = cls.enterClassContext(support.Egret(
            f"keys: {{hooks: {{scheme: standard-webhooks, secrets: [{{file: {cls.key}}}]}}}}\n" +
            support.OPEN.replace("ports:", "sign: [hooks], retry: {attempts: 3, backoff: {initial: 10ms}}, ports:") + cls.names.yaml))
        cls.guarded = cls.enterClassContext(support.Egret(
            support.OPEN + cls.names.yaml +
            f"senders: [{{name: billing, credentials: {{username: billing, password: {{file: {password}}}}}}}]\n"))

    def send(self, command, url, egret, credentials=""):
        """What the sender prints. The environment is all that it is told."""
        proxy = egret.url.replace("http://", "http://" + credentials)
        env = {"PATH": "/usr/bin:/bin", "HOME": self.folder, "LC_ALL": "C.UTF-8", "NODE_PATH": "/usr/share/nodejs",
               "HTTP_PROXY": proxy, "http_proxy": proxy}
        done = subprocess.run(command, input=BODY, capture_output=True, timeout=60, check=False, env=env)
        return (done.stdout + done.stderr).decode()

    def check(self, make, tunnels=False, tells="403", reads_refusals=True, credentials=True):
        """`tells`: what the client says of a refusal, at the least. The log always has the reason."""
        port = self.receiver.port
        self.delivers(make, self.egret, tunnels)
        if credentials:
            self.delivers(make, self.guarded, tunnels, "billing:open-sesame@")
        if not tunnels:
            self.is_signed_and_tried_again(make)

        private = f"http://intranet.customer.example:{port}/private/{self.id()}"
        said = self.send(make(private), private, self.egret)
        self.assertIn(tells, said)
        if reads_refusals:
            for part in ("address_prohibited", "10.0.0.7", "Private-Use", "addresses.allow"):
                self.assertIn(part, said)
        destination = f"intranet.customer.example:{port}" if tunnels else private
        line = self.egret.wait_for_line(destination=destination, status=403)
        self.assertEqual((line["verdict"], line["reason"]), ("denied", "address_prohibited"))
        self.assertIn("10.0.0.7", line["detail"])

    def is_signed_and_tried_again(self, make):
        with support.OwnReceiver("--key", str(self.key), "--fail", "2") as receiver:
            url = f"http://hooks.customer.example:{receiver.authority.rpartition(':')[2]}/hook"
            said = self.send(make(url), url, self.helper)
            self.assertIn("200", said)
            support.wait_until(lambda: receiver.said().count("answered") == 3)
            self.assertEqual(receiver.said().count("signature  VERIFIED"), 3, receiver.said())
            self.assertEqual(len({line for line in receiver.said().splitlines() if "webhook-id" in line}), 1)

    def delivers(self, make, egret, tunnels, credentials=""):
        url = f"http://hooks.customer.example:{self.receiver.port}/hook/{self.id()}?token=a%2Fb&x=1"
        before = len(self.receiver.requests)
        said = self.send(make(url), url, egret, credentials)
        self.assertIn("200", said)
        self.assertIn("thanks", said)
        self.assertEqual(len(self.receiver.requests), before + 1, said)

        got = self.receiver.requests[-1]
        self.assertEqual(got.line, f"POST /hook/{self.id()}?token=a%2Fb&x=1 HTTP/1.1")
        self.assertEqual(got.body, BODY)
        self.assertEqual(got["Content-Type"].split(";")[0], "application/json")
        self.assertEqual(got["X-Webhook-Id"], "evt_42")
        self.assertEqual(got["Host"], f"hooks.customer.example:{self.receiver.port}")
        for name, value in got.fields:
            self.assertFalse(name.lower().startswith("proxy-"), f"{name}: {value}")
        self.assertEqual(bool(got["Via"]), not tunnels)

    def test_curl(self):
        self.check(curl())

    def test_curl_with_a_tunnel(self):
        self.check(curl("--proxytunnel"), tunnels=True, reads_refusals=False)

    def test_curl_with_an_expectation(self):
        self.check(curl("--header", "Expect: 100-continue"))

    def test_curl_that_streams_in_chunks(self):
        self.check(curl("--header", "Transfer-Encoding: chunked"))

    def test_curl_with_http_1_0(self):
        self.check(curl("--http1.0"))

    def test_wget(self):
        self.check(wget)

    def test_python_requests(self):
        self.check(lambda url: ["/usr/bin/python3", str(HERE / "sender.py"), url])

    def test_node_http(self):
        self.check(script("node", "http.js"), credentials=False)

    def test_node_undici(self):
        self.check(script("node", "undici.js"), tunnels=True, tells="Proxy response", reads_refusals=False,
                   credentials=False)

    def test_go_net_http(self):
        program = compiled_go(self.folder)
        self.check(lambda url: [str(program), url])

    def test_ruby_net_http(self):
        self.check(script("ruby", "sender.rb"))

    def test_php_streams(self):
        self.check(script("php", "streams.php"), credentials=False)

    def test_php_curl(self):
        self.check(script("php", "curl.php"))

    def test_php_curl_with_a_tunnel(self):
        self.check(script("php", "curl.php", "tunnel"), tunnels=True, reads_refusals=False)

    def test_perl_lwp(self):
        self.check(script("perl", "sender.pl"))


if __name__ == "__main__":
    unittest.main()
