"""The hostile answers of tests/data/http1.jsonl against the real binary (answer_corpus.py)."""

import unittest

import answer_corpus
import http_corpus
import support

# The limits that end what never ends by itself.
LIMITS = ("defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], "
          "timeouts: {response: 2s, idle: 2s, total: 4s}, limits: {oversize: fail}}\n")


class AnswerCorpusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.egret = cls.enterClassContext(support.Egret(LIMITS))
        cls.cases = answer_corpus.cases()

    def check(self, chosen, used_before):
        found = http_corpus.run_all(chosen, lambda case: answer_corpus.run_one(case, self.egret, used_before))
        self.assertEqual(found, [], "\n" + "\n".join(found))
        self.egret.wait_for_rest()

    def test_every_answer(self):
        self.assertGreater(len(self.cases), 130)
        self.check(self.cases, used_before=False)

    def test_every_answer_on_connections_that_were_used_before(self):
        self.check([case for case in self.cases if case.get("when") != "on-accept"], used_before=True)

    def test_a_gzip_bomb_is_not_unpacked_and_is_cut_at_the_limit(self):
        # 10 MiB of what looks like it: it is never decompressed, so its bytes do not matter.
        bomb = b"\x1f\x8b\x08\x00" + bytes(10 << 20)

        def serve(connection):
            with connection.makefile("rb") as stream:
                support.read_request(stream)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(bomb), 4096):
                piece = bomb[at:at + 4096]
                connection.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")

        with support.Listener(serve) as origin, support.Sender(self.egret.address) as sender:
            try:
                answer = sender.request(origin.url())
                came = len(answer.body)
                self.assertFalse(answer.complete)
            except ConnectionResetError:
                came = len(sender.have)
        self.assertLessEqual(came, 128 << 10)
        self.egret.wait_for_line(reason="response_body_too_large")

    def test_an_answer_over_the_limit_that_says_so_is_a_502(self):
        with support.Receiver(lambda _: support.ok(bytes((128 << 10) + 1))) as origin:
            answer = support.post(self.egret, origin.url())
        self.assertEqual((answer.status, answer.reason), (502, "response_body_too_large"))
        with support.Receiver(lambda _: support.ok(bytes(128 << 10))) as origin:
            self.assertEqual(len(support.post(self.egret, origin.url()).body), 128 << 10)


if __name__ == "__main__":
    unittest.main()
