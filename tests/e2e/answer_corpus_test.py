"""The hostile answers of tests/data/http1.jsonl against the real binary. Two requests on one connection to Egret: the second
shows whether the first answer's surplus poisons what comes after it."""

import re
import threading
import time
import unittest

import http_corpus
import support

# The limits that end what never ends by itself.
LIMITS = ("defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], "
          "timeouts: {response: 2s, idle: 2s, total: 4s}}\n")
DRIP = 6  # seconds that a dripping origin goes on: longer than any limit


class Origin(support.Listener):
    """Answers the first request as the case says, `/second` well."""

    def __init__(self, case):
        self.case, self.raw = case, b""
        self.misbehaved_on = self.answered_second_on = None  # numbers of connections
        self.stop = threading.Event()
        super().__init__(self._converse)

    def close(self):
        self.stop.set()
        super().close()

    def _converse(self, connection):
        number = self.connections
        if self.case.get("when") == "on-accept":
            self.misbehaved_on = number
            connection.sendall(self.raw)
        with connection.makefile("rb") as stream:
            while True:
                if self.case.get("when") == "after-head":
                    request = self._read_head(stream)
                else:
                    request = support.read_request(stream)
                if request is None:
                    return
                if "/second" in request.line:
                    self.answered_second_on = number
                    connection.sendall(support.ok(b"SECOND"))
                elif self.case.get("when") != "on-accept":
                    self.misbehaved_on = number
                    if not self._misbehave(connection):
                        return

    @staticmethod
    def _read_head(stream):
        line = stream.readline()
        while stream.readline() not in (b"\r\n", b""):
            pass
        return support.Request(line.decode("latin-1"), [], b"") if line else None

    def _misbehave(self, connection):
        """Whether the connection goes on."""
        stream = self.case.get("stream")
        if not stream:
            connection.sendall(self.raw)
            if self.case.get("end") == "rst":
                support.close_by_reset(connection)
            return not self.case.get("end")
        end = time.monotonic() + DRIP
        connection.sendall(stream.get("first", "").encode("latin-1"))
        pieces = iter(stream["each"]) if "each" in stream else None
        while time.monotonic() < end:
            piece = next(pieces, "") if pieces else stream["chunk"]
            connection.sendall(piece.encode("latin-1"))
            if stream["interval_ms"] and self.stop.wait(stream["interval_ms"] / 1000):
                break
        return False


class AnswerCorpusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.egret = cls.enterClassContext(support.Egret(LIMITS))
        # The two that are not bytes but programs have tests of their own: below, and dns_test.
        cls.cases = [case for case in http_corpus.cases("response") if not re.match(r"@@(GZIPBOMB|DNS)", http_corpus.expand(case["raw"]))]

    def run_one(self, case, used_before):
        with Origin(case) as origin, support.Listener(lambda _: None) as other, support.Sender(self.egret.address) as sender:
            def fill(text):
                return http_corpus.fill(text, origin, other, self.egret)
            origin.raw = fill(http_corpus.expand(case["raw"]))
            request = fill(case["client_request"])
            method = request.split(b" ")[0].decode()
            second_request = f"GET {origin.url('/second')} HTTP/1.1\r\nHost: {origin.authority}\r\n\r\n"
            if used_before and sender.send(second_request).answer("GET").body != b"SECOND":
                return ["the request before it went wrong"]
            origin.answered_second_on = None
            sender.send(request)
            reset = False
            try:
                answer = sender.answer(method)
            except ConnectionError:
                answer, reset = None, True
            second = None
            try:
                second = sender.send(second_request).answer("GET")
            except OSError:
                pass
            return list(self.findings(case, answer, reset, second, origin, other))

    @staticmethod
    def findings(case, answer, reset, second, origin, other):
        told, expect = case.get("client", {}), case["expect"]
        if other.connections:
            yield "followed the redirect"
        if second is not None and second.body != b"SECOND":
            yield f"the next answer is {second}"
        # What ends with the connection is whole only if the connection ends in order.
        whole = answer is not None and answer.complete and not reset
        if expect == "reject" and case["cat"] != "redirect" and whole and answer.status < 500:
            yield f"the sender saw a complete {answer}"
        if expect in ("accept", "normalise") or (expect == "reject_or_normalise" and whole):
            if answer is None:
                yield "no answer"
            elif "status" in told and answer.status not in told["status"]:
                yield f"the sender got {answer}"
            elif "body" in told and answer.status < 500 and answer.body != told["body"].encode("latin-1"):
                yield f"the body is {answer.body[:80]!r}"
        if answer is None and not reset and expect != "policy":
            yield "closed without an answer"
        # Bytes that come before the request does on a fresh connection cannot be told from an early answer.
        early = case.get("when") == "on-accept"
        if case.get("must_not_reuse") and not early and origin.answered_second_on == origin.misbehaved_on:
            yield "the connection to the destination was used again"
        for name in ("Egret-Attempts", "Proxy-Status"):
            if answer is not None and sum(field.lower() == name.lower() for field, _ in answer.fields) > 1:
                yield f"{name} is there more than once: {answer.fields}"

    def check(self, chosen, used_before):
        found = http_corpus.run_all(chosen, lambda case: self.run_one(case, used_before))
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
