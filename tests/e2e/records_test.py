"""What is written down: the access log and its file, `log.detail`, and what must never be written anywhere."""

import base64
import json
import pathlib
import re
import tempfile
import unittest

import support

FIELDS = ["time", "request_id", "listener", "sender", "rule", "method", "destination", "address", "verdict", "reason", "detail",
          "attempts", "redirects", "webhook_id", "delivery", "status", "success", "truncated", "request_bytes", "response_bytes", "receive_ms",
          "resolve_ms", "connect_ms", "tls_ms", "send_ms", "wait_ms", "backoff_ms", "relay_ms", "total_ms"]


class AccessLogTest(unittest.TestCase):
    def setUp(self):
        self.receiver = self.enterContext(support.Receiver())

    def test_one_line_an_exchange(self):
        with support.Egret(support.OPEN) as egret:
            support.post(egret, self.receiver.url("/one?secret=1"), b"12345")
            support.post(egret, "http://10.0.0.1/two?secret=1")
            with support.Sender(egret.address) as sender:
                sender.send("nonsense\r\n\r\n").answer()
            with support.Sender(egret.address) as sender:
                self.assertEqual(sender.connect(self.receiver.authority).status, 200)
                sender.request("/three".join(["http://ignored", ""]), b"xx")
            support.wait_until(lambda: len(egret.access()) == 4)
            relayed, refused, malformed, tunnel = egret.access()

        for line in (relayed, refused, malformed, tunnel):
            self.assertEqual(list(line), FIELDS)
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertGreaterEqual(line["total_ms"], 0)
        self.assertEqual(len({line["request_id"] for line in (relayed, refused, malformed, tunnel)}), 4)
        self.assertEqual([relayed[key] for key in ("method", "destination", "address", "verdict", "reason", "attempts", "status",
                                                   "request_bytes", "response_bytes")],
                         ["POST", self.receiver.url("/one"), self.receiver.authority, "allowed", "", 1, 200, 5, 6])
        self.assertEqual([refused[key] for key in ("destination", "address", "verdict", "reason", "attempts", "status", "rule")],
                         ["http://10.0.0.1/two", "", "denied", "address_prohibited", 0, 403, "defaults"])
        self.assertEqual((malformed["reason"], malformed["status"]), ("request_malformed", 400))
        self.assertEqual([tunnel[key] for key in ("method", "destination", "verdict", "status", "address")],
                         ["CONNECT", self.receiver.authority, "allowed", 200, self.receiver.authority])
        self.assertGreater(tunnel["request_bytes"], 0)
        self.assertGreater(tunnel["response_bytes"], 0)

    def test_a_file_is_opened_anew_on_sighup(self):
        with support.Egret(support.OPEN + "log: {access: '@FOLDER@/access.log'}\n") as egret:
            log, moved = egret.path / "access.log", egret.path / "access.log.1"
            support.post(egret, self.receiver.url("/before"))
            support.wait_until(lambda: len(egret.access(log)) == 1)
            log.rename(moved)
            support.post(egret, self.receiver.url("/between"))
            support.wait_until(lambda: len(egret.access(moved)) == 2)
            egret.reload()
            support.post(egret, self.receiver.url("/after"))
            support.wait_until(log.exists)
            support.wait_until(lambda: len(egret.access(log)) == 1)
            self.assertEqual([line["destination"][-6:] for line in egret.access(log)], ["/after"])
            self.assertEqual(len(egret.access(moved)), 2)
            self.assertEqual(egret.access(), [])

    def test_none_and_text(self):
        with support.Egret(support.OPEN + "log: {access: none}\n") as egret:
            support.post(egret, self.receiver.url())
            egret.write(support.OPEN + "log: {format: text}\n")
            egret.reload()
            support.post(egret, self.receiver.url("/words"))
            text = support.wait_until(lambda: egret.access_path.read_text(encoding="utf-8"))
            self.assertEqual(text.count("\n"), 1)
            self.assertIn(f"destination={self.receiver.url('/words')} ", text)

    def test_nothing_is_injected(self):
        with support.Egret(support.OPEN) as egret:
            for target in ('http://127.0.0.1/"},{"verdict":"allowed', "http://127.0.0.1/%0d%0a{}", 'http://a"b/', "http://\\u0000/"):
                with support.Sender(egret.address) as sender:
                    sender.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").answer("GET")
            support.wait_until(lambda: len(egret.access()) == 4)
            for line in egret.access():
                self.assertEqual(list(line), FIELDS)

    def test_a_log_that_nobody_reads_does_not_stop_traffic(self):
        # /dev/full refuses every write.
        with support.Egret(support.OPEN + "log: {access: /dev/full}\n") as egret:
            for _ in range(20):
                self.assertEqual(support.post(egret, self.receiver.url()).status, 200)

    def test_detail_minimal_keeps_addresses_out_of_answers_only(self):
        zone = {"inside.example": "10.9.8.7", "mixed.example": "198.41.0.4 10.9.8.7", "dead.example": "127.0.0.1"}
        names = self.enterContext(support.NameServer(zone))
        with support.Egret(support.OPEN + names.yaml + "log: {detail: minimal}\n") as egret:
            for url, reason, address in (("http://inside.example/", "address_prohibited", "10.9.8.7"),
                                         ("http://mixed.example/", "addresses_mixed", "10.9.8.7"),
                                         ("http://dead.example:1/", "connection_refused", "127.0.0.1")):
                with self.subTest(url), support.Sender(egret.address) as sender:
                    answer = sender.request(url)
                    self.assertEqual(answer.reason, reason)
                    told = repr(answer)
                    self.assertNotIn(address, told)
                    self.assertNotRegex(told, r"\b10\.|RFC")
                    self.assertIn(address, egret.wait_for_line(reason=reason)["detail"])


class SecretsTest(unittest.TestCase):
    SECRETS = {"password": "plant-password-7291", "token": "plant-token-6380", "admin": "plant-admin-5574", "env": "plant-env-4412"}

    def test_they_are_written_nowhere(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-")))
        for name, secret in self.SECRETS.items():
            (folder / name).write_text(secret + "\n", encoding="ascii")
            (folder / name).chmod(0o600)
        text = (support.OPEN + f"admin: {{address: 127.0.0.1:0, token: {{file: {folder}/admin}}}}\nlog: {{level: debug}}\n"
                "senders:\n"
                f"  - {{name: billing, credentials: {{username: billing, password: {{file: {folder}/password}}}}}}\n"
                f"  - {{name: crm, credentials: {{token: {{file: {folder}/token}}}}}}\n"
                "  - {name: web, credentials: {username: web, password: {env: WEB_PASSWORD}}}\n")
        env = {"WEB_PASSWORD": self.SECRETS["env"]}
        bearer = {"Authorization": f"Bearer {self.SECRETS['admin']}"}
        receiver = self.enterContext(support.Receiver())
        said = []
        basic = {name: base64.b64encode(f"{name}:{secret}".encode()).decode()
                 for name, secret in (("billing", self.SECRETS["password"]), ("web", self.SECRETS["env"]))}
        with support.Egret(text, env=env) as egret:
            for field, status in ((f"Basic {basic['billing']}", 200), (f"Bearer {self.SECRETS['token']}", 200),
                                  (f"Basic {basic['web']}", 200), (f"Bearer {self.SECRETS['token']}x", 407),
                                  (f"Basic {basic['billing'][:-4]}", 407), (f"Digest {self.SECRETS['password']}", 407)):
                answer = support.post(egret, receiver.url("/hook"), headers=f"Proxy-Authorization: {field}\r\n")
                self.assertEqual(answer.status, status, (field, answer))
                said.append(repr(answer))
            answer = support.post(egret, f"http://user:{self.SECRETS['password']}@{receiver.authority}/",
                                  headers=f"Proxy-Authorization: Basic {basic['billing']}\r\n")
            self.assertEqual(answer.status, 400)
            said.append(repr(answer))
            answer = support.post(egret, receiver.url("/hook"))
            self.assertEqual((answer.status, answer.reason), (407, "credentials_missing"))
            self.assertIn("Basic realm=", answer["Proxy-Authenticate"])
            egret.process.send_signal(support.signal.SIGHUP)
            support.wait_until(lambda: any("configuration reloaded" in line for line in egret.events()))

            self.assertEqual(egret.ask_admin("/metrics")[0], 401)
            self.assertEqual(egret.ask_admin("/metrics", Authorization="Bearer wrong")[0], 401)
            said += [repr(egret.ask_admin(path, **headers)) for path in ("/metrics", "/healthz", "/readyz", "/nothing")
                     for headers in (bearer, {"Authorization": "Bearer wrong"})]
            self.assertEqual(egret.ask_admin("/metrics", **bearer)[0], 200)
            support.wait_until(lambda: len(egret.access()) == 8)
            said += [egret.access_path.read_text(encoding="utf-8"), egret.stderr()]
            self.assertEqual({line["sender"] for line in egret.access()}, {"billing", "crm", "web", ""})

        path = folder / "egret.yaml"
        path.write_text(text + "surplus: 1\n", encoding="utf-8")
        said += map(repr, (support.run("check", "-c", str(path), env=env), support.run("run", "-c", str(path), env=env)))
        path.write_text(text, encoding="utf-8")
        said += map(repr, (support.run("check", "-c", str(path), env=env),
                           support.run("explain", "-c", str(path), "--json", "--sender", "billing", receiver.url(), env=env),
                           support.run("explain", "-c", str(path), f"http://u:{self.SECRETS['password']}@198.41.0.4/", env=env)[2:]))
        # A secret that somebody wrote into the text is an error that does not repeat it.
        path.write_text(f"senders: [{{name: a, credentials: {{username: a, password: {self.SECRETS['password']}}}}}]\n"
                        f"admin: {{token: {self.SECRETS['admin']}}}\n", encoding="utf-8")
        code, out, err = support.run("check", "-c", str(path))
        self.assertEqual(code, 2)
        said += [out, err]

        everything = "\n".join(said)
        for secret in [*self.SECRETS.values(), *basic.values()]:
            self.assertIsNone(re.search(re.escape(secret), everything), secret)
        for request in receiver.requests:
            self.assertNotIn("plant-", json.dumps(request.fields))


if __name__ == "__main__":
    unittest.main()
