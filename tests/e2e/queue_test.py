"""The queue as a sender, a destination and an operator see it: 202, delivery after a restart, refusals, one owner, what is in the file."""

import os
import pathlib
import shutil
import signal
import sqlite3
import stat
import subprocess
import unittest

import support

ASYNC = """queue: {store: "sqlite:@STORE@"}
defaults:
  addresses: {allow: [127.0.0.1/32]}
  ports: [1-65535]
  breaker: none
  delivery: {mode: async, schedule: [200ms, 200ms, 1s, 1s, 1s, 1s, 1s, 1s], jitter: 0%}
"""
SIX_LINES = "import requests, sys\nr = requests.post(sys.argv[1], data=b'{}')\nprint(r.status_code, r.headers['Egret-Delivery'])\n"


class QueueTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(support.temporary_folder()))
        self.store = self.folder / "queue.db"

    def egret(self, text=ASYNC, **more):
        return support.Egret(text.replace("@STORE@", str(self.store)), **more)

    def finished(self, egret, count, state="delivered"):
        return support.wait_until(lambda: egret.total("egret_queue_deliveries", state=state) >= count, what=f"{count} {state}")

    def test_an_unmodified_sender_is_told_202_and_its_webhook_arrives(self):
        with support.Receiver() as receiver, self.egret() as egret:
            done = subprocess.run([support.tool("python3"), "-c", SIX_LINES, receiver.url("/a?b=c")], check=True, capture_output=True, text=True,
                                  env={"HTTP_PROXY": egret.url, "http_proxy": egret.url}, timeout=60)
            self.assertRegex(done.stdout, r"^202 dlv_[0-9a-z]{35}\n$")
            self.finished(egret, 1)
            self.assertEqual([request.line for request in receiver.requests], ["POST /a?b=c HTTP/1.1"])
            line = egret.wait_for_line(listener="queue")
            self.assertEqual((line["status"], line["attempts"], line["success"]), (200, 1, True))
            self.assertEqual(line["delivery"], done.stdout.split()[1])
            egret.wait_for_rest()

    def test_a_restart_loses_nothing_and_doubles_nothing(self):
        up = [False]
        with support.Receiver(lambda _: support.ok() if up[0] else support.ok(status="503 Not Yet")) as receiver:
            ids = set()
            with self.egret() as egret:
                for number in range(20):
                    answer = support.post(egret, receiver.url(f"/{number}"), headers=f"webhook-id: id-{number}\r\n")
                    self.assertEqual(answer.status, 202)
                    ids.add(answer["Egret-Delivery"])
            self.assertEqual(len(ids), 20)
            up[0] = True
            with self.egret() as egret:
                self.finished(egret, 20)
                self.assertEqual(egret.total("egret_queue_deliveries", state="queued"), 0)
            taken = [request["webhook-id"] for request in receiver.requests]
            self.assertEqual(set(taken), {f"id-{number}" for number in range(20)})

    def test_what_policy_refuses_is_refused_now(self):
        with self.egret() as egret:
            for url, status, reason in (("http://10.0.0.1/", 403, "address_prohibited"), ("http://169.254.169.254/", 403, "address_prohibited"),
                                        ("http://user@127.0.0.1/", 400, "url_malformed")):
                answer = support.post(egret, url)
                self.assertEqual((answer.status, answer.reason), (status, reason))
            self.assertEqual(egret.total("egret_queue_accepted_total"), 0)

    def test_the_file_is_its_owners_and_holds_no_key(self):
        text = ASYNC.replace("  ports:", "  sign: [k]\n  headers: {set: {X-Api-Key: {env: API}}}\n  ports:") + (
            "keys: {k: {scheme: github, secrets: [{env: HUB}]}}\n"
            "senders: [{name: billing, credentials: {username: u, password: {env: WORD}}}]\n")
        secrets = {"HUB": "plant-hub-4471-plant", "API": "plant-api-9912", "WORD": "plant-word-3313"}
        with support.Receiver(lambda _: support.ok(status="500 No")) as receiver, self.egret(text, env=secrets) as egret:
            answer = support.post(egret, receiver.url(), headers="Proxy-Authorization: Basic dTpwbGFudC13b3JkLTMzMTM=\r\n")
            self.assertEqual(answer.status, 202)
            support.wait_until(lambda: receiver.requests)
            self.assertEqual(receiver.requests[0]["X-Api-Key"], secrets["API"])
            held = b""
            for path in sorted(self.folder.iterdir()):
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)
                held += path.read_bytes()
            self.assertIn(b"webhook-id", held)
            for secret in [*secrets.values(), "dTpwbGFudC13b3Jk"]:
                self.assertNotIn(secret.encode(), held)

    def test_a_copy_that_others_may_read_is_refused(self):
        with self.egret():
            pass
        self.store.chmod(0o644)
        for sandbox in ("off", "auto"):
            with self.subTest(sandbox=sandbox), self.assertRaisesRegex(AssertionError, f"{self.store} may be read by others than its owner; chmod 600"):
                self.egret(f"sandbox: {sandbox}\n" + ASYNC)

    def test_only_one_egret_has_the_store(self):
        with self.egret():
            with self.assertRaisesRegex(AssertionError, f"queue.store {self.store}: .*another process has it open"):
                self.egret()
            config = self.folder / "egret.yaml"
            config.write_text(ASYNC.replace("@STORE@", str(self.store)))
            code, out, err = support.run("check", "-c", str(config))
            self.assertEqual((code, err), (0, ""), out)

    def test_check_and_run_say_what_is_wrong_with_a_store(self):
        other = self.folder / "other.db"
        with sqlite3.connect(other) as database:
            database.execute("CREATE TABLE own (x)")
        database.close()
        text = self.folder / "text.db"
        text.write_text("no database " * 100)
        before = other.read_bytes()
        for path, wanted in ((other, "not one of Egret's"), (text, "no SQLite database"), (self.folder / "none" / "q.db", "there is no folder"),
                             (self.folder, "is a folder; name a file in it")):
            config = self.folder / "egret.yaml"
            config.write_text("listeners: [{address: 127.0.0.1:0}]\nadmin: {address: 127.0.0.1:0}\n" + ASYNC.replace("@STORE@", str(path)))
            code, _, err = support.run("check", "-c", str(config))
            self.assertEqual(code, 2, err)
            self.assertIn(wanted, err)
            code, _, err = support.run("run", "-c", str(config))
            self.assertEqual(code, 1, err)
            self.assertIn(wanted, err)
        self.assertEqual(other.read_bytes(), before)
        self.assertFalse((self.folder / "none").exists())

    def test_a_reload_changes_bounds_and_refuses_another_store(self):
        with support.Receiver(lambda _: support.ok(status="500 No")) as receiver, self.egret() as egret:
            self.assertEqual(support.post(egret, receiver.url()).status, 202)
            text = ASYNC.replace("@STORE@", str(self.store))
            egret.write(text.replace('"}', '", max_deliveries: 1}', 1))
            egret.reload()
            answer = support.post(egret, receiver.url())
            self.assertEqual((answer.status, answer.reason), (503, "queue_full"))
            self.assertTrue(answer["Retry-After"])
            egret.write(text.replace("queue.db", "other.db"))
            egret.reload("refused")
            egret.write(support.OPEN)
            egret.reload("refused")
            self.assertIn("`queue.store` needs a restart", egret.stderr())

    def test_a_full_disk_is_said_and_nothing_is_acknowledged_that_is_not_kept(self):
        small = self.folder / "small"
        small.mkdir()
        own = ["--mount"] if os.geteuid() == 0 else ["--map-root-user", "--mount"]
        wrapper = [support.tool("unshare"), *own, "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"', str(small)]
        up = [False]
        self.store = small / "queue.db"
        with support.Receiver(lambda _: support.ok() if up[0] else support.ok(status="500 No")) as receiver:
            with self.egret(wrapper=wrapper) as egret:
                statuses = [support.post(egret, receiver.url(), body=b"x" * 50_000).status for _ in range(40)]
                self.assertEqual(set(statuses), {202, 503})
                kept = statuses.count(202)
                answer = support.post(egret, receiver.url(), body=b"x" * 50_000)
                self.assertEqual(answer.reason, "queue_unavailable")
                self.assertIn("no space is left", answer.problem["detail"])
                self.assertEqual(egret.total("egret_queue_accepted_total", known="false"), kept)
                self.assertGreater(egret.total("egret_queue_store_failures_total"), 0)
                # As a crash leaves it, on a disk with room.
                egret.process.send_signal(signal.SIGSTOP)
                for path in pathlib.Path(f"/proc/{egret.process.pid}/root{small}").iterdir():
                    shutil.copy(path, self.folder)
                egret.process.kill()
                egret.process.wait()
                egret.check_clean()
                egret.stopped = True
            self.store = self.folder / "queue.db"
            up[0] = True
            receiver.requests.clear()
            with self.egret() as egret:
                self.finished(egret, kept)
                self.assertEqual(len(receiver.requests), kept)


if __name__ == "__main__":
    unittest.main()
