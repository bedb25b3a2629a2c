"""Receivers that others wrote verify what Egret signs: their libraries (tests/e2e/receivers), every scheme and algorithm, and
refuse another key, a changed body and a stale timestamp."""

import base64
import json
import pathlib
import subprocess
import unittest

import support

RECEIVERS = pathlib.Path(__file__).resolve().parent / "receivers"
BODY = '{"event":"paid","amount":12,"name":"Zoë"}'.encode()

# (scheme, algorithm, the libraries that verify it)
SCHEMES = [
    ("standard-webhooks", None, ["standardwebhooks", "svix"]),
    ("stripe", None, ["stripe"]),
    ("github", None, ["octokit"]),
    ("shopify", None, ["shopify"]),
    ("slack", None, ["slack"]),
    *[("http-message-signatures", algorithm, ["http-message-signatures"])
      for algorithm in ("hmac-sha256", "ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512")],
]
UNTIMED = {"github", "shopify"}  # these sign no timestamp


def verify(cases):
    """What the libraries say of each case."""
    for case in cases:
        case["body"] = base64.b64encode(case["body"]).decode()
    done = subprocess.run([support.tool("node"), "verify.js"], cwd=RECEIVERS, input=json.dumps(cases).encode(), capture_output=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode(errors="replace") + "\nis tests/e2e/receivers installed? ./scripts/install.sh test")
    return json.loads(done.stdout)


def keygen(scheme, algorithm, path):
    """A new key in `path`; what a receiver verifies by."""
    chosen = ["--algorithm", algorithm] if algorithm else []
    code, out, err = support.run("keygen", scheme, *chosen, "-o", str(path))
    assert code == 0, err
    if "BEGIN PUBLIC KEY" in out:
        return out[out.index("-----BEGIN"):out.index("-----END PUBLIC KEY-----")] + "-----END PUBLIC KEY-----\n"
    if "whpk_" in out:
        return next(line for line in out.splitlines() if line.startswith("whpk_"))
    return path.read_text().strip()


def as_case(request, url):
    headers = {name.lower(): value for name, value in request.fields}
    assert len(headers) == len(request.fields), "a field came twice"
    return {"method": "POST", "url": url, "headers": headers, "body": request.body}


class SignaturesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(support.temporary_folder()))
        cls.receiver = cls.enterClassContext(support.Receiver())
        cls.keys, keys, rules = [], "keys:\n", "rules:\n"
        for number, (scheme, algorithm, libraries) in enumerate(SCHEMES):
            right = keygen(scheme, algorithm, cls.folder / f"{number}.key")
            wrong = keygen(scheme, algorithm, cls.folder / f"{number}.wrong")
            cls.keys.append((right, wrong))
            chosen = f"algorithm: {algorithm}, " if algorithm else ""
            keys += f"  k{number}: {{scheme: {scheme}, {chosen}secrets: [{{file: {cls.folder}/{number}.key}}]}}\n"
            rules += f"  - {{name: r{number}, match: {{paths: [/{number}/*]}}, sign: [k{number}]}}\n"
        cls.egret = cls.enterClassContext(support.Egret(support.OPEN + keys + rules))

    def signed(self, number, **fields):
        """The request that the receiver got for one that was sent under rule `number`."""
        before = len(self.receiver.requests)
        path = f"/{number}/hook?x=1&y=%20"
        lines = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Type": "application/json", **fields}.items())
        answer = support.post(self.egret, self.receiver.url(path), BODY, headers=lines)
        self.assertEqual(answer.status, 200)
        return as_case(self.receiver.requests[before], self.receiver.url(path))

    def test_every_library_verifies_and_refuses_what_is_wrong(self):
        cases, expected = [], []
        for number, (scheme, algorithm, libraries) in enumerate(SCHEMES):
            right, wrong = self.keys[number]
            request = self.signed(number)
            for library in libraries:
                case = {"library": library, "algorithm": algorithm, "key": right, **request}
                cases.append(dict(case))
                expected.append((scheme, algorithm, library, "as it came", True))
                cases.append({**case, "key": wrong})
                expected.append((scheme, algorithm, library, "another key", False))
                cases.append({**case, "body": BODY.replace(b"12", b"13")})
                expected.append((scheme, algorithm, library, "a changed body", False))
                if scheme not in UNTIMED:
                    cases.append({**case, "shift": 301})
                    expected.append((scheme, algorithm, library, "a stale timestamp", False))
                    cases.append({**case, "shift": 290})
                    expected.append((scheme, algorithm, library, "a little later", True))
        results = verify(cases)
        self.assertEqual(len(results), len(expected))
        for result, (*what, good) in zip(results, expected):
            with self.subTest(what):
                self.assertEqual(result == "ok", good, f"{what}: {result}")

    def test_a_forged_signature_of_the_senders_does_not_survive(self):
        forged = {"Webhook-Signature": "v1,forged", "Stripe-Signature": "forged", "X-Hub-Signature-256": "forged",
                  "X-Shopify-Hmac-Sha256": "forged", "X-Slack-Signature": "forged", "Signature": "forged",
                  "Signature-Input": "forged", "Content-Digest": "forged"}
        cases = []
        for number, (scheme, algorithm, libraries) in enumerate(SCHEMES):
            request = self.signed(number, **forged)
            cases.append({"library": libraries[0], "algorithm": algorithm, "key": self.keys[number][0], **request})
        self.assertEqual(verify(cases), ["ok"] * len(cases))

    def test_the_receiver_of_egrets_own_says_the_same(self):
        for number, (scheme, algorithm, _) in enumerate(SCHEMES):
            with self.subTest((scheme, algorithm)):
                key = self.folder / f"{number}.receiver"
                key.write_text(self.keys[number][0])
                with support.OwnReceiver("--key", str(key), "--scheme", scheme) as receiver:
                    answer = support.post(self.egret, receiver.url(f"/{number}/hook"), BODY)
                    self.assertEqual(answer.status, 200)
                    support.wait_until(lambda: "answered" in receiver.said())
                    self.assertIn("VERIFIED (" + scheme, receiver.said())
                    self.assertNotIn("NOT VERIFIED", receiver.said())


class StandardEd25519Test(unittest.TestCase):
    """No library on npm verifies v1a: Python's cryptography does, and both forms stand in one field."""

    def test_both_signatures_stand_side_by_side(self):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.exceptions import InvalidSignature
        folder = pathlib.Path(self.enterContext(support.temporary_folder()))
        secret = keygen("standard-webhooks", None, folder / "hmac")
        public = keygen("standard-webhooks-ed25519", None, folder / "pair")
        text = (f"keys:\n  one: {{scheme: standard-webhooks, secrets: [{{file: {folder}/hmac}}]}}\n"
                f"  two: {{scheme: standard-webhooks-ed25519, secrets: [{{file: {folder}/pair}}]}}\n")
        with support.Receiver() as receiver, support.Egret(text + support.OPEN.replace("ports:", "sign: [one, two], ports:")) as egret:
            self.assertEqual(support.post(egret, receiver.url("/in"), BODY).status, 200)
            request = receiver.requests[0]
        case = {"library": "standardwebhooks", "key": secret, **as_case(request, "")}
        fields = case["headers"]
        self.assertEqual(verify([case]), ["ok"])
        signature = next(part for part in fields["webhook-signature"].split(" ") if part.startswith("v1a,"))
        signed = f"{fields['webhook-id']}.{fields['webhook-timestamp']}.".encode() + BODY
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
        key.verify(base64.b64decode(signature.removeprefix("v1a,")), signed)
        with self.assertRaises(InvalidSignature):
            key.verify(base64.b64decode(signature.removeprefix("v1a,")), signed + b" ")


if __name__ == "__main__":
    unittest.main()
