"""Keys as an operator has them: keygen, secrets of every origin, rotation without a signal, derived secrets, JWKS, receive."""

import json
import os
import pathlib
import stat
import unittest

import support

SCHEMES = ["standard-webhooks", "standard-webhooks-ed25519", "http-message-signatures", "stripe", "github", "shopify", "slack"]
SIGNED = support.OPEN.replace("ports:", "sign: [k], ports:")


def signature(receiver):
    return receiver.requests[-1]["webhook-signature"]


class KeygenTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(support.temporary_folder()))

    def test_a_secret_goes_into_a_new_file_that_only_its_owner_reads(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                path = self.folder / scheme
                code, out, err = support.run("keygen", scheme, "-o", str(path))
                self.assertEqual((code, err), (0, ""))
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
                secret = path.read_text()
                self.assertNotIn(secret.strip().splitlines()[-2 if "PRIVATE" in secret else 0], out)
                text = f"keys: {{k: {{scheme: {scheme}, {'algorithm: ed25519, ' if 'message' in scheme else ''}secrets: [{{file: {path}}}]}}}}\n"
                config = self.folder / "egret.yaml"
                config.write_text(text + "defaults: {sign: [k]}\n")
                self.assertEqual(support.run("check", "-c", str(config))[0], 0)
                code, _, err = support.run("keygen", scheme, "-o", str(path))
                self.assertEqual(code, 2)
                self.assertIn("is there already", err)
                self.assertEqual(path.read_text(), secret)

    def test_without_a_file_only_the_secret_is_on_stdout(self):
        for scheme, begins in (("standard-webhooks", "whsec_"), ("standard-webhooks-ed25519", "whsk_"),
                               ("http-message-signatures", "-----BEGIN PRIVATE KEY-----")):
            code, out, err = support.run("keygen", scheme)
            self.assertEqual(code, 0)
            self.assertTrue(out.startswith(begins))
            self.assertNotIn(out.strip(), err)
            self.assertIn("keys:", err)
        self.assertNotEqual(support.run("keygen", "stripe")[1], support.run("keygen", "stripe")[1])

    def test_what_is_wrong_is_said(self):
        for words in (["nope"], ["stripe", "--algorithm", "ed25519"], ["http-message-signatures", "--algorithm", "md5"],
                      ["stripe", "-o", "/nonexistent/file"], []):
            with self.subTest(words):
                code, out, err = support.run("keygen", *words)
                self.assertEqual((code, out), (2, ""))
                self.assertEqual(err.count("\n"), 1)


class SecretsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(support.temporary_folder()))
        self.receiver = self.enterContext(support.Receiver())

    def new_secret(self, name):
        path = self.folder / name
        secret = support.run("keygen", "standard-webhooks")[1]
        path.write_text(secret)
        path.chmod(0o600)
        return path, secret

    def send(self, egret):
        answer = support.post(egret, self.receiver.url(), b"{}", headers="Webhook-Id: evt_1\r\n")
        self.assertEqual(answer.status, 200)
        request = self.receiver.requests[-1]
        return request["webhook-timestamp"], request["webhook-signature"]

    def verifies(self, secret):
        key = self.folder / "verify"
        key.write_text(secret)
        with support.OwnReceiver("--key", str(key)) as own:
            self.assertEqual(support.post(self.egret, own.url(), b"{}").status, 200)
            support.wait_until(lambda: "answered" in own.said())
            return "NOT VERIFIED" not in own.said() and "VERIFIED" in own.said()

    def key(self, reference, more=""):
        return f"keys: {{k: {{scheme: standard-webhooks, {more}secrets: [{reference}]}}}}\n" + SIGNED

    def test_a_changed_file_is_used_without_a_signal(self):
        path, first = self.new_secret("secret")
        with support.Egret(self.key(f"{{file: {path}}}")) as self.egret:
            self.assertTrue(self.verifies(first))
            # What is being edited beside it is not for now.
            self.egret.config.write_text("keys: {broken")
            other, second = self.new_secret("other")
            other.rename(path)
            support.wait_until(lambda: any(event.endswith(f"{path} has changed") for event in self.egret.events()))
            self.assertTrue(self.verifies(second))
            self.assertFalse(self.verifies(first))
            path.write_text("garbage")
            support.wait_until(lambda: any("reload refused" in event for event in self.egret.events()))
            self.assertTrue(self.verifies(second), "the old secret stays")
            path.unlink()
            support.wait_until(lambda: sum("reload refused" in event for event in self.egret.events()) == 2)
            self.assertTrue(self.verifies(second))
            self.assertNotIn(second.strip(), self.egret.stderr())

    def test_a_swapped_link_is_a_change(self):
        for name in ("..one", "..two"):
            (self.folder / name).mkdir()
        path, first = self.new_secret("..one/secret")
        _, second = self.new_secret("..two/secret")
        data = self.folder / "..data"
        data.symlink_to("..one")
        (self.folder / "secret").symlink_to("..data/secret")
        with support.Egret(self.key(f"{{file: {self.folder}/secret}}")) as self.egret:
            self.assertTrue(self.verifies(first))
            (self.folder / "..new").symlink_to("..two")
            os.rename(self.folder / "..new", data)
            support.wait_until(lambda: any("configuration reloaded" in event for event in self.egret.events()))
            self.assertTrue(self.verifies(second))

    def test_a_command_is_run_again_by_a_reload_under_the_sandbox(self):
        path, first = self.new_secret("vault")
        for sandbox in ("auto", "off"):
            path.write_text(first)
            text = self.key(f"{{command: [/bin/cat, {path}]}}") + f"sandbox: {sandbox}\n"
            with self.subTest(sandbox), support.Egret(text) as self.egret:
                self.assertTrue(self.verifies(first))
                _, second = self.new_secret("vault")
                self.egret.reload()
                self.assertTrue(self.verifies(second))
                self.assertFalse(self.verifies(first))
                path.unlink()
                self.egret.reload("refused")
                self.assertTrue(self.verifies(second), "the old secret stays")
                self.assertIn('"/bin/cat" ended with 1', self.egret.stderr())

    def test_a_command_that_was_not_there_at_the_start_needs_a_restart(self):
        path, first = self.new_secret("vault")
        with support.Egret(self.key(f"{{file: {path}}}")) as self.egret:
            self.egret.write(self.key(f"{{command: [/bin/cat, {path}]}}"))
            self.egret.reload("refused")
            self.assertIn("restart it", self.egret.stderr())
            self.assertTrue(self.verifies(first))

    def test_the_process_that_runs_commands_ends_with_egret(self):
        path, _ = self.new_secret("vault")
        for how in ("stop", "kill"):
            with self.subTest(how):
                egret = support.Egret(self.key(f"{{command: [/bin/cat, {path}]}}"))
                children = pathlib.Path(f"/proc/{egret.process.pid}/task/{egret.process.pid}/children").read_text().split()
                self.assertEqual(len(children), 1)
                if how == "kill":
                    egret.process.kill()
                    egret.process.wait()
                    egret.stopped = True
                egret.stop()

                def gone():
                    try:
                        return "\nState:\tZ" in pathlib.Path(f"/proc/{children[0]}/status").read_text()
                    except FileNotFoundError:
                        return True

                support.wait_until(gone)

    def test_commands_that_fail_say_which_and_nothing_else(self):
        slow = self.folder / "slow"
        slow.write_text("#!/bin/sh\necho s3cret-s3cret; sleep 60\n")
        slow.chmod(0o700)
        for command, says in (("[/bin/false, s3cret]", "ended with 1"), ("[/nonexistent/x, s3cret]", "could not be started"),
                              ("[cat, s3cret]", "no absolute path"), ("[/bin/true, s3cret]", "is empty"),
                              ('[/bin/sh, -c, "head -c 100000 /dev/zero"]', "more than 64 KiB"),
                              (f"[{slow}]", "longer than 5 seconds")):
            with self.subTest(command):
                config = self.folder / "egret.yaml"
                config.write_text(self.key(f"{{command: {command}}}"))
                code, out, err = support.run("check", "-c", str(config))
                self.assertEqual(code, 2)
                self.assertIn(says, err)
                self.assertNotIn("s3cret", out + err)


class AdminTest(unittest.TestCase):
    MASTER = "whsec_bWFzdGVyLXNlY3JldC1vZi10aGlydHktYnl0ZXMtYQ=="
    TEXT = ("keys:\n  k: {scheme: standard-webhooks, derive: true, secrets: [{env: MASTER}]}\n"
            "  plain: {scheme: github, secrets: [{env: MASTER}]}\ndefaults: {sign: [k, plain]}\n")

    def test_a_derived_secret_is_told_where_nobody_listens_in(self):
        unix = self.TEXT + "admin: {address: 'unix:@FOLDER@/admin.sock'}\n"
        with support.Egret(unix, env={"MASTER": self.MASTER}) as egret:
            status, fields, text = egret.ask_admin("/v1/keys/k/derived?host=Hooks.Acme.io.")
            self.assertEqual((status, fields["Cache-Control"]), (200, "no-store"))
            told = json.loads(text)
            self.assertEqual((told["key"], told["host"]), ("k", "hooks.acme.io"))
            self.assertTrue(told["secrets"][0]["secret"].startswith("whsec_"))
            other = json.loads(egret.ask_admin("/v1/keys/k/derived?host=other.acme.io")[2])
            self.assertNotEqual(told["secrets"], other["secrets"])
            for path, status in (("/v1/keys/plain/derived?host=a.example", 404), ("/v1/keys/none/derived?host=a.example", 404),
                                 ("/v1/keys/k/derived", 400), ("/v1/keys/k/derived?host=", 400),
                                 ("/v1/keys/k/derived?host=a&host=b", 400), ("/v1/keys/k/derived?host=0x7f.1", 400),
                                 ("/v1/keys//derived", 404), ("/v1/keys/derived", 404)):
                with self.subTest(path):
                    self.assertEqual(egret.ask_admin(path)[0], status)
            self.assertEqual(egret.ask_admin("/v1/keys/k/derived?host=a.example", "POST")[0], 405)
            self.assertNotIn(told["secrets"][0]["secret"], egret.stderr())

    def test_without_a_token_on_tcp_it_is_not(self):
        with support.Egret(self.TEXT, env={"MASTER": self.MASTER}) as egret:
            status, _, text = egret.ask_admin("/v1/keys/k/derived?host=hooks.acme.io")
            self.assertEqual(status, 403)
            self.assertIn("admin.token", text)

    def test_with_a_token_it_is_for_who_has_it(self):
        text = self.TEXT + "admin: {address: 127.0.0.1:0, token: {env: TOKEN}}\n"
        with support.Egret(text, env={"MASTER": self.MASTER, "TOKEN": "let-me-in"}) as egret:
            path = "/v1/keys/k/derived?host=hooks.acme.io"
            self.assertEqual(egret.ask_admin(path)[0], 401)
            self.assertEqual(egret.ask_admin(path, Authorization="Bearer wrong")[0], 401)
            self.assertEqual(egret.ask_admin(path, Authorization="Bearer let-me-in")[0], 200)
            self.assertEqual(egret.ask_admin("/v1/keys/jwks.json")[0], 200, "public keys are everybody's")

    def test_what_is_told_verifies_what_is_sent(self):
        folder = pathlib.Path(self.enterContext(support.temporary_folder()))
        text = self.TEXT.replace("defaults: {", "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], ")
        with support.Egret(text + "admin: {address: 'unix:@FOLDER@/admin.sock'}\n", env={"MASTER": self.MASTER}) as egret:
            told = json.loads(egret.ask_admin("/v1/keys/k/derived?host=127.0.0.1")[2])
            key = folder / "key"
            key.write_text(told["secrets"][0]["secret"])
            with support.OwnReceiver("--key", str(key)) as receiver:
                self.assertEqual(support.post(egret, receiver.url()).status, 200)
                support.wait_until(lambda: "answered" in receiver.said())
                self.assertIn("VERIFIED (standard-webhooks", receiver.said())

    def test_public_keys_are_published_and_follow_a_reload(self):
        folder = pathlib.Path(self.enterContext(support.temporary_folder()))
        self.assertEqual(support.run("keygen", "http-message-signatures", "-o", str(folder / "key"))[0], 0)
        text = f"keys: {{k: {{scheme: http-message-signatures, algorithm: ed25519, secrets: [{{file: {folder}/key, id: one}}]}}}}\n" + SIGNED
        with support.Egret(text) as egret:
            status, fields, text = egret.ask_admin("/v1/keys/jwks.json")
            self.assertEqual((status, fields["Content-Type"]), (200, "application/jwk-set+json"))
            key, = json.loads(text)["keys"]
            self.assertEqual((key["kty"], key["crv"], key["kid"], key["use"]), ("OKP", "Ed25519", "one", "sig"))
            self.assertNotIn("d", key)
            egret.write(support.OPEN)
            egret.reload()
            self.assertEqual(json.loads(egret.ask_admin("/v1/keys/jwks.json")[2]), {"keys": []})


class ReceiveTest(unittest.TestCase):
    def test_a_key_that_it_cannot_use_is_said_with_what_to_do(self):
        key = pathlib.Path(self.enterContext(support.temporary_folder())) / "hub.secret"
        key.write_text("0123abcd\n")
        self.assertRegex(support.run("receive", "--key", str(key))[2], r"^egret: --key .*say its scheme \(--scheme\)\n$")
        self.assertRegex(support.run("receive", "--key", "/nope")[2], r'^egret: --key: cannot read "/nope"')

    def test_it_acts_up_as_told(self):
        for options, statuses in (((), [200, 200]), (("--status", "503"), [503, 503]), (("--fail", "1"), [503, 200]),
                                  (("--fail", "1", "--status", "429"), [429, 200]), (("--redirect", "http://a.example/"), [307, 307])):
            with self.subTest(options), support.OwnReceiver(*options) as receiver:
                host, _, port = receiver.authority.rpartition(":")
                with support.Sender((host, int(port))) as sender:
                    for status in statuses:
                        answer = sender.request(receiver.url(), b"hello")
                        self.assertEqual(answer.status, status)

    def test_nothing_in_a_request_disturbs_the_terminal(self):
        with support.OwnReceiver() as receiver:
            host, _, port = receiver.authority.rpartition(":")
            with support.Sender((host, int(port))) as sender:
                answer = sender.request("http://x/", b"\x1b]0;evil\x07\r\n\x00\xff", headers="X-Evil: \xc3\xa9\r\n")
                self.assertEqual(answer.status, 200)
            support.wait_until(lambda: "answered" in receiver.said())
            self.assertRegex(receiver.said(), r"^[\x20-\x7e\n]*$")

    def test_what_is_wrong_is_said(self):
        folder = pathlib.Path(self.enterContext(support.temporary_folder()))
        (folder / "odd").write_text("plain text")
        for words in (["--key", str(folder / "odd")], ["--key", "/nonexistent"], ["--scheme", "nope"], ["--delay", "2"],
                      ["--address", "localhost"], ["--status", "99"], ["--port", "99999"], ["--bogus"]):
            with self.subTest(words):
                code, out, err = support.run("receive", *words)
                self.assertEqual((code, out), (2, ""))
                self.assertEqual(err.count("\n"), 1, err)


if __name__ == "__main__":
    unittest.main()
