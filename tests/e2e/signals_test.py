"""SIGHUP reloads and keeps the old on error; SIGTERM drains; a second one stops."""

import signal
import time
import unittest

import support

DENY = "rules: [{name: closed, action: deny}]\n"


class ReloadTest(unittest.TestCase):
    def setUp(self):
        self.receiver = self.enterContext(support.Receiver())
        self.egret = self.enterContext(support.Egret(support.OPEN))

    def post(self):
        return support.post(self.egret, self.receiver.url())

    def test_a_new_configuration_is_applied(self):
        self.assertEqual(self.post().status, 200)
        self.egret.write(support.OPEN + DENY)
        self.egret.reload()
        answer = self.post()
        self.assertEqual((answer.status, answer.problem["rule"]), (403, "closed"))
        self.egret.write(support.OPEN)
        self.egret.reload()
        self.assertEqual(self.post().status, 200)
        self.assertEqual(self.egret.total("egret_reloads_total", result="applied"), 2)

    def test_it_applies_to_connections_that_are_open(self):
        with support.Sender(self.egret.address) as sender:
            self.assertEqual(sender.request(self.receiver.url()).status, 200)
            self.egret.write(DENY)
            self.egret.reload()
            self.assertEqual(sender.request(self.receiver.url()).status, 403)

    def test_a_wrong_one_is_refused_and_the_old_stays(self):
        for text in ("nonsense: true\n", "workers: 2\n" + DENY, "admin: {address: 127.0.0.1:1}\n" + DENY, "[", "",
                     DENY + "log: {access: /proc/none/access.log}\n"):
            with self.subTest(text):
                self.egret.write(text)
                if not text:
                    self.egret.config.unlink()
                self.egret.reload("refused")
                self.assertEqual(self.post().status, 200)
        self.egret.write(support.OPEN + DENY)
        self.egret.reload()
        self.assertEqual(self.post().status, 403)

    def test_refusals_are_counted(self):
        self.egret.write("nonsense: true\n")
        self.egret.reload("refused")
        self.assertIn("unknown key", self.egret.stderr())
        self.assertEqual(self.egret.total("egret_reloads_total", result="refused"), 1)

    def test_an_open_exchange_finishes_with_what_it_began_with(self):
        respond, release = support.held()
        with support.Receiver(respond) as slow, support.Sender(self.egret.address) as sender:
            sender.send(f"POST {slow.url()} HTTP/1.1\r\nHost: {slow.authority}\r\nContent-Length: 2\r\n\r\n{{}}")
            support.wait_until(lambda: slow.requests)
            self.egret.write(DENY)
            self.egret.reload()
            self.assertEqual(self.post().status, 403)
            release.set()
            answer = sender.answer()
            self.assertEqual((answer.status, answer.body), (200, b"thanks"))
            self.assertEqual(sender.request(slow.url()).status, 403)
        self.egret.wait_for_rest()

    def test_an_open_tunnel_stays(self):
        with support.Listener(lambda connection: connection.sendall(connection.recv(100).upper())) as echo, \
                support.Sender(self.egret.address) as sender:
            self.assertEqual(sender.connect(echo.authority).status, 200)
            self.egret.write(DENY)
            self.egret.reload()
            self.assertEqual(sender.send("still there").read_to_end(), b"STILL THERE")

    def test_listeners_come_and_go(self):
        # Sockets in a folder that had one at the start: see sandbox_test.
        self.egret = self.enterContext(support.Egret(
            support.OPEN + "listeners: [{address: 127.0.0.1:0}, {address: 'unix:@FOLDER@/first.sock'}]\n"))
        self.egret.write(support.OPEN + "listeners: [{address: 127.0.0.1:0}, {address: 'unix:@FOLDER@/egret.sock'}]\n")
        self.egret.reload()
        path = str(self.egret.path / "egret.sock")
        with support.Sender(path) as sender:
            self.assertEqual(sender.request(self.receiver.url()).status, 200)
            self.egret.write(support.OPEN)
            self.egret.reload()
            with self.assertRaises(OSError):
                support.Sender(path)
            # Who is connected may stay.
            self.assertEqual(sender.request(self.receiver.url()).status, 200)
        self.assertEqual(self.post().status, 200)

    def test_reloading_without_end_loses_nothing(self):
        with support.Sender(self.egret.address) as sender:
            for number in range(20):
                self.egret.write(support.OPEN + f"rules: [{{name: number-{number}}}]\n")
                self.egret.process.send_signal(signal.SIGHUP)
                for _ in range(5):
                    self.assertEqual(sender.request(self.receiver.url()).status, 200)
        support.wait_until(lambda: self.egret.events()[-1].startswith("configuration reloaded"))
        self.egret.wait_for_rest()


class DrainTest(unittest.TestCase):
    def test_what_is_under_way_finishes_and_then_the_connection_closes(self):
        respond, release = support.held()
        with support.Receiver(respond) as slow, support.Egret(support.OPEN) as egret:
            idle, sender = support.Sender(egret.address), support.Sender(egret.address)
            used = support.Sender(egret.address)
            self.assertEqual(used.request("http://10.0.0.1/").status, 403)
            sender.send(f"POST {slow.url()} HTTP/1.1\r\nHost: {slow.authority}\r\nContent-Length: 2\r\n\r\n{{}}")
            support.wait_until(lambda: slow.requests)
            self.assertEqual(egret.ask_admin("/readyz")[0], 200)
            egret.terminate()
            support.wait_until(lambda: egret.ask_admin("/readyz")[0] == 503)
            self.assertEqual(egret.ask_admin("/healthz")[0], 200)
            self.assertEqual(egret.total("egret_draining"), 1)
            self.assertTrue(idle.closed())
            self.assertTrue(used.closed())
            with self.assertRaises(OSError):
                support.Sender(egret.address)

            self.assertIsNone(egret.process.poll())
            release.set()
            answer = sender.answer()
            self.assertEqual((answer.status, answer.body), (200, b"thanks"))
            self.assertEqual(answer["Connection"].lower(), "close")
            self.assertTrue(sender.closed())
            self.assertEqual(egret.wait(), 0)

    def test_an_idle_gateway_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number), support.Egret() as egret:
                with support.Receiver() as receiver:
                    self.assertEqual(support.post(egret, f"http://10.0.0.1:{receiver.port}/").status, 403)
                began = time.monotonic()
                egret.process.send_signal(number)
                self.assertEqual(egret.wait(), 0)
                self.assertLess(time.monotonic() - began, 10)

    def test_a_second_signal_stops(self):
        respond, release = support.held()
        with support.Receiver(respond) as slow:
            egret = support.Egret(support.OPEN)
            with support.Sender(egret.address) as sender:
                sender.send(f"GET {slow.url()} HTTP/1.1\r\nHost: {slow.authority}\r\n\r\n")
                support.wait_until(lambda: slow.requests)
                egret.terminate()
                support.wait_until(lambda: egret.ask_admin("/readyz")[0] == 503)
                began = time.monotonic()
                egret.terminate()
                self.assertEqual(egret.wait(), 1)
                self.assertLess(time.monotonic() - began, 10)
                self.assertIn("second signal", egret.stderr())
                self.assertEqual(egret.wait_for_line(method="GET")["reason"], "stopped")
                self.assertIsNone(sender.answer() if not sender.closed() else None)
            release.set()
            egret.stop(code=1)

    def test_sighup_while_draining_changes_nothing(self):
        respond, release = support.held()
        with support.Receiver(respond) as slow, support.Egret(support.OPEN) as egret, support.Sender(egret.address) as sender:
            sender.send(f"GET {slow.url()} HTTP/1.1\r\nHost: {slow.authority}\r\n\r\n")
            support.wait_until(lambda: slow.requests)
            egret.terminate()
            support.wait_until(lambda: egret.ask_admin("/readyz")[0] == 503)
            egret.process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
            self.assertIsNone(egret.process.poll())
            release.set()
            self.assertEqual(sender.answer("GET").status, 200)
            self.assertEqual(egret.wait(), 0)


if __name__ == "__main__":
    unittest.main()
