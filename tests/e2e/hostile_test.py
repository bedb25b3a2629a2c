"""Peers that are slow, silent or gone, at every phase: Egret answers or ends in time, and nothing stays behind."""

import contextlib
import socket
import threading
import time
import unittest

import support

LIMITS = ("defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], "
          "limits: {request_body: 64MiB, response_body: 64MiB}, "
          "timeouts: {connect: 1s, response: 1s, idle: 1s, total: 3s, tunnel: 3s}}\n")
BIG = bytes(32 << 20)  # more than all the sockets on the way can hold


def head_of(destination, length=0, method="POST"):
    return f"{method} {destination.url()} HTTP/1.1\r\nHost: {destination.authority}\r\nContent-Length: {length}\r\n\r\n"


def drip(sock, data, stop, interval=0.25):
    with contextlib.suppress(OSError):
        for number in range(len(data)):
            sock.sendall(data[number:number + 1])
            if stop.wait(interval):
                return


class HostileTest(unittest.TestCase):
    def setUp(self):
        self.egret = self.enterContext(support.Egret(LIMITS))
        self.stop = threading.Event()
        self.began = time.monotonic()

    def tearDown(self):
        self.stop.set()
        # Whatever happened: nothing is left, and it still works.
        self.egret.wait_for_rest()
        with support.Receiver() as receiver:
            self.assertEqual(support.post(self.egret, receiver.url()).status, 200)

    def assert_took(self, least, most=12):
        took = time.monotonic() - self.began
        self.assertGreaterEqual(took, least)
        self.assertLess(took, most)

    def sender(self):
        return self.enterContext(support.Sender(self.egret.address))

    def destination(self, serve):
        return self.enterContext(support.Listener(serve))

    def drip_in(self, sock, data):
        threading.Thread(target=drip, args=(sock, data, self.stop), daemon=True).start()

    def request_only(self, connection):
        with connection.makefile("rb") as stream:
            return support.read_request(stream)

    # -- senders

    def test_a_head_that_drips(self):
        sender = self.sender()
        self.drip_in(sender.sock, b"POST http://127.0.0.1/ HTTP/1.1\r\n" + b"X" * 1000)
        answer = sender.answer()
        self.assertEqual((answer.status, answer.reason), (408, "request_timeout"))
        self.assert_took(0.9)

    def test_a_connection_that_says_nothing(self):
        sender = self.sender()
        self.assertTrue(sender.closed())
        self.assert_took(0.9)
        self.assertEqual(self.egret.access(), [])

    def test_a_body_that_stops(self):
        with support.Receiver() as receiver:
            answer = self.sender().send(head_of(receiver, 100) + "half").answer()
            self.assertEqual((answer.status, answer.reason), (408, "request_timeout"))
            self.assert_took(0.9)
            self.assertEqual(receiver.requests, [])

    def test_a_body_that_drips(self):
        with support.Receiver() as receiver:
            sender = self.sender().send(head_of(receiver, 1000))
            self.drip_in(sender.sock, bytes(1000))
            answer = sender.answer()
            self.assertIn((answer.status, answer.reason), ((408, "request_timeout"), (504, "total_timeout")))
            self.assert_took(2.9)

    def test_a_sender_that_never_reads(self):
        with support.Receiver(lambda _: support.ok(BIG)) as receiver:
            sender = self.sender()
            sender.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sender.send(head_of(receiver))
            line = self.egret.wait_for_line(method="POST")
            self.assertEqual(line["reason"], "sender_idle")
            self.assert_took(0.9)
            self.egret.wait_for_rest()  # while the sender is still there

    def test_a_sender_that_pipelines_and_never_reads(self):
        with support.Receiver(lambda _: support.ok(bytes(64 << 10))) as receiver:
            sender = self.sender()
            sender.sock.settimeout(8)
            with contextlib.suppress(OSError):
                sender.send(head_of(receiver) * 2000)
            self.egret.wait_for_line(reason="sender_idle")
            self.assertLess(len(receiver.requests), 1000)

    def test_pipelined_requests_are_answered_in_order(self):
        with support.Receiver(lambda request: support.ok(request.body)) as receiver:
            sender = self.sender()
            sender.send(b"".join(head_of(receiver, 4).encode() + b"%04d" % number for number in range(300)))
            for number in range(300):
                self.assertEqual(sender.answer().body, b"%04d" % number)

    def test_a_sender_that_resets_at_each_phase(self):
        respond, release = support.held()
        slow = self.enterContext(support.Receiver(respond))
        big = self.enterContext(support.Receiver(lambda _: support.ok(BIG)))
        quiet = self.destination(lambda connection: self.stop.wait(support.PATIENCE))

        def in_tunnel(sender):
            self.assertEqual(sender.connect(quiet.authority).status, 200)
            sender.send("early bytes")

        phases = {
            "after connecting": lambda sender: None,
            "within the head": lambda sender: sender.send("POST http://127.0.0.1/ HT"),
            "after the head": lambda sender: sender.send(head_of(slow, 10)),
            "within the body": lambda sender: sender.send(head_of(slow, 10) + "12345"),
            "within a chunk": lambda sender: sender.send(
                head_of(slow).replace("Content-Length: 0", "Transfer-Encoding: chunked") + "A\r\n12345"),
            "before the answer": lambda sender: sender.send(head_of(slow)),
            "within the answer": lambda sender: sender.send(head_of(big)).sock.recv(1000),
            "in a tunnel": in_tunnel,
        }
        for phase, act in phases.items():
            with self.subTest(phase):
                sender = support.Sender(self.egret.address)
                act(sender)
                time.sleep(0.1)
                sender.reset()
                self.egret.wait_for_rest()
        release.set()
        for line in self.egret.access():
            self.assertNotEqual(line["reason"], "internal_error", line)

    def test_a_sender_that_hangs_up_ends_the_exchange_at_once(self):
        respond, release = support.held()
        with support.Receiver(respond) as slow, support.Egret(support.OPEN) as patient:
            sender = support.Sender(patient.address).send(head_of(slow))
            support.wait_until(lambda: slow.requests)
            sender.close()
            line = patient.wait_for_line(reason="sender_disconnected")
            self.assertEqual(line["status"], 0)
            self.assertLess(line["total_ms"], 10_000)
            release.set()
            patient.wait_for_rest()

    # -- destinations

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
        self.assert_took(0.9)

    def test_a_destination_that_says_nothing(self):
        quiet = self.destination(lambda connection: self.stop.wait(support.PATIENCE))
        answer = support.post(self.egret, quiet.url())
        self.assertEqual((answer.status, answer.reason), (504, "response_timeout"), answer)
        self.assert_took(0.9)

    def test_a_destination_that_does_not_read(self):
        quiet = self.destination(lambda connection: self.stop.wait(support.PATIENCE))
        sender = self.sender()
        threading.Thread(target=self.send_all, args=(sender, quiet), daemon=True).start()
        answer = sender.answer()
        self.assertEqual((answer.status, answer.reason), (504, "write_timeout"), answer)

    def send_all(self, sender, destination):
        self.send_quietly(sender, head_of(destination, len(BIG)).encode() + BIG)

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
                    self.assert_took(2.9)

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
                    self.assertLess(line["total_ms"], 2500)

    @staticmethod
    def send_quietly(sender, data):
        with contextlib.suppress(OSError):
            sender.send(data)

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

    # -- tunnels

    def test_a_tunnel_that_carries_nothing(self):
        quiet = self.destination(lambda connection: self.stop.wait(support.PATIENCE))
        sender = self.sender()
        self.assertEqual(sender.connect(quiet.authority).status, 200)
        self.assertTrue(sender.closed())
        self.assertEqual(self.egret.wait_for_line(method="CONNECT")["reason"], "tunnel_idle")
        self.assert_took(0.9)

    def test_a_tunnel_that_never_ends(self):
        chatty = self.destination(lambda connection: drip(connection, bytes(1000), self.stop, 0.1))
        sender = self.sender()
        self.assertEqual(sender.connect(chatty.authority).status, 200)
        sender.read_to_end()
        self.assertEqual(self.egret.wait_for_line(method="CONNECT")["reason"], "tunnel_expired")
        self.assert_took(2.9)

    def test_early_bytes_and_half_close_go_through_a_tunnel(self):
        def serve(connection):
            got = b""
            while piece := connection.recv(65536):
                got += piece
            connection.sendall(got[::-1])

        reverse = self.destination(serve)
        sender = self.sender()
        data = bytes(range(256)) * 4096
        sender.send(f"CONNECT {reverse.authority} HTTP/1.1\r\nHost: {reverse.authority}\r\n\r\n".encode() + data)
        sender.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(sender.answer("CONNECT").status, 200)
        self.assertEqual(sender.read_to_end(), data[::-1])
        line = self.egret.wait_for_line(method="CONNECT")
        self.assertEqual((line["reason"], line["request_bytes"], line["response_bytes"]), ("", len(data), len(data)))

    def test_a_tunnel_whose_ends_do_not_read(self):
        for name in ("sender", "destination"):
            with self.subTest(name):
                def serve(connection, name=name):
                    if name == "sender":
                        with contextlib.suppress(OSError):
                            connection.sendall(BIG)
                    self.stop.wait(support.PATIENCE)

                stubborn = self.destination(serve)
                sender = self.sender()
                self.assertEqual(sender.connect(stubborn.authority).status, 200)
                if name == "destination":
                    self.send_quietly(sender, BIG)
                line = self.egret.wait_for_line(destination=stubborn.authority)
                self.assertIn(line["reason"], ("tunnel_idle", "tunnel_expired"))

    def test_a_tunnel_that_one_end_resets(self):
        resetting = self.destination(lambda connection: (connection.recv(10), support.close_by_reset(connection)))
        sender = self.sender()
        self.assertEqual(sender.connect(resetting.authority).status, 200)
        sender.send("0123456789")
        sender.read_to_end()
        self.egret.wait_for_line(reason="tunnel_reset")


if __name__ == "__main__":
    unittest.main()
