"""tests/data/addresses.tsv through `egret explain` with the default policy, and no name server within reach."""

import json
import re
import tempfile
import unittest

from address_corpus import asked, rows
import support

VERDICTS = {"allow": {"allowed"}, "deny": {"denied"}, "bad": {"malformed"}, "nxdomain": {"unresolved"}}
DEAD_DNS = "resolver: {servers: [127.0.0.1:1], timeout: 100ms, tries: 1}\n"


def acceptable(row):
    words = {row["expected"], *filter(None, row["also_acceptable"].split(","))}
    verdicts = set().union(*(VERDICTS.get(word, set()) for word in words))
    # A name that policy has nothing against cannot be resolved here.
    if "allow" in words and row["kind"] != "ip":
        verdicts.add("unresolved")
    return verdicts


def explain(lines, config, *options):
    """An object for each line. What would be two lines is asked by itself."""
    piped = [line for line in lines if b"\n" not in line]
    code, out, err = support.run("explain", "-c", config, *options, "-", stdin=b"\n".join(piped) + b"\n")
    answers = iter([json.loads(line) for line in out.splitlines()])
    assert code in (0, 3, 4) and not err, err
    for line in lines:
        if b"\n" in line:
            _, out, _ = support.run("explain", "-c", config, "--json", *options, line)
            yield json.loads(out)
        else:
            yield next(answers)


class AddressCorpusTest(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))

    def config(self, text):
        path = f"{self.folder}/egret.yaml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def check(self, chosen, explained, also=frozenset()):
        wrong = []
        for row, said in zip(chosen, explained, strict=True):
            if said["verdict"] not in acceptable(row) | also:
                wrong.append(f"{row['id']} {row['kind']} {row['host_as_written']}: {said['verdict']} ({said['reason']}), "
                             f"should be {sorted(acceptable(row))}: {row['reason']}")
            self.assertTrue(said["steps"])
            self.assertEqual(said["verdict"] == "allowed", said["status"] == 200)
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_every_url_and_address(self):
        chosen = [row for row in rows() if row["kind"] in ("ip", "host", "url")]
        self.assertGreater(len(chosen), 700)
        self.check(chosen, explain([asked(row) for row in chosen], self.config(DEAD_DNS)))

    def test_every_authority_of_connect(self):
        chosen = [row for row in rows() if row["kind"] == "authority"]
        self.assertGreater(len(chosen), 20)
        self.check(chosen, explain([asked(row) for row in chosen], self.config(DEAD_DNS), "--method", "CONNECT"))

    def test_every_address_as_an_authority(self):
        chosen = [row for row in rows() if row["kind"] == "ip"]
        lines = [asked(row)[len(b"http://"):-1] + b":443" for row in chosen]
        self.check(chosen, explain(lines, self.config(DEAD_DNS), "--method", "CONNECT"))

    def test_names_that_give_an_address(self):
        chosen = [row for row in rows() if row["kind"] == "dnsname"]
        zone = {row["host_as_written"].rstrip("."): re.search(r"answers ([^\s;]+)", row["reason"])[1] for row in chosen}
        with support.NameServer(zone) as names:
            self.check(chosen, explain([asked(row) for row in chosen], self.config(names.yaml)))


if __name__ == "__main__":
    unittest.main()
