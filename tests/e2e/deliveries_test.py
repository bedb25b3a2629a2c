"""What an operator sees and does: the admin API of the queue, and `egret deliveries`."""

import json
import pathlib
import unittest

import support

KEEPING = """queue: {store: "sqlite:@FOLDER@/queue.db"}
defaults:
  addresses: {allow: [127.0.0.1/32]}
  ports: [1-65535]
  breaker: none
  delivery: {mode: async, schedule: [50ms], jitter: 0%}
"""


class DeliveriesTest(unittest.TestCase):
    def setUp(self):
        self.up = True
        self.receiver = self.enterContext(support.Receiver(lambda _: support.ok() if self.up else support.ok(b"br\xffken", status="500 No")))

    def keep(self, egret, path, body=b"{}", headers=""):
        answer = support.post(egret, self.receiver.url(path), body, headers=headers)
        self.assertEqual(answer.status, 202)
        name = answer["Egret-Delivery"]
        self.assertTrue(answer["Location"].endswith("/v1/deliveries/" + name))
        return name

    def show(self, egret, name):
        status, _, text = egret.ask_admin("/v1/deliveries/" + name)
        self.assertEqual(status, 200, text)
        return json.loads(text)

    def ended(self, egret, name, status):
        return support.wait_until(lambda: (found := self.show(egret, name))["status"] == status and found, what=status)

    def command(self, egret, *words, code=0, what="deliveries"):
        host, port = egret.admin
        got, out, err = support.run(what, *words, "--admin", f"http://{host}:{port}")
        self.assertEqual(got, code, out + err)
        self.assertEqual(err.count("\n"), 0 if code == 0 else 1, err)
        return out if code == 0 else err

    def test_a_delivery_is_shown_with_its_attempts_and_replayed(self):
        with support.Egret(KEEPING) as egret:
            self.up = False
            name = self.keep(egret, "/dead?secret=1", headers="webhook-id: own-1\r\n")
            dead = self.ended(egret, name, "dead")
            self.assertEqual((dead["attempts"], dead["webhook_id"], dead["method"], dead["size"]), (2, "own-1", "POST", 2))
            self.assertEqual(dead["destination"], self.receiver.url("/dead"))
            self.assertNotIn("secret", json.dumps(dead))
            self.assertEqual([each["status"] for each in dead["tried"]], [500, 500])
            self.assertNotIn("answer", dead["tried"][0], "some destinations answer with what they were sent: not for everybody here")
            shown = self.command(egret, "show", name)
            self.assertIn(self.receiver.authority, shown)
            self.assertRegex(shown, r" 500  \d+ ms \(resolve \d+, connect \d+, tls \d+, wait \d+\)\n")
            self.assertIn("what was answered is told with admin.token", shown)
            self.up = True
            self.assertIn("queued again", self.command(egret, "replay", name))
            self.assertEqual(self.ended(egret, name, "delivered")["attempts"], 3)
            self.assertEqual({request["webhook-id"] for request in self.receiver.requests}, {"own-1"})

    def test_what_waits_says_how_to_hurry_it(self):
        with support.Egret(KEEPING.replace("50ms", "1h")) as egret:
            self.up = False
            name = self.keep(egret, "/waits")
            due = support.wait_until(lambda: (found := self.show(egret, name))["attempts"] == 1 and found["status"] == "queued" and found["due"])
            self.assertEqual(self.command(egret, "replay", name, code=1), f"egret: it is queued already, due at {due}; to try it now, cancel it and then replay it\n")
            self.up = True
            self.command(egret, "cancel", name)
            self.command(egret, "replay", name)
            self.ended(egret, name, "delivered")

    def test_a_sender_that_is_none_is_said(self):
        text = KEEPING + "senders: [{name: billing, networks: [127.0.0.0/8]}]\n"
        with support.Egret(text) as egret:
            self.ended(egret, self.keep(egret, "/a"), "delivered")
            for target, method in (("/v1/deliveries", "GET"), ("/v1/deliveries/replay", "POST")):
                self.assertEqual(json.loads(egret.ask_admin(target + "?sender=nobody", method)[2])["hint"], "the configuration has no sender nobody")
                self.assertNotIn("hint", json.loads(egret.ask_admin(target + "?sender=billing", method)[2]))
            for word, said in (("list", "no deliveries --sender nobody: the configuration has no sender nobody\n"),
                               ("replay", "0 dead deliveries are queued again: the configuration has no sender nobody\n")):
                self.assertEqual(self.command(egret, word, "--sender", "nobody"), said)

    def test_replay_by_filter(self):
        with support.Egret(KEEPING) as egret:
            self.up = False
            names = [self.keep(egret, f"/{number}") for number in range(5)]
            for name in names:
                self.ended(egret, name, "dead")
            self.up = True
            alive = self.keep(egret, "/alive")
            self.ended(egret, alive, "delivered")
            self.assertEqual(self.command(egret, "replay", "--status", "dead", "--host", "nowhere.example"), "0 dead deliveries are queued again\n")
            self.assertEqual(self.command(egret, "replay", "--host", "nowhere.example", "--status", "delivered"), "0 delivered deliveries are queued again\n")
            for query in ("", "?", "?limit=10"):
                status, _, text = egret.ask_admin("/v1/deliveries/replay" + query, "POST")
                self.assertEqual((status, text.partition(":")[0]), (400, "say which"))
            status, _, text = egret.ask_admin("/v1/deliveries/replay?status=dead", "POST")
            self.assertEqual((status, json.loads(text)), (200, {"replayed": 5}))
            for name in names:
                self.ended(egret, name, "delivered")

    def test_pages_follow_each_other(self):
        with support.Egret(KEEPING) as egret:
            names = [self.keep(egret, f"/{number}") for number in range(7)]
            found, cursor = [], ""
            while True:
                page = json.loads(egret.ask_admin("/v1/deliveries?limit=3" + cursor)[2])
                found += [each["id"] for each in page["deliveries"]]
                if page["next"] is None:
                    break
                cursor = "&cursor=" + page["next"]
            self.assertEqual(found, names[::-1])
            for name in names:
                self.ended(egret, name, "delivered")
            for query, count in (("status=delivered", 7), ("status=dead", 0), ("host=127.0.0.1", 7), ("host=other.example", 0), ("sender=x", 0),
                                 ("since=2020-01-01T00:00:00Z", 7), ("since=2199-01-01T00:00:00Z", 0)):
                self.assertEqual(len(json.loads(egret.ask_admin("/v1/deliveries?" + query)[2])["deliveries"]), count, query)
            lines = self.command(egret, "list").splitlines()
            self.assertEqual(len(lines), 8)
            self.assertEqual({line.index(word) for line, word in zip(lines, ["STATUS"] + 7 * ["delivered"])}, {41}, "columns")
            self.assertEqual([line.split()[0] for line in lines[1:]], names[::-1])
            for limit, more in ((1, True), (6, True), (7, False), (8, False)):
                host, port = egret.admin
                code, out, err = support.run("deliveries", "list", "--limit", str(limit), "--admin", f"http://{host}:{port}")
                self.assertEqual((code, len(out.splitlines())), (0, min(limit, 7) + 1))
                self.assertEqual(err, f"egret: there are more than these {limit}; --limit {limit * 10} lists more, export all\n" if more else "")
            self.assertEqual(self.command(egret, "list", "--host", "Other.example", "--status", "dead"), "no deliveries --status dead --host Other.example\n")
            self.assertIn("without a port: 127.0.0.1", self.command(egret, "list", "--host", "127.0.0.1:80", code=1))
            exported = [json.loads(line) for line in self.command(egret, "export", "--limit", "2").splitlines()]
            self.assertEqual([(each["id"], len(each["tried"])) for each in exported], [(names[6], 1), (names[5], 1)])

    def test_only_what_is_queued_is_cancelled(self):
        with support.Egret(KEEPING.replace("50ms", "1h")) as egret:
            self.up = False
            name = self.keep(egret, "/a")
            support.wait_until(lambda: self.show(egret, name)["attempts"] == 1)
            self.assertIn("cancelled", self.command(egret, "cancel", name))
            self.assertIn("only what is queued", self.command(egret, "cancel", name, code=1))
            self.assertEqual(self.show(egret, name)["status"], "cancelled")

    def test_a_host_is_switched_off_and_on(self):
        with support.Egret(KEEPING.replace("50ms", "200ms, 1h")) as egret:
            self.up = False
            waiting = self.keep(egret, "/waits")
            support.wait_until(lambda: self.show(egret, waiting)["attempts"] >= 1)
            endpoints = json.loads(egret.ask_admin("/v1/endpoints")[2])["endpoints"]
            self.assertEqual([(each["host"], each["status"]) for each in endpoints], [("127.0.0.1", "failing")])
            self.assertRegex(endpoints[0]["url"], r"^http://127\.0\.0\.1:\d+/waits$")
            self.assertEqual(egret.ask_admin("/v1/endpoints/127.0.0.1/disable", "POST")[0], 200)
            endpoints = json.loads(egret.ask_admin("/v1/endpoints")[2])["endpoints"]
            self.assertEqual([(each["status"], each.get("why"), "url" in each) for each in endpoints],
                             [("disabled", "by the operator", False), ("failing", None, True)])
            self.assertEqual(egret.total("egret_queue_endpoints_disabled"), 1)
            later = self.keep(egret, "/later")
            dead = self.show(egret, later)
            self.assertEqual((dead["status"], dead["attempts"], dead["switched_off"]), ("dead", 0, "by the operator"))
            for target in (f"/v1/deliveries/{later}/replay", "/v1/deliveries/replay?host=127.0.0.1"):
                status, _, text = egret.ask_admin(target, "POST")
                self.assertEqual(status, 409)
                self.assertIn("127.0.0.1 is switched off (by the operator)", text)
                self.assertIn("POST /v1/endpoints/127.0.0.1/enable", text)
            self.assertEqual(self.show(egret, later)["status"], "dead")
            self.up = True
            self.assertEqual(json.loads(egret.ask_admin("/v1/endpoints/127.0.0.1/enable", "POST")[2]),
                             {"status": "enabled", "was_disabled": True, "breakers_closed": 0})
            self.command(egret, "replay", later)
            self.ended(egret, later, "delivered")
            self.assertEqual(json.loads(egret.ask_admin("/v1/endpoints")[2])["endpoints"], [])
            self.assertEqual(egret.ask_admin("/v1/endpoints/not a host/enable".replace(" ", "%20"), "POST")[0], 400)

    def test_endpoints_are_switched_by_a_command(self):
        with support.Egret(KEEPING) as egret:
            self.assertEqual(self.command(egret, "list", what="endpoints"), "no endpoint fails or is switched off\n")
            self.assertIn("is switched off", self.command(egret, "disable", "127.0.0.1", what="endpoints"))
            self.assertRegex(self.command(egret, "list", what="endpoints"), r"^HOST .*\n127\.0\.0\.1 +disabled +\d{4}-.*Z  by the operator\n$")
            self.assertEqual(json.loads(self.command(egret, "list", "--json", what="endpoints"))["endpoints"][0]["status"], "disabled")
            warning = ("queue: 1 host is switched off, where nothing is delivered: egret endpoints list says which and why, "
                       "egret endpoints enable HOST switches one on")
            self.assertIn("queue: 0 queued, 0 delivered, 0 dead, 0 cancelled, 0 hosts are switched off", egret.events())
            support.wait_until(lambda: warning in egret.events())
            name = self.keep(egret, "/a")
            self.assertRegex(self.command(egret, "show", name), "(?m)^switched_off by the operator$")
            self.assertIn("egret endpoints enable", self.command(egret, "replay", name, code=1))
            other = self.command(egret, "replay", "--status", "dead")
            self.assertIn("a host or URL that is switched off become dead again", other)
            self.assertIn("egret deliveries replay --host 127.0.0.1", self.command(egret, "enable", "127.0.0.1", what="endpoints"))
            self.assertIn("was not switched off", self.command(egret, "enable", "127.0.0.1", what="endpoints"))
            self.assertIn("without a port: 127.0.0.1", self.command(egret, "enable", "127.0.0.1:80", what="endpoints", code=1))

    def test_what_a_destination_answers_is_safe_for_a_terminal(self):
        """U+009B begins a control sequence in a terminal as ESC [ does; U+202E turns what follows around."""
        self.receiver = self.enterContext(support.Receiver(lambda _: support.ok("\x9b2J\u202e\x7f\x1b[2J".encode(), status="500 No")))
        with support.Egret(KEEPING + "admin: {address: 'unix:@FOLDER@/admin.sock'}\n") as egret:
            name = self.keep(egret, "/a")
            self.assertEqual(self.ended(egret, name, "dead")["tried"][0]["answer"], "\x9b2J\u202e\x7f\x1b[2J")
            for words in (("show", name), ("show", "--json", name), ("export",)):
                code, out, _ = support.run("deliveries", *words, "--admin", f"unix:{egret.admin}")
                self.assertEqual(code, 0)
                self.assertRegex(out, r"^[\n\x20-\x7e]*2J[\n\x20-\x7e]*$", words)

    def test_an_open_breaker_is_shown_and_closed(self):
        text = support.OPEN.replace("ports:", "breaker: {failures: 2, cooldown: 1h}, ports:")
        with support.Egret(text) as egret:
            self.up = None
            with support.Listener(lambda connection: None) as closed:
                for _ in range(2):
                    self.assertEqual(support.post(egret, closed.url()).status, 502)
                answer = support.post(egret, closed.url())
                self.assertEqual((answer.status, answer.reason), (503, "breaker_open"))
                self.assertGreater(int(answer["Retry-After"]), 3000)
                breakers = json.loads(egret.ask_admin("/v1/endpoints")[2])["breakers"]
                self.assertEqual(breakers, [{"scheme": "http", "host": "127.0.0.1", "port": closed.port}])
                self.assertEqual(egret.total("egret_breakers_open"), 1)
                self.assertIn(f"http, port {closed.port}", self.command(egret, "list", what="endpoints"))
                self.assertEqual(json.loads(egret.ask_admin("/v1/endpoints/127.0.0.1/enable", "POST")[2])["breakers_closed"], 1)
                self.assertEqual(support.post(egret, closed.url()).status, 502)

    def test_what_is_wrong_is_said(self):
        with support.Egret(KEEPING) as egret:
            for target, method, status in (("/v1/deliveries?status=x", "GET", 400), ("/v1/deliveries?limit=0", "GET", 400), ("/v1/deliveries?limit=1001", "GET", 400),
                                           ("/v1/deliveries?since=yesterday", "GET", 400), ("/v1/deliveries?since=9999-12-31T00:00:00Z", "GET", 400),
                                           ("/v1/deliveries/replay?host=", "POST", 400), ("/v1/deliveries/replay?sender=", "POST", 400),
                                           ("/v1/deliveries?host=127.0.0.1:80", "GET", 400), ("/v1/endpoints/127.0.0.1:80/enable", "POST", 400), ("/v1/deliveries?cursor=-1", "GET", 400), ("/v1/deliveries?nope=1", "GET", 400),
                                           ("/v1/deliveries/none", "GET", 404), ("/v1/deliveries/none/replay", "POST", 404), ("/v1/deliveries/none/cancel", "POST", 404),
                                           ("/v1/deliveries/replay?status=queued", "POST", 400), ("/v1/deliveries/none/cancel", "GET", 405)):
                self.assertEqual(egret.ask_admin(target, method)[0], status, target)
            self.command(egret, "show", "none", code=1)
            self.assertIn("give an id, or a filter", self.command(egret, "replay", code=2))
            self.assertIn("not both", self.command(egret, "replay", "none", "--status", "dead", code=2))
            self.command(egret, "list", "--status", "x", code=1)
        self.assertEqual(support.run("deliveries", "list", "--admin", "https://x/")[0], 2)
        code, _, err = support.run("deliveries", "list", "--admin", "http://127.0.0.1:1")
        self.assertEqual(code, 1)
        self.assertIn("is Egret running", err)
        self.assertIn("--admin says where", err)

    def test_without_a_queue_there_is_none(self):
        with support.Egret() as egret:
            self.assertEqual(egret.ask_admin("/v1/deliveries")[0], 404)
            self.assertIn("has no queue", self.command(egret, "list", code=1))

    def test_a_web_page_of_another_origin_has_no_say(self):
        with support.Egret(KEEPING) as egret:
            host, port = egret.admin
            for origin, status in ((f"http://{host}:{port}", 200), ("http://attacker.example", 403), ("null", 403), (f"http://{host}:{port + 1}", 403)):
                self.assertEqual(egret.ask_admin("/v1/deliveries/replay?status=dead", "POST", Origin=origin)[0], status, origin)
            self.assertEqual(egret.ask_admin("/v1/deliveries/replay", "POST", Host="attacker.example")[0], 403)

    def test_content_is_told_to_who_has_the_token(self):
        with support.Egret(KEEPING) as egret:
            name = self.keep(egret, "/a", b"own words")
            self.assertEqual(egret.ask_admin(f"/v1/deliveries/{name}/content")[0], 403)
        token = pathlib.Path(self.enterContext(support.temporary_folder())) / "token"
        token.write_text("let-me-in\n")
        text = KEEPING + f"admin: {{address: 127.0.0.1:0, token: {{file: {token}}}}}\n"
        with support.Egret(text) as egret:
            name = self.keep(egret, "/a", b"own words", "Authorization: Bearer theirs\r\n")
            self.assertEqual(egret.ask_admin(f"/v1/deliveries/{name}")[0], 401)
            self.command(egret, "list", code=1)
            for what in ("deliveries", "endpoints"):
                host, port = egret.admin
                code, _, err = support.run(what, "--admin", f"http://{host}:{port}", "--token-file", str(token), "list")
                self.assertEqual((code, err), (0, ""), "before the act, too")
            line = support.wait_until(lambda: (out := self.command(egret, "export", "--content", "--token-file", str(token))) and json.loads(out)["status"] == "delivered" and out)
            content = json.loads(line)["content"]
            self.assertIn("Authorization: Bearer theirs\r\n", content["head"])
            self.assertEqual(content["body"], "b3duIHdvcmRz")
            self.assertEqual(json.loads(line)["tried"][0]["answer"], "thanks")
        with support.Egret(KEEPING + "admin: {address: 'unix:@FOLDER@/admin.sock'}\n") as egret:
            name = self.keep(egret, "/a", b"own words")
            self.assertEqual(egret.ask_admin(f"/v1/deliveries/{name}/content")[0], 200)
            self.assertEqual(self.ended(egret, name, "delivered")["tried"][0]["answer"], "thanks")
            self.up = False
            self.assertEqual(self.ended(egret, self.keep(egret, "/b"), "dead")["tried"][0]["answer"], "br\ufffdken")
            code, out, err = support.run("deliveries", "list", "--admin", f"unix:{egret.admin}")
            self.assertEqual((code, err), (0, ""))
            self.assertIn(name, out)


if __name__ == "__main__":
    unittest.main()
