"""kill -9 at random points under load: every acknowledged webhook arrives, under its own id; what comes twice was under way at a kill.

EGRET_ROUNDS says how often (25); EGRET_SEED which points.
"""

import collections
import os
import pathlib
import random
import threading
import time
import unittest

import support

ROUNDS = int(os.environ.get("EGRET_ROUNDS", "25"))
SENDERS = 8
MOST_UNDER_WAY = 512  # attempts of one worker
TEXT = """queue: {store: "sqlite:@STORE@"}
log: {access: none}
defaults:
  addresses: {allow: [127.0.0.1/32]}
  ports: [1-65535]
  breaker: none
  headers: {set: {X-Life: "@LIFE@"}}
  delivery: {mode: async, schedule: [100ms, 500ms, 1s, 2s, 5s, 5s, 5s, 5s, 5s, 5s], jitter: 20%}
"""


class KillTest(unittest.TestCase):
    def test_every_acknowledged_webhook_arrives_whenever_egret_is_killed(self):
        seed = int(os.environ.get("EGRET_SEED", time.time_ns() % 2**32))
        dice = random.Random(seed)
        folder = pathlib.Path(self.enterContext(support.temporary_folder()))
        text = TEXT.replace("@STORE@", str(folder / "queue.db"))
        # id → the lives of Egret that sent it: what is taken after a kill may have been sent before.
        taken = collections.defaultdict(list)
        refused = set()  # once

        def respond(request):
            if request["webhook-id"].endswith("7") and request["webhook-id"] not in refused:
                refused.add(request["webhook-id"])
                return support.ok(status="503 Not Yet")
            taken[request["webhook-id"]].append(request["x-life"])
            return support.ok()

        acknowledged = set()
        with support.Receiver(respond, backlog=512) as receiver:
            for number in range(ROUNDS):
                self.one_round(text.replace("@LIFE@", str(number)), number, receiver.url(), acknowledged, dice.uniform(0.02, 0.4))
            with support.Egret(text.replace("@LIFE@", "last")) as egret:
                support.wait_until(lambda: egret.total("egret_queue_deliveries", state="queued") == 0
                                   and egret.total("egret_queue_deliveries", state="running") == 0, 90, "an empty queue")
                self.assertEqual(egret.total("egret_queue_deliveries", state="dead"), 0)
        lost = acknowledged - set(taken)
        doubled = {name: rounds for name, rounds in taken.items() if len(rounds) > 1}
        print(f"\nseed {seed}: {ROUNDS} kills, {len(acknowledged)} acknowledged, {len(lost)} lost, {len(taken)} arrived, "
              f"{len(doubled)} more than once", flush=True)
        self.assertGreater(len(acknowledged), ROUNDS)
        self.assertEqual(lost, set())
        for name, rounds in doubled.items():
            self.assertEqual(len(set(rounds)), len(rounds), f"{name} twice without a kill between: {rounds}")
        worst = collections.Counter(rounds[0] for rounds in doubled.values()).most_common(1)
        self.assertLessEqual(worst[0][1] if worst else 0, MOST_UNDER_WAY)

    def one_round(self, text, number, url, acknowledged, life):
        egret = support.Egret(text)
        ended = threading.Event()

        def send(thread):
            count = 0
            try:
                with support.Sender(egret.address) as sender:
                    while not ended.is_set():
                        count += 1
                        name = f"id-{number}-{thread}-{count}"
                        answer = sender.request(url, b"x" * (count % 3000), headers=f"webhook-id: {name}\r\n")
                        if answer is None:
                            return  # it was killed
                        if answer.status == 202 and answer.complete:
                            acknowledged.add(name)
            except (OSError, AssertionError, ValueError, IndexError):
                pass  # it was killed

        threads = [threading.Thread(target=send, args=(thread,)) for thread in range(SENDERS)]
        for thread in threads:
            thread.start()
        time.sleep(life)
        egret.process.kill()
        egret.process.wait()
        ended.set()
        for thread in threads:
            thread.join()
        egret.check_clean()
        egret.stopped = True
        egret.folder.cleanup()


if __name__ == "__main__":
    unittest.main()
