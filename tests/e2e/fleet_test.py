"""Three Egrets on one PostgreSQL: they share what there is to deliver, and what one drops another picks up.

EGRET_ROUNDS says how often something is killed (4); EGRET_SEED what and when.
"""

import collections
import contextlib
import os
import random
import signal
import threading
import time
import unittest

import postgres
import support

ROUNDS = int(os.environ.get("EGRET_ROUNDS", "4"))
TEXT = """queue: {store: "@URI@"}
log: {access: none}
defaults:
  addresses: {allow: [127.0.0.1/32]}
  ports: [1-65535]
  breaker: none
  limits: {in_flight_per_host: 8}
  delivery: {mode: async, schedule: [200ms, 200ms, 500ms, 500ms, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s], jitter: 20%}
rules:
  - name: sync
    match: {paths: ["/sync"]}
    delivery: {mode: sync}
"""


class Load:
    """Senders that post to whichever Egrets there are, and remember what was acknowledged."""

    def __init__(self, egrets, url, senders=6, path="/"):
        self.egrets, self.url, self.path = egrets, url, path
        self.acknowledged, self.statuses = set(), collections.Counter()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.send, args=(number,)) for number in range(senders)]

    def send(self, number):
        count = 0
        while not self.ended.is_set():
            egret = self.egrets[(number + count) % len(self.egrets)]
            count += 1
            name = f"id-{id(self)}-{number}-{count}"
            try:
                with support.Sender(egret.address) as sender:
                    answer = sender.request(self.url + self.path, b"x" * (count % 2000), headers=f"webhook-id: {name}\r\n")
            except (OSError, ValueError, IndexError):
                time.sleep(0.02)  # it is gone, or not there yet
                continue
            if answer is None or not answer.complete:
                continue
            self.statuses[answer.status] += 1
            if answer.status == 202:
                self.acknowledged.add(name)
            elif answer.status == 503:
                time.sleep(0.05)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()


class FleetTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.postgres = postgres.Postgres()
        cls.addClassCleanup(cls.postgres.close)

    def setUp(self):
        self.schema = self._testMethodName[5:45]
        self.text = TEXT.replace("@URI@", self.postgres.schema(self.schema))
        self.taken = collections.Counter()
        self.stack = self.enterContext(contextlib.ExitStack())

    def egret(self):
        return support.Egret(self.text)

    def fleet(self, count=3):
        return [self.stack.enter_context(self.egret()) for _ in range(count)]

    def receiver(self, respond=None):
        def taking(request):
            self.taken[request["webhook-id"]] += 1
            return support.ok() if respond is None else respond(request)

        return self.stack.enter_context(support.Receiver(taking, backlog=512))

    def wait_until_empty(self, seconds=60):
        def empty():
            time.sleep(0.1)
            return self.count("SELECT count(*) FROM egret_deliveries WHERE state IN (0, 1)") == 0

        support.wait_until(empty, seconds, "an empty queue")
        self.assertEqual(self.count("SELECT count(*) FROM egret_deliveries WHERE state <> 2"), 0, "all delivered")

    def count(self, sql):
        return int(self.postgres.sql(sql, self.schema))

    def kill(self, egret):
        egret.process.kill()
        egret.process.wait()
        egret.check_clean()
        egret.stopped = True
        egret.folder.cleanup()

    def test_what_all_have_accepted_is_shared(self):
        receivers = [self.receiver(lambda _: time.sleep(0.05) or support.ok()) for _ in range(4)]
        egrets = self.fleet()
        ids = set()
        for number in range(90):
            answer = support.post(egrets[number % 3], receivers[number % 4].url(), headers=f"webhook-id: id-{number}\r\n")
            self.assertEqual(answer.status, 202)
            ids.add(f"id-{number}")
        self.wait_until_empty()
        self.assertEqual(self.taken, collections.Counter(ids), "each of them once")
        support.wait_until(lambda: all(egret.total("egret_queue_deliveries", state="delivered") == 90 for egret in egrets), what="90 for all")
        delivered = [egret.total("egret_queue_attempts_total", outcome="delivered") for egret in egrets]
        self.assertEqual(sum(delivered), 90)
        self.assertGreater(min(delivered), 0, delivered)

    def test_what_a_killed_one_has_borrowed_others_deliver(self):
        first = self.egret()
        arrived, release = threading.Event(), threading.Event()

        def respond(_):
            arrived.set()
            release.wait(support.PATIENCE)
            return support.ok()

        receiver = self.receiver(respond)
        self.assertEqual(support.post(first, receiver.url(), headers="webhook-id: id-1\r\n").status, 202)
        self.assertTrue(arrived.wait(support.PATIENCE))
        self.fleet(1)
        self.kill(first)
        self.assertEqual(self.count("SELECT count(*) FROM egret_deliveries WHERE state = 1"), 1)
        release.set()
        self.wait_until_empty()
        self.assertEqual(self.taken, {"id-1": 2}, "the one that was under way comes twice")
        self.assertEqual(self.count("SELECT count(*) FROM egret_owners"), 1)

    def test_a_destinations_width_holds_over_all(self):
        lock, now, most = threading.Lock(), [0], [0]

        def respond(_):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
            return support.ok()

        receiver = self.receiver(respond)
        self.text = self.text.replace("in_flight_per_host: 8", "in_flight_per_host: 4")
        egrets = self.fleet()
        for number in range(150):
            self.assertEqual(support.post(egrets[number % 3], receiver.url(), headers=f"webhook-id: id-{number}\r\n").status, 202)
        self.wait_until_empty()
        self.assertEqual(len(self.taken), 150)
        self.assertEqual(set(self.taken.values()), {1})
        self.assertLessEqual(most[0], 4)
        self.assertGreater(most[0], 1)

    def test_a_rolling_restart_loses_nothing_and_doubles_nothing(self):
        receiver = self.receiver()
        egrets = [self.egret() for _ in range(3)]
        try:
            with Load(egrets, receiver.url("")) as load:
                for index in range(3):
                    time.sleep(0.3)
                    leaving, egrets[index] = egrets[index], egrets[(index + 1) % 3]
                    leaving.stop()
                    egrets[index] = self.egret()
                time.sleep(0.3)
            self.wait_until_empty()
        finally:
            for egret in set(egrets):
                egret.stop()
        self.assertGreater(len(load.acknowledged), 30)
        self.assertEqual(load.acknowledged - set(self.taken), set())
        self.assertEqual({name for name, times in self.taken.items() if times > 1}, set())

    def test_postgresql_restarts_and_nobody_who_waits_feels_it(self):
        receiver = self.receiver()
        egrets = self.fleet()
        with Load(egrets, receiver.url("")) as load, Load(egrets, receiver.url(""), senders=2, path="/sync") as sync:
            time.sleep(0.5)
            self.postgres.stop()
            before = sum(sync.statuses.values())
            support.wait_until(lambda: load.statuses[503] > 3 and sum(sync.statuses.values()) > before + 10, what="refusals and answers")
            self.postgres.start()
            after = len(load.acknowledged)
            support.wait_until(lambda: len(load.acknowledged) > after + 20, what="acceptances")
        self.wait_until_empty()
        self.assertEqual(load.acknowledged - set(self.taken), set())
        self.assertEqual(set(sync.statuses), {200})
        self.assertEqual(set(load.statuses), {202, 503})
        for egret in egrets:
            # The others may have had everything before this one came back.
            support.wait_until(lambda: "is there again" in "\n".join(egret.events()), what="a connection")
            said = "\n".join(egret.events())
            self.assertEqual(said.count("It is tried again and again."), 1, said)
            self.assertEqual(said.count("is there again"), 1, said)

    def test_whatever_is_killed_nothing_acknowledged_is_lost(self):
        seed = int(os.environ.get("EGRET_SEED", time.time_ns() % 2**32))
        dice = random.Random(seed)
        receiver = self.receiver()
        egrets = [self.egret() for _ in range(3)]
        try:
            with Load(egrets, receiver.url("")) as load:
                for _ in range(ROUNDS):
                    time.sleep(dice.uniform(0.1, 0.6))
                    if dice.random() < 0.5:
                        index = dice.randrange(3)
                        dead, egrets[index] = egrets[index], egrets[(index + 1) % 3]
                        self.kill(dead)
                        egrets[index] = self.egret()
                    else:
                        self.postgres.stop(signal.SIGKILL)
                        self.postgres.start()
            # Eight at once of one destination, half of them the queue's: a long run has much to deliver.
            self.wait_until_empty(max(90, len(load.acknowledged) / 200))
        finally:
            for egret in set(egrets):
                egret.stop()
        lost = load.acknowledged - set(self.taken)
        doubled = sum(1 for times in self.taken.values() if times > 1)
        print(f"\nseed {seed}: {ROUNDS} kills, {len(load.acknowledged)} acknowledged, {len(lost)} lost, {len(self.taken)} arrived, "
              f"{doubled} more than once", flush=True)
        self.assertGreater(len(load.acknowledged), ROUNDS)
        self.assertEqual(lost, set())

    def test_over_tcp_by_name_and_confined(self):
        receiver = self.receiver()
        with postgres.Forwarder(self.postgres) as forwarder:
            own = self.postgres.uri(self.schema)
            self.text = "sandbox: required\n" + self.text.replace(own, forwarder.uri(self.schema))
            with self.egret() as egret:
                self.assertEqual(support.post(egret, receiver.url()).status, 202)
                self.wait_until_empty()
                self.assertIn("sandbox: no new privileges", egret.stderr())
                forwarder.cut()
                self.assertEqual(support.post(egret, receiver.url()).status, 202, "it is connected again")
                self.wait_until_empty()

    def test_check_and_run_say_what_is_wrong(self):
        folder = self.enterContext(support.temporary_folder())
        config = f"{folder}/egret.yaml"

        def outcome(command, uri):
            with open(config, "w", encoding="utf-8") as file:
                file.write("listeners: [{address: 127.0.0.1:0}]\nadmin: {address: 127.0.0.1:0}\n" + TEXT.replace("@URI@", uri))
            return support.run(command, "-c", config)

        uri = self.postgres.uri(self.schema)
        self.assertEqual(outcome("check", uri)[0], 0)
        self.assertEqual(self.count(f"SELECT count(*) FROM information_schema.tables WHERE table_schema = '{self.schema}'"), 0)
        for wrong, wanted, code in ((uri + "&oops=1", "oops", 2), (uri.replace(str(self.postgres.folder), "/nowhere"), "No such file", 0),
                                    (uri.replace("/postgres", "/other"), "does not exist", 0)):
            got, out, err = outcome("check", wrong)
            self.assertEqual((got, "ok (" in out), (code, code == 0), err)
            self.assertIn(f"{config}: {'' if code else 'warning: '}queue.store: The queue's store: PostgreSQL: ", err)
            self.assertIn(wanted, err)
            self.assertEqual("Egret starts all the same" in err, code == 0, err)
        with self.egret():
            pass
        self.postgres.sql("UPDATE egret_schema SET version = 99", self.schema)
        for command, code in (("check", 2), ("run", 1)):
            got, _, err = outcome(command, uri)
            self.assertEqual(got, code, err)
            self.assertIn("a later version of Egret", err)

    def test_a_password_comes_from_a_file_and_is_said_to_be_wrong(self):
        own = self.postgres.folder / "data" / "pg_hba.conf"
        before = own.read_text(encoding="utf-8")
        self.postgres.sql("CREATE ROLE guarded LOGIN PASSWORD 'plant-right'")
        self.postgres.sql(f"GRANT ALL ON SCHEMA {self.schema} TO guarded")
        own.write_text("local all guarded scram-sha-256\n" + before, encoding="utf-8")
        self.postgres.sql("SELECT pg_reload_conf()")
        folder = self.enterContext(support.temporary_folder())
        uri = self.postgres.uri(self.schema).replace("egret@", "guarded@")
        text = TEXT.replace('"@URI@"', f'"{uri}", password: {{file: "{folder}/word"}}')
        for word, wanted in (("plant-wrong", "password authentication failed"), ("plant-right", "")):
            with open(f"{folder}/word", "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(word)
            with open(f"{folder}/egret.yaml", "w", encoding="utf-8") as file:
                file.write(text)
            code, out, err = support.run("check", "-c", f"{folder}/egret.yaml")
            self.assertEqual((code, "warning: queue.store" in err), (0, bool(wanted)), err)
            self.assertIn(wanted, err)
            self.assertNotIn("plant", out + err)
        receiver = self.receiver()
        self.text = text
        with self.egret() as egret:
            self.assertEqual(support.post(egret, receiver.url()).status, 202)
            self.wait_until_empty()
            self.assertNotIn("plant", egret.stderr())


if __name__ == "__main__":
    unittest.main()
