"""An end that resets, or closes, at each byte of the exchange, over real sockets: nothing cut short is ever taken for whole, and nothing
stays behind. tests/proxy has the same without sockets, and more of it."""

import concurrent.futures
import socket
import unittest

import support

AT_ONCE = 12
REASONS = {"connection_terminated", "response_incomplete", "connection_failed", "sender_disconnected", "request_malformed", "none", ""}
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-Long: header\r\n\r\nhello there",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n there\r\n0\r\nX-T: t\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello there",
}
REQUESTS = {
    "length": "POST {url} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 11\r\n\r\nhello there",
    "chunked": "POST {url} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n",
    "connect": "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\nhello there",
}


def end(connection, how):
    if how == "reset":
        support.close_by_reset(connection)
    else:
        connection.close()


class EveryByteTest(unittest.TestCase):
    def setUp(self):
        self.egret = self.enterContext(support.Egret(
            "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], timeouts: {idle: 5s, response: 5s},\n"
            "           limits: {in_flight_per_host: 1000}}\n"))

    def everywhere(self, texts, run_one):
        """`run_one(name, text, size, how)` gives a finding or nothing."""
        places = [(name, text, size, how) for name, text in texts.items() for size in range(len(text)) for how in ("reset", "close")]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(lambda place: run_one(*place), places))
        found = [f"{name} at byte {size}, {how}: {result}" for (name, _, size, how), result in zip(places, results) if result]
        self.assertEqual(found, [], "\n" + "\n".join(found))
        self.egret.wait_for_rest()
        self.assertLessEqual({line["reason"] for line in self.egret.access()}, REASONS)

    def test_of_an_answer(self):
        def run_one(_, answer, size, how):
            def serve(connection):
                with connection.makefile("rb") as stream:
                    support.read_request(stream)
                connection.sendall(answer[:size])
                end(connection, how)

            with support.Listener(serve) as destination, support.Sender(self.egret.address) as sender:
                try:
                    got = sender.request(destination.url())
                except ConnectionResetError:
                    return None  # what came was not whole, and nobody can think so
            if got is None:
                return "closed in order without an answer"
            if got.status == 502 and got.complete:
                return None
            return None if not got.complete else f"taken for whole: {got}"

        self.everywhere(ANSWERS, run_one)

    def test_of_a_request(self):
        with support.Receiver() as receiver:
            texts = {name: text.format(url=receiver.url(), host=receiver.authority).encode() for name, text in REQUESTS.items()}

            def run_one(_, request, size, how):  # what came of it is seen at the receiver
                sock = socket.create_connection(self.egret.address, support.PATIENCE)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.sendall(request[:size])
                end(sock, how)

            self.everywhere(texts, run_one)
            self.assertEqual(receiver.requests, [], "what was cut short is no request")
            self.assertEqual(support.post(self.egret, receiver.url()).status, 200)


if __name__ == "__main__":
    unittest.main()
