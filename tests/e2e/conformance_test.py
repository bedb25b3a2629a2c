"""The conformance comparison (bench/conformance) with Egret alone: it passes every address and every name, and
docs/conformance.md says of it what is so. Its framing cases run in request_corpus_test and answer_corpus_test; their
number is compared here."""

import pathlib
import sys
import unittest

import http_corpus
import support

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent.parent / "bench" / "conformance"))

# pylint: disable=wrong-import-position
import addresses
import framing
import names
import network
import page
import peers


class ConformanceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.egret = next(peer for peer in peers.PEERS if peer.name == "egret")
        cls.documented = page.column(page.PAGE.read_text(encoding="utf-8"), cls.egret.title)

    def check(self, group):
        with network.Network() as where:
            results = list(group.run(where, lambda: peers.Running(self.egret, where)))
        failed = [f"{each.id} {each.title}: {each.finding}" for each in results if not each.passed]
        self.assertEqual(failed, [], "\n" + "\n".join(failed))
        for category, cell in page.rows(group.GROUP, {self.egret.title: results}):
            self.assertEqual(self.documented[group.GROUP, category], cell,
                             f"{category}: docs/conformance.md is out of date; ./scripts/conformance.sh writes it")

    def test_every_address_and_url(self):
        self.check(addresses)

    def test_every_name(self):
        self.check(names)

    def test_the_document_has_all_the_framing_cases(self):
        for group, cases in ((framing.REQUESTS, http_corpus.cases("request")), (framing.ANSWERS, framing.answers())):
            self.assertEqual(self.documented[group, "**all**"], f"{len(cases)}/{len(cases)}",
                             "docs/conformance.md is out of date; ./scripts/conformance.sh writes it")

    def test_a_proxy_that_dials_the_inside_would_be_found(self):
        # Else the tests above would prove nothing.
        with network.Network() as where, where.namespace.inside():
            where.wire.dialled()
            for host in ("10.0.0.1", "127.0.0.1", "fd00:ec2::254"):
                with self.subTest(host), support.Sender((host, 80)):
                    dialled = where.wire.dialled()
                    self.assertEqual([(str(address), port) for address, port in dialled], [(host, 80)])
                    self.assertTrue(addresses.verdict({"deny"}, 403, dialled).startswith("dialled the inside"))


if __name__ == "__main__":
    unittest.main()
