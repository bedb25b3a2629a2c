"""Where senders come in: TCP, Unix socket, several at once, several workers; and how many of them."""

import concurrent.futures
import os
import pathlib
import stat
import subprocess
import tempfile
import time
import unittest

import support
from hostile import head_of

PORTS = "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535]%s}\n"


class ListenersTest(unittest.TestCase):
    def setUp(self):
        self.receiver = self.enterContext(support.Receiver())

    def test_a_unix_socket(self):
        with support.Egret(support.OPEN + "listeners: [{address: 'unix:@FOLDER@/egret.sock'}]\n") as egret:
            path = str(egret.path / "egret.sock")
            self.assertEqual(egret.listening_at, [f"unix:{path}"])
            self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))
            with support.Sender(path) as sender:
                self.assertEqual(sender.request(self.receiver.url()).status, 200)
            done = subprocess.run([support.tool("curl"), "--silent", "--unix-socket", path, "--header",
                                   f"Egret-Target: {self.receiver.url('/by-target')}", "--data", "{}", "http://egret/"],
                                  capture_output=True, check=True, timeout=30)
            self.assertEqual(done.stdout, b"thanks")
            self.assertTrue(self.receiver.requests[-1].line.startswith("POST /by-target "))
            self.assertEqual(self.receiver.requests[-1]["Egret-Target"], "")
            self.assertEqual(egret.wait_for_line(method="POST")["listener"], f"unix:{path}")
            egret.stop()
            self.assertFalse(os.path.exists(path))

    def test_a_unix_socket_that_a_dead_egret_left_is_taken_over_and_a_living_one_is_not(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))
        text = support.OPEN + f"listeners: [{{address: 'unix:{folder}/egret.sock'}}]\n"
        first = support.Egret(text)
        first.process.kill()
        first.wait()
        with support.Egret(text):
            path = pathlib.Path(folder, "second.yaml")
            path.write_text(text + "admin: {address: 127.0.0.1:0}\n", encoding="utf-8")
            code, _, err = support.run("run", "-c", str(path))
            self.assertEqual(code, 1)
            self.assertIn("egret.sock", err)
            with support.Sender(f"{folder}/egret.sock") as sender:
                self.assertEqual(sender.request(self.receiver.url()).status, 200)
        first.folder.cleanup()

    def test_a_tcp_address_belongs_to_one_egret(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))
        with support.Egret("workers: 2\n") as egret:
            host, port = egret.address
            for text in (f"listeners: [{{address: '{host}:{port}'}}]\nadmin: {{address: '127.0.0.1:0'}}\n",
                         f"listeners: [{{address: '127.0.0.1:0'}}]\nadmin: {{address: '{egret.admin[0]}:{egret.admin[1]}'}}\n"):
                with self.subTest(text):
                    path = pathlib.Path(folder, "second.yaml")
                    path.write_text(text, encoding="utf-8")
                    code, _, err = support.run("run", "-c", str(path))
                    self.assertEqual(code, 1)
                    self.assertIn("in use", err)

    def test_several_listeners_and_their_senders(self):
        text = ("listeners: [{address: 127.0.0.1:0}, {address: '[::1]:0'}, {address: 'unix:@FOLDER@/egret.sock'}]\n"
                "senders: [{name: sidecar, listeners: ['unix:@FOLDER@/egret.sock']}, {name: six, networks: ['::1']}]\n")
        with support.Egret(support.OPEN + text) as egret:
            v4, v6 = (next(egret.endpoint(each) for each in egret.listening_at if each.startswith(start)) for start in ("127.", "["))
            for address, status, sender_name in ((str(egret.path / "egret.sock"), 200, "sidecar"), (v6, 200, "six"), (v4, 403, "")):
                with self.subTest(address), support.Sender(address) as sender:
                    answer = sender.request(self.receiver.url(f"/{status}-{sender_name}"))
                    self.assertEqual(answer.status, status, answer)
                    line = egret.wait_for_line(destination=self.receiver.url(f"/{status}-{sender_name}"))
                    self.assertEqual(line["sender"], sender_name)
                    if status == 403:
                        self.assertEqual(answer.reason, "sender_unknown")

    def test_an_address_that_is_taken_is_an_error_that_names_it(self):
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-")), "egret.yaml")
        for text in (f"listeners: [{{address: 127.0.0.1:{self.receiver.port}}}]\nadmin: {{address: 127.0.0.1:0}}\n",
                     f"listeners: [{{address: 127.0.0.1:0}}]\nadmin: {{address: 127.0.0.1:{self.receiver.port}}}\n"):
            path.write_text(text, encoding="utf-8")
            code, _, err = support.run("run", "-c", str(path))
            self.assertEqual(code, 1)
            self.assertIn(f"127.0.0.1:{self.receiver.port}", err)

    def test_max_connections(self):
        with support.Egret(support.OPEN + "listeners: [{address: 127.0.0.1:0, max_connections: 5}]\nworkers: 2\n") as egret:
            respond, release = support.held()
            slow = self.enterContext(support.Receiver(respond))
            # Each has a request under way: an idle one would make room.
            taken = [support.Sender(egret.address).send(head_of(slow)) for _ in range(5)]
            support.wait_until(lambda: len(slow.requests) == 5)
            with support.Sender(egret.address) as one_too_many:
                answer = one_too_many.answer()
                self.assertEqual((answer.status, answer.reason, answer["Retry-After"]), (503, "connection_limit", "1"))
                self.assertTrue(one_too_many.closed())
            release.set()
            taken.pop().close()
            support.wait_until(lambda: egret.total("egret_sender_connections") == 4)
            with support.Sender(egret.address) as sender:
                self.assertEqual(sender.request(self.receiver.url()).status, 200)
            for sender in taken:
                sender.close()
            egret.wait_for_rest()

    def test_an_idle_connection_makes_room_for_a_new_one(self):
        with support.Egret(support.OPEN + "listeners: [{address: 127.0.0.1:0, max_connections: 2}]\nworkers: 1\n") as egret:
            with support.Sender(egret.address) as silent, support.Sender(egret.address) as used:
                time.sleep(1.1)  # idle for less, it is taken for one whose next request is on its way
                self.assertEqual(used.request(self.receiver.url()).status, 200)
                self.assertEqual(support.post(egret, self.receiver.url()).status, 200)
                self.assertTrue(silent.closed())
                self.assertEqual(used.request(self.receiver.url()).status, 200)
            egret.wait_for_rest()

    def test_being_turned_away_has_a_limit_too(self):
        with support.Egret(support.OPEN + "listeners: [{address: 127.0.0.1:0, max_connections: 1}]\nworkers: 1\n") as egret:
            respond, release = support.held()
            slow = self.enterContext(support.Receiver(respond))
            with support.Sender(egret.address).send(head_of(slow)) as taken:
                support.wait_until(lambda: len(slow.requests) == 1)
                others = [support.Sender(egret.address) for _ in range(100)]
                told = 0
                for sender in others:
                    try:
                        told += sender.sock.recv(4096).startswith(b"HTTP/1.1 503 ")
                    except ConnectionResetError:
                        pass
                self.assertEqual(told, 64)
                release.set()
                self.assertEqual(taken.answer().status, 200)
                self.assertEqual(taken.request(self.receiver.url()).status, 200)
                for sender in others:
                    sender.close()
            egret.wait_for_rest()

    def test_two_workers_both_serve(self):
        with support.Egret(support.OPEN + "workers: 2\n") as egret:
            self.assertEqual(egret.total("egret_workers"), 2)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: support.post(egret, self.receiver.url()).status, range(64)))
            self.assertEqual(answers, [200] * 64)
            self.assertEqual(egret.total("egret_exchanges_total", reason="none", code="2xx"), 64)
            # Request ids begin at a random place in each worker: two runs of numbers, two workers.
            numbers = sorted(int(line["request_id"], 16) for line in
                             support.wait_until(lambda: egret.access() if len(egret.access()) == 64 else None))
            runs = 1 + sum(later - earlier > 1000 for earlier, later in zip(numbers, numbers[1:]))
            self.assertEqual(runs, 2)

    def test_in_flight_per_host_holds_across_workers(self):
        respond, release = support.held()
        slow = self.enterContext(support.Receiver(respond))
        with support.Egret(PORTS % ", limits: {in_flight_per_host: 8}" + "workers: 2\n") as egret:
            senders = [support.Sender(egret.address) for _ in range(24)]
            for sender in senders:
                sender.send(f"POST {slow.url()} HTTP/1.1\r\nHost: {slow.authority}\r\nContent-Length: 0\r\n\r\n")
            support.wait_until(lambda: egret.total("egret_exchanges_total", reason="in_flight_limit") == 16)
            support.wait_until(lambda: len(slow.requests) == 8)
            # Another host is not held up.
            self.assertEqual(support.post(egret, self.receiver.url()).status, 200)
            release.set()
            answers = [sender.answer() for sender in senders]
            self.assertEqual(sorted(answer.status for answer in answers), [200] * 8 + [429] * 16)
            refused = next(answer for answer in answers if answer.status == 429)
            self.assertEqual((refused.reason, refused["Retry-After"]), ("in_flight_limit", "1"))
            self.assertEqual(support.post(egret, slow.url()).status, 200)
            for sender in senders:
                sender.close()
            egret.wait_for_rest()

    def test_tunnels_count_too(self):
        with support.Egret(PORTS % ", limits: {in_flight_per_host: 1}") as egret, support.Sender(egret.address) as first:
            self.assertEqual(first.connect(self.receiver.authority).status, 200)
            with support.Sender(egret.address) as second:
                self.assertEqual(second.connect(self.receiver.authority).status, 429)
            first.close()
            egret.wait_for_rest()
            with support.Sender(egret.address) as third:
                self.assertEqual(third.connect(self.receiver.authority).status, 200)


if __name__ == "__main__":
    unittest.main()
