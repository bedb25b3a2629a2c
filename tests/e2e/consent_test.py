"""Destinations that must have agreed: a real Egret, and receivers that do, or do not, in both schemes."""

import unittest
import urllib.parse

import support

RULES = """queue: {store: "sqlite:@FOLDER@/queue.db"}
defaults:
  addresses: {allow: [127.0.0.1/32]}
  ports: [1-65535]
  delivery: {mode: on-request, schedule: [100ms]}
  consent: {above: 2/min, @CONSENT@}
"""
WEBHOOK = RULES.replace("@CONSENT@", "scheme: cloudevents, origin: events.example.com")
CALLBACK = RULES.replace("@CONSENT@", 'scheme: cloudevents, origin: events.example.com, callback: "http://egret.example/c/"')
CHALLENGE = RULES.replace("@CONSENT@", "scheme: challenge")


class ConsentTest(unittest.TestCase):
    def setUp(self):
        self.agree = lambda request: support.ok(b"", status="405 No")
        self.receiver = self.enterContext(support.Receiver(self.respond))

    def respond(self, request):
        return support.ok() if request.line.startswith("POST ") else self.agree(request)

    def asked(self):
        return [request for request in self.receiver.requests if not request.line.startswith("POST ")]

    def send(self, egret, times):
        return [support.post(egret, self.receiver.url("/hook?a=b")).status for _ in range(times)]

    def outcomes(self, egret):
        return {outcome: egret.total("egret_consent_handshakes_total", outcome=outcome) for outcome in ("granted", "refused", "failed")}

    def test_cloudevents(self):
        self.agree = lambda request: support.ok(b"", fields="WebHook-Allowed-Origin: events.example.com\r\nWebHook-Allowed-Rate: 600000\r\n")
        with support.Egret(WEBHOOK) as egret:
            self.assertEqual(self.send(egret, 2), [200, 200])
            self.assertEqual(self.asked(), [])
            self.assertEqual(self.send(egret, 10), [200] * 10)
            handshake, = self.asked()
            self.assertEqual(handshake.line, "OPTIONS /hook?a=b HTTP/1.1")
            self.assertEqual(handshake["WebHook-Request-Origin"], "events.example.com")
            self.assertEqual({request["WebHook-Request-Origin"] for request in self.receiver.requests}, {"events.example.com"})
            self.assertEqual(self.outcomes(egret), {"granted": 1, "refused": 0, "failed": 0})

    def test_what_was_agreed_outlives_egret(self):
        self.agree = lambda request: support.ok(b"", fields="WebHook-Allowed-Origin: *\r\n")
        folder = self.enterContext(support.temporary_folder())
        text = WEBHOOK.replace("@FOLDER@", folder)
        for _ in range(2):
            with support.Egret(text) as egret:
                self.assertEqual(self.send(egret, 5), [200] * 5)
        self.assertEqual(len(self.asked()), 1)

    def test_who_does_not_agree_gets_no_more(self):
        with support.Egret(WEBHOOK) as egret:
            self.assertEqual(self.send(egret, 10), [200, 200] + [429] * 8)
            answer = support.post(egret, self.receiver.url())
            self.assertEqual(answer.reason, "consent_missing")
            self.assertIn("answered 405", answer.problem["detail"])
            self.assertGreater(int(answer["Retry-After"]), 0)
            self.assertEqual(len(self.asked()), 1)
            self.assertEqual(self.outcomes(egret), {"granted": 0, "refused": 1, "failed": 0})
            kept = support.post(egret, self.receiver.url(), headers="Prefer: respond-async\r\n")
            self.assertEqual(kept.status, 202)

    def test_challenge(self):
        def echo(request):
            query = urllib.parse.parse_qs(request.line.split()[1].partition("?")[2])
            self.assertEqual((query["hub.mode"], query["a"]), (["subscribe"], ["b"]))
            return support.ok(query["hub.challenge"][0].encode())

        self.agree = echo
        with support.Egret(CHALLENGE) as egret:
            self.assertEqual(self.send(egret, 10), [200] * 10)
            self.assertEqual([request.line.split()[0] for request in self.asked()], ["GET"])

    def test_a_callback(self):
        self.agree = lambda request: support.ok(b"")
        with support.Egret(CALLBACK) as egret:
            self.assertEqual(self.send(egret, 4), [200, 200, 429, 429])
            handshake, = self.asked()
            prefix, _, token = handshake["WebHook-Request-Callback"].rpartition("/")
            self.assertEqual(prefix, "http://egret.example/c")
            path = "/v1/consent/" + token
            self.assertEqual(egret.ask_admin("/v1/consent/" + token[:-1] + "~")[0], 404)
            self.assertEqual(egret.ask_admin(path, "HEAD")[0], 400)
            self.assertEqual(egret.ask_admin(path + "?WebHook-Allowed-Rate=-1")[0], 400)
            self.assertEqual(self.send(egret, 1), [429])
            # As it comes through a reverse proxy, and from a page of another origin.
            status, _, text = egret.ask_admin(path, "POST", Host="egret.example", Origin="https://receiver.example",
                                              **{"WebHook-Allowed-Rate": "600000"})
            self.assertEqual((status, text), (200, "agreed\n"))
            self.assertEqual(egret.ask_admin(path)[0], 404)
            self.assertEqual(self.send(egret, 10), [200] * 10)
            self.assertEqual(egret.total("egret_consent_callbacks_total"), 1)
            self.assertNotIn(token, egret.stderr() + str(egret.access()))

    def test_explain_and_check_tell(self):
        with support.temporary_folder() as folder:
            path = folder + "/egret.yaml"
            with open(path, "w", encoding="utf-8") as file:
                file.write(CHALLENGE.replace("@FOLDER@", folder).replace("queue:", "#").replace("  delivery:", "#"))
            code, out, _ = support.run("explain", "-c", path, "http://127.0.0.1/")
            self.assertEqual(code, 0)
            self.assertIn("the destination must have agreed (challenge)", out)
            code, out, err = support.run("check", "-c", path)
            self.assertEqual(code, 0, err)
            self.assertIn("without a queue", out + err)


if __name__ == "__main__":
    unittest.main()
