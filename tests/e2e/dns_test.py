"""A name server that lies. 127.0.0.1 stands for the public internet, every other address for the inside."""

import time
import unittest

import support
from support import A, AAAA

ZONE = {
    "rebind.example": ["127.0.0.1", "127.0.0.2"],
    "rebound.example": ["127.0.0.2", "127.0.0.1"],
    "mixed.example": "127.0.0.1 127.0.0.2",
    "mixed-families.example": "127.0.0.1 ::1",
    "mixed-metadata.example": "169.254.169.254 127.0.0.1",
    "mapped.example": "::ffff:10.0.0.7",
    "chain.example": "one.chain.example two.chain.example 127.0.0.1",
    "chain-inside.example": "one.chain.example intranet.example 127.0.0.2",
    "chain-mixed.example": "one.chain.example 127.0.0.1 127.0.0.2",
    "loop.example": "one.loop.example loop.example",
    "silent.example": "!silence",
    "servfail.example": "!servfail",
    "refused.example": "!refused",
    "garbage.example": "!garbage",
    "wrong-id.example": "!wrong_id",
    "wrong-question.example": "!wrong_question",
    "nodata.example": "!nodata",
    "truncated.example": "!truncated 127.0.0.1",
    "truncated-inside.example": "!truncated 127.0.0.2",
    "short.example": "127.0.0.1",
    "absent.example.corp.example": "127.0.0.1",
    "short.example.corp.example": "127.0.0.2",
}


class DnsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.names = cls.enterClassContext(support.NameServer(ZONE))
        # The inside listens on the same port as the outside, so that only the address differs.
        cls.public = cls.enterClassContext(support.Receiver())
        cls.private = cls.enterClassContext(support.Receiver(host="127.0.0.2", port=cls.public.port))
        cls.egret = cls.enterClassContext(support.Egret(
            "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], timeouts: {resolve: 3s}}\n" + cls.names.yaml))
        cls.filtering = cls.enterClassContext(support.Egret(
            "defaults: {addresses: {allow: [127.0.0.1/32], mixed: filter}, ports: [1-65535]}\n" + cls.names.yaml))

    def setUp(self):
        self.names.questions.clear()
        self.dialled = self.public.connections
        self.got = len(self.public.requests)

    def tearDown(self):
        self.assertEqual(self.private.connections, 0, "the inside was dialled")

    def post(self, name, egret=None):
        return support.post(egret or self.egret, f"http://{name}:{self.public.port}/hook")

    def assert_refused(self, name, status, reason, egret=None):
        began = time.monotonic()
        answer = self.post(name, egret)
        self.assertEqual((answer.status, answer.reason), (status, reason), answer)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(self.public.connections, self.dialled)
        line = self.egret.wait_for_line(request_id=answer.problem["request_id"]) if egret is None else None
        if line:
            self.assertEqual((line["reason"], line["status"]), (reason, status))
        return answer

    def test_rebinding_gets_one_question_a_family_and_one_dial_to_what_was_judged(self):
        self.egret.reload()  # no connection is kept from before
        answer = self.post("rebind.example")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(sorted(self.names.asked("rebind.example")), [(A, "udp"), (AAAA, "udp")])
        self.assertEqual(self.public.connections, self.dialled + 1)
        self.assertEqual(self.public.requests[-1]["Host"], f"rebind.example:{self.public.port}")
        line = self.egret.wait_for_line(destination=f"http://rebind.example:{self.public.port}/hook", status=200)
        self.assertEqual(line["address"], f"127.0.0.1:{self.public.port}")

        # Asked again, it is the second answer that is judged.
        self.dialled = self.public.connections
        answer = self.assert_refused("rebind.example", 403, "address_prohibited")
        self.assertIn("127.0.0.2", answer.problem["detail"])

    def test_rebinding_the_other_way_round_is_refused_first(self):
        self.assert_refused("rebound.example", 403, "address_prohibited")

    def test_a_public_and_a_private_address_are_refused_whole(self):
        for name in ("mixed.example", "mixed-families.example", "mixed-metadata.example"):
            with self.subTest(name):
                self.assert_refused(name, 403, "addresses_mixed")

    def test_mixed_filter_dials_the_permitted_one_only(self):
        for name in ("mixed.example", "mixed-families.example"):
            with self.subTest(name):
                self.assertEqual(self.post(name, self.filtering).status, 200)
        self.assertEqual(len(self.public.requests), self.got + 2)

    def test_an_ipv4_inside_an_aaaa_is_refused(self):
        self.assert_refused("mapped.example", 403, "address_prohibited")

    def test_a_cname_chain_is_judged_by_its_end(self):
        self.assertEqual(self.post("chain.example").status, 200)
        self.assertEqual(self.public.requests[-1]["Host"], f"chain.example:{self.public.port}")
        self.dialled = self.public.connections
        self.assert_refused("chain-mixed.example", 403, "addresses_mixed")

    def test_a_cname_chain_to_the_inside_is_refused(self):
        # Its end is one address of each kind only if the public one is counted, too.
        self.names.zone["chain-inside.example"] = "one.chain.example intranet.example 127.0.0.2"
        self.assert_refused("chain-inside.example", 403, "address_prohibited")

    def test_a_cname_loop_has_no_address(self):
        answer = self.post("loop.example")
        self.assertEqual(answer.status, 502, answer)
        self.assertIn(answer.reason, ("name_has_no_address", "dns_error"))

    def test_what_a_server_may_do_wrong_has_its_reason(self):
        for name, status, reason in (
                ("silent.example", 504, "dns_timeout"),
                ("servfail.example", 502, "dns_error"),
                ("refused.example", 502, "dns_error"),
                ("nodata.example", 502, "name_has_no_address"),
                ("no-such-name.example", 502, "name_not_found"),
        ):
            with self.subTest(name):
                self.assert_refused(name, status, reason)

    def test_what_answers_no_question_is_no_answer(self):
        for name in ("garbage.example", "wrong-id.example", "wrong-question.example"):
            with self.subTest(name):
                answer = self.post(name)
                self.assertIn((answer.status, answer.reason), ((504, "dns_timeout"), (502, "dns_error")))
                self.assertEqual(self.public.connections, self.dialled)

    def test_silence_ends_at_the_deadline(self):
        text = self.names.yaml.replace("timeout: 500ms", "timeout: 5s")
        with support.Egret("defaults: {timeouts: {resolve: 1s}}\n" + text) as egret:
            began = time.monotonic()
            answer = support.post(egret, "http://silent.example/")
            took = time.monotonic() - began
        self.assertEqual((answer.status, answer.reason), (504, "dns_timeout"))
        self.assertGreater(took, 0.9)
        self.assertLess(took, 4)

    def test_a_truncated_answer_is_fetched_over_tcp(self):
        self.assertEqual(self.post("truncated.example").status, 200)
        self.assertIn((A, "tcp"), self.names.asked("truncated.example"))
        self.dialled = self.public.connections
        self.assert_refused("truncated-inside.example", 403, "address_prohibited")

    def test_a_dead_name_server_fails_closed_and_a_second_one_helps(self):
        with support.Egret(support.OPEN + "resolver: {servers: [127.0.0.1:1], timeout: 200ms, tries: 1}\n") as egret:
            answer = support.post(egret, f"http://rebind.example:{self.public.port}/")
            self.assertIn(answer.reason, ("dns_error", "dns_timeout"))
        with support.Egret(support.OPEN + f"resolver: {{servers: [127.0.0.1:1, {self.names.address}], timeout: 500ms}}\n") as egret:
            self.assertEqual(support.post(egret, f"http://chain.example:{self.public.port}/").status, 200)

    def test_no_search_domain_is_tried(self):
        # RES_OPTIONS and LOCALDOMAIN are how an environment would ask for them.
        env = {"LOCALDOMAIN": "corp.example", "RES_OPTIONS": "ndots:5"}
        with support.Egret(support.OPEN + self.names.yaml, env=env) as egret:
            self.assertEqual(support.post(egret, f"http://absent.example:{self.public.port}/").reason, "name_not_found")
            self.assertEqual(support.post(egret, f"http://short.example:{self.public.port}/").status, 200)
        self.assertEqual({name for name, _, _ in self.names.questions}, {"absent.example", "short.example"})

    def test_some_names_are_never_asked(self):
        port = self.public.port
        for host in ("localhost", "localhost.", "LOCALHOST", "app.localhost", "127.0.0.1", "127.0.0.2", "[::1]",
                     "[::ffff:127.0.0.1]", "10.0.0.7", "metadata.google.internal", "127.1", "0x7f000001", "2130706433"):
            with self.subTest(host):
                answer = support.post(self.egret, f"http://{host}:{port}/")
                self.assertIn(answer.status, (200, 400, 403), answer)
        self.assertEqual(self.names.questions, [])

    def test_an_answer_is_remembered_for_its_time(self):
        text = self.names.yaml.replace("min_ttl: 0s, max_ttl: 0s", "min_ttl: 1m, max_ttl: 5m")
        with support.Egret(support.OPEN + text) as egret:
            for _ in range(5):
                self.assertEqual(support.post(egret, f"http://short.example:{self.public.port}/").status, 200)
            self.assertEqual(len(self.names.asked("short.example")), 2)
            self.assertEqual(egret.total("egret_dns_cache_hits_total"), 4)
            self.assertEqual(egret.total("egret_dns_cache_misses_total"), 1)

    def test_many_requests_ask_once(self):
        self.names.zone["slow.example"] = "!silence"
        senders = [support.Sender(self.egret.address) for _ in range(20)]
        for sender in senders:
            sender.send(f"GET http://slow.example:{self.public.port}/ HTTP/1.1\r\nHost: slow.example:{self.public.port}\r\n\r\n")
        support.wait_until(lambda: self.names.asked("slow.example"))
        self.names.zone["slow.example"] = "127.0.0.1"  # the second try is answered
        for sender in senders:
            self.assertEqual(sender.answer("GET").status, 200)
            sender.close()
        self.assertLessEqual(len(self.names.asked("slow.example")), 4)

    def test_connect_is_judged_alike(self):
        for name, status, reason in (("mixed.example", 403, "addresses_mixed"), ("chain-inside.example", 403, "address_prohibited"),
                                     ("servfail.example", 502, "dns_error")):
            with self.subTest(name), support.Sender(self.egret.address) as sender:
                answer = sender.connect(f"{name}:{self.public.port}")
                self.assertEqual((answer.status, answer.reason), (status, reason))


if __name__ == "__main__":
    unittest.main()
