"""Destinations that are slow, silent or gone, at every phase: the sender gets an answer in time, and nothing stays behind."""

import socket
import threading
import time
import unittest

import support
from hostile import HostileCase, PATIENCE, TOTAL, drip, head_of


class HostileDestinationsTest(HostileCase):
    def test_a_destination_that_never_accepts(self):
        full = socket.socket()
        self.addCleanup(full.close)
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        answer = support.post(self.egret, f"http://127.0.0.1:{full.getsockname()[1]}/")
        self.assertEqual((answer.status, answer.reason), (504, "connection_timeout"), answer)
        self.assert_took(PATIENCE)

    def test_a_destination_that_says_nothing(self):
        quiet = self.destination(lambda connection: self.stop.wait(support.PATIENCE))
        answer = support.post(self.egret, quiet.url())
        self.assertEqual((answer.status, answer.reason), (504, "response_timeout"), answer)
        self.assert_took(PATIENCE)

    def test_a_destination_that_does_not_read(self):
        quiet = self.destination(lambda connection: self.stop.wait(support.PATIENCE))
        sender = self.sender()
        threading.Thread(target=self.send_all, args=(sender, quiet), daemon=True).start()
        answer = sender.answer()
        self.assertEqual((answer.status, answer.reason), (504, "write_timeout"), answer)

    def test_a_destination_whose_answer_drips(self):
        for name, first, rest in (("head", b"", b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 1000),
                                  ("body", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", bytes(1000)),
                                  ("chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 200)):
            with self.subTest(name):
                self.began = time.monotonic()

                def serve(connection, first=first, rest=rest):
                    self.request_only(connection)
                    connection.sendall(first)
                    drip(connection, rest, self.stop)

                dripping = self.destination(serve)
                sender = self.sender().send(head_of(dripping))
                if name == "head":
                    self.assertEqual(sender.answer().reason, "response_timeout")
                else:
                    self.assertNotIn(b"0\r\n\r\n", sender.read_to_end())
                    self.assertEqual(self.egret.wait_for_line(destination=dripping.url())["reason"], "total_timeout")
                    self.assert_took(TOTAL)

    def test_a_destination_that_stops_within_its_answer(self):
        def serve(connection):
            self.request_only(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            self.stop.wait(support.PATIENCE)

        stalling = self.destination(serve)
        with self.assertRaises(ConnectionResetError):  # so that nobody takes it for whole
            self.sender().send(head_of(stalling)).answer()
        self.assertEqual(self.egret.wait_for_line(destination=stalling.url())["reason"], "idle_timeout")

    def test_a_destination_that_resets_at_each_phase(self):
        def at(phase, reset=True):
            def serve(connection):
                if phase == "within the head":
                    connection.recv(10)
                elif phase not in ("at once", "within the body"):
                    self.request_only(connection)
                elif phase == "within the body":
                    connection.recv(4096)
                if phase == "within its head":
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
                if phase == "within its body":
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                if phase == "within its chunk":
                    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nhalf")
                if phase == "within a tunnel":
                    connection.sendall(b"some bytes")
                time.sleep(0.1)
                if reset:
                    support.close_by_reset(connection)
            return serve

        for reset in (True, False):
            for phase in ("at once", "within the head", "within the body", "after the request", "within its head", "within its body",
                          "within its chunk"):
                with self.subTest(phase, reset=reset):
                    destination = self.destination(at(phase, reset))
                    sender = self.sender()
                    body = bytes(1 << 20) if phase == "within the body" else b"{}"
                    sending = threading.Thread(target=self.send_quietly, args=(sender, head_of(destination, len(body)).encode() + body))
                    sending.start()
                    try:
                        answer = sender.answer()
                    except ConnectionResetError:
                        answer = None
                    sending.join()
                    if phase in ("within its body", "within its chunk"):
                        self.assertTrue(answer is None or not answer.complete, answer)
                    else:
                        self.assertEqual(answer.status, 502, answer)
                        self.assertIn(answer.reason, ("connection_terminated", "response_incomplete", "connection_failed"))
                    line = self.egret.wait_for_line(destination=destination.url())
                    self.assertIn(line["reason"], ("connection_terminated", "response_incomplete", "connection_failed"))
                    self.assertLess(line["total_ms"], 4500)

    def test_a_kept_connection_that_its_server_closed_is_not_the_senders_problem(self):
        def serve(connection):
            self.request_only(connection)
            connection.sendall(support.ok())
            time.sleep(0.05)  # and then closes, having promised to stay

        forgetful = self.destination(serve)
        with support.Sender(self.egret.address) as sender:
            for _ in range(5):
                self.assertEqual(sender.request(forgetful.url()).status, 200)
                time.sleep(0.2)

    def test_an_answer_before_the_body_was_read_is_passed_on(self):
        def serve(connection):
            connection.recv(1000)
            connection.sendall(support.ok(b"too much", "413 Content Too Large", "Connection: close\r\n"))
            connection.shutdown(socket.SHUT_WR)
            time.sleep(0.3)

        impatient = self.destination(serve)
        sender = self.sender()
        threading.Thread(target=self.send_all, args=(sender, impatient), daemon=True).start()
        answer = sender.answer()
        self.assertEqual((answer.status, answer.body), (413, b"too much"), answer)


if __name__ == "__main__":
    unittest.main()
