"""The requests of tests/data/http1.jsonl against the real binary: on a fresh connection, and on one that was used before."""

import unittest

import http_corpus
from request_corpus import Origin, converse, findings, use_again
import support

# Cases whose listed statuses presume another policy than Egret's.
OWN_STATUS = {
    "R-meth1": 403,      # 16 KiB are under limits.headers, and no rule lists such a method
    "R-cn-early2": 502,  # the tests' configuration permits the port; nobody listens there
    "B-MAL-INCOMPLETE-REQUEST": 408,  # waited for, as any head in pieces is, until the idle timeout
}


class RequestCorpusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.egret = cls.enterClassContext(support.Egret(
            "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], timeouts: {idle: 2s}}\n"))
        cls.warm = cls.enterClassContext(support.Receiver())
        cls.cases = http_corpus.cases("request")

    def run_one(self, case, used_before=False, byte_by_byte=False):
        with Origin() as origin, Origin() as other, support.Sender(self.egret.address) as sender:
            if used_before:
                answer = sender.request(self.warm.url(), b"{}")
                if answer.status != 200:
                    return [f"the request before it got {answer}"]
            said, fill = converse(case, self.egret, sender, origin, other, byte_by_byte)
            found = list(findings(case, origin, said, fill, OWN_STATUS))
            found += [f"the second destination: {fault}" for fault in other.faults]
            if case["expect"] == "reject" and said.ended == "open":
                found += use_again(sender, self.warm.url("/next"))
            return found

    def check(self, chosen, **how):
        self.assertGreater(len(chosen), 400)
        found = http_corpus.run_all(chosen, lambda case: self.run_one(case, **how))
        self.assertEqual(found, [], "\n" + "\n".join(found))
        self.egret.wait_for_rest()
        self.assertEqual(support.post(self.egret, self.warm.url()).status, 200)
        self.assertNotIn("internal_error", {line["reason"] for line in self.egret.access()})

    def test_on_a_fresh_connection(self):
        self.check(self.cases)

    def test_on_a_connection_that_was_used_before(self):
        self.check(self.cases, used_before=True)

    def test_a_byte_at_a_time(self):
        """Split at each place, and compared with the whole: tests/proxy/split_requests_test.cc."""
        self.check([case for case in self.cases if "segments" in case or len(http_corpus.expand(case["raw"])) < 2048], byte_by_byte=True)


if __name__ == "__main__":
    unittest.main()
