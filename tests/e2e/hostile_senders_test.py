"""Senders that are slow, silent or gone, at every phase: Egret answers or ends in time, and nothing stays behind."""

import contextlib
import socket
import time
import unittest

import support
from hostile import HostileCase, BIG, PATIENCE, TOTAL, head_of


class HostileSendersTest(HostileCase):
    def test_a_head_that_drips(self):
        sender = self.sender()
        self.drip_in(sender.sock, b"POST http://127.0.0.1/ HTTP/1.1\r\n" + b"X" * 1000)
        answer = sender.answer()
        self.assertEqual((answer.status, answer.reason), (408, "request_timeout"))
        self.assert_took(PATIENCE)

    def test_a_connection_that_says_nothing(self):
        sender = self.sender()
        self.assertTrue(sender.closed())
        self.assert_took(PATIENCE)
        self.assertEqual(self.egret.access(), [])

    def test_a_body_that_stops(self):
        with support.Receiver() as receiver:
            answer = self.sender().send(head_of(receiver, 100) + "half").answer()
            self.assertEqual((answer.status, answer.reason), (408, "request_timeout"))
            self.assert_took(PATIENCE)
            self.assertEqual(receiver.requests, [])

    def test_a_body_that_drips(self):
        with support.Receiver() as receiver:
            sender = self.sender().send(head_of(receiver, 1000))
            self.drip_in(sender.sock, bytes(1000))
            answer = sender.answer()
            self.assertIn((answer.status, answer.reason), ((408, "request_timeout"), (504, "total_timeout")))
            self.assert_took(TOTAL)

    def test_a_sender_that_never_reads(self):
        with support.Receiver(lambda _: support.ok(BIG)) as receiver:
            sender = self.sender()
            sender.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sender.send(head_of(receiver))
            line = self.egret.wait_for_line(method="POST")
            self.assertEqual(line["reason"], "sender_idle")
            self.assert_took(PATIENCE)
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


if __name__ == "__main__":
    unittest.main()
