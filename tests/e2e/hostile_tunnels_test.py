"""Tunnels whose ends are slow, silent or gone; and what a good one carries."""

import contextlib
import socket
import unittest

import support
from hostile import HostileCase, BIG, PATIENCE, TOTAL, drip


class HostileTunnelsTest(HostileCase):
    def test_a_tunnel_that_carries_nothing(self):
        quiet = self.destination(lambda connection: self.stop.wait(support.PATIENCE))
        sender = self.sender()
        self.assertEqual(sender.connect(quiet.authority).status, 200)
        self.assertTrue(sender.closed())
        self.assertEqual(self.egret.wait_for_line(method="CONNECT")["reason"], "tunnel_idle")
        self.assert_took(PATIENCE)

    def test_a_tunnel_that_never_ends(self):
        chatty = self.destination(lambda connection: drip(connection, bytes(1000), self.stop, 0.1))
        sender = self.sender()
        self.assertEqual(sender.connect(chatty.authority).status, 200)
        sender.read_to_end()
        self.assertEqual(self.egret.wait_for_line(method="CONNECT")["reason"], "tunnel_expired")
        self.assert_took(TOTAL)

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
