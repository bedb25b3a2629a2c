"""TLS to destinations after the handshake: connections that are kept, sessions that are resumed, how an answer may end,
and a server that wants to negotiate anew."""

import re
import subprocess
import tempfile
import threading
import unittest

import support
from tls_case import HOST, V12, V13, TlsCase, closing

HEAD = "HTTP/1.1 200 OK\r\nConnection: close\r\n"


class KeptTest(TlsCase):
    def test_a_kept_connection_has_one_handshake(self):
        receiver = self.receiver()
        for _ in range(3):
            self.assertEqual(self.post(receiver).status, 200)
        self.assertEqual((receiver.connections, len(receiver.handshakes), len(receiver.requests)), (1, 1, 3))

    def test_it_is_kept_for_its_host_alone(self):
        """The certificate was checked for one name: that it has others, too, is not looked at."""
        receiver = self.receiver()
        for host in (HOST, "other.tls.example", HOST, "127.0.0.1"):
            self.assertEqual(self.post(receiver, host=host).status, 200)
        self.assertEqual([hello.server_name for hello in receiver.hellos], [HOST, "other.tls.example", None])

    def test_http_and_https_are_not_mixed(self):
        """On one port, which a receiver of both kinds could have."""
        receiver = self.receiver()
        self.assertEqual(self.post(receiver).status, 200)
        answer = support.post(self.egret, f"http://{HOST}:{receiver.port}/hook")
        self.assertEqual(answer.status, 502, answer)  # plain HTTP to a TLS server
        self.assertEqual(len(receiver.requests), 1)

    def test_the_handshake_has_its_place_in_the_log(self):
        receiver = self.receiver()
        for path, handshake in (("/first", True), ("/second", False)):
            self.assertEqual(self.post(receiver, path).status, 200)
            line = self.egret.wait_for_line(destination=f"https://{HOST}:{receiver.port}{path}")
            self.assertEqual((line["status"], line["address"]), (200, f"127.0.0.1:{receiver.port}"))
            self.assertEqual(line["tls_ms"] > 0, handshake, line)

    def test_a_session_is_resumed(self):
        for newest in (V12, V13):
            with self.subTest(newest):
                receiver = self.receiver(closing(), newest=newest)
                for _ in range(4):
                    self.assertEqual(self.post(receiver).status, 200)
                self.assertEqual(receiver.connections, 4)
                self.assertEqual([each.resumed for each in receiver.handshakes], [False, True, True, True])

    def test_a_session_is_resumed_for_its_host_and_its_rule_alone(self):
        receiver = self.receiver(closing())
        for path, host in (("/hook", HOST), ("/hook", "other.tls.example"), ("/pinned", HOST), ("/modern", HOST)):
            self.assertEqual(self.post(receiver, path, host).status, 200)
        self.assertEqual([each.resumed for each in receiver.handshakes], [False] * 4)

    def test_a_server_that_forgets_its_sessions(self):
        receiver = self.receiver(closing())
        self.assertEqual(self.post(receiver).status, 200)
        with self.receiver(closing(), port=0) as other:  # other ticket keys behind the same name
            receiver.context = other.context
            self.assertEqual(self.post(receiver).status, 200)
        self.assertEqual([each.resumed for each in receiver.handshakes], [False, False])


class EndTest(TlsCase):
    def relay(self, said, clean):
        """(the sender's answer, or None when it was cut; the log's line) for a destination that says this and closes."""
        receiver = self.receiver(lambda request: said.encode(), clean=clean, once=True)
        try:
            answer = self.post(receiver)
        except ConnectionResetError:
            answer = None
        line = self.egret.wait_for_line(destination=f"https://{HOST}:{receiver.port}/hook")
        self.assertEqual(len(receiver.requests), 1)
        return answer if answer is not None and answer.complete else None, line

    def test_what_may_have_been_cut_is_not_passed_off_as_whole(self):
        for name, said, ends in (("by the end alone", HEAD + "\r\nhalf", (False,)),
                                 ("by its length", HEAD + "Content-Length: 100\r\n\r\nhalf", (True, False)),
                                 ("by its chunks", HEAD + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", (True, False)),
                                 ("within a chunk", HEAD + "Transfer-Encoding: chunked\r\n\r\n8\r\nhalf", (True, False)),
                                 ("within its head", HEAD + "Content-Le", (True, False))):
            for clean in ends:
                with self.subTest(name, clean=clean):
                    answer, line = self.relay(said, clean)
                    if answer is not None:  # nothing of the answer was passed on yet
                        self.assertEqual(answer.status, 502, answer)
                        self.assertEqual(answer.reason, line["reason"])
                    self.assertIn(line["reason"], ("response_incomplete", "connection_terminated"))

    def test_what_is_whole_is_delivered_however_the_connection_ends(self):
        for name, said, ends in (("by the end alone", HEAD + "\r\nthanks", (True,)),
                                 ("by its length", HEAD + "Content-Length: 6\r\n\r\nthanks", (True, False)),
                                 ("by its chunks", HEAD + "Transfer-Encoding: chunked\r\n\r\n6\r\nthanks\r\n0\r\n\r\n", (True, False)),
                                 ("without a body", "HTTP/1.1 204 No Content\r\n\r\n", (True, False))):
            for clean in ends:
                with self.subTest(name, clean=clean):
                    answer, line = self.relay(said, clean)
                    self.assertIsNotNone(answer, line)
                    self.assertIn((answer.status, answer.body), ((200, b"thanks"), (204, b"")))
                    self.assertEqual(line["reason"], "")

    def test_an_answer_of_many_records(self):
        body = bytes(range(256)) * 400
        receiver = self.receiver(lambda request: support.ok(body))
        for _ in range(2):
            answer = self.post(receiver)
            self.assertEqual((answer.status, answer.body), (200, body))
        self.assertEqual(receiver.connections, 1)

    def test_a_request_of_many_records(self):
        body = bytes(range(256)) * 3000
        receiver = self.receiver()
        answer = support.post(self.egret, receiver.url(host=HOST), body)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(receiver.requests[0].body, body)


class OpensslServer:
    """`openssl s_server`, which can be told to do what Python's ssl cannot. `say`: a line of its standard input."""

    def __init__(self, folder, certificate, *options):
        chain, key = certificate.write(folder, "s_server")
        self.process = subprocess.Popen(
            [support.tool("openssl"), "s_server", "-accept", "127.0.0.1:0", "-cert", chain, "-cert_chain", chain, "-key", key, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self.said = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        accepts = support.wait_until(lambda: re.search(rb"ACCEPT 127\.0\.0\.1:(\d+)", self.said), what="s_server's port")
        self.port = int(accepts[1])

    def _read(self):
        while True:
            got = self.process.stdout.read(4096)
            if not got:
                return
            self.said += got

    def say(self, text):
        self.process.stdin.write(text.encode())

    def wait_for(self, words):
        support.wait_until(lambda: words in self.said, what=f"{words} from s_server")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._thread.join(support.PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()


class RenegotiationTest(TlsCase):
    def test_it_is_refused_and_does_no_harm(self):
        """CVE-2009-3555 and its kin: within a request, and the whole handshake's cost as often as a destination likes."""
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))
        with OpensslServer(folder, self.good, "-tls1_2", "-msg") as server, support.Sender(self.egret.address) as sender:
            authority = f"{HOST}:{server.port}"
            sender.send(f"POST https://{authority}/anew HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 2\r\n\r\n{{}}")
            server.wait_for(b"POST /anew HTTP/1.1")
            server.say("r\n")
            answer = sender.answer()  # s_server ends a connection where it is told no; silence would be a 504
            self.assertEqual(answer.status, 502, answer)
            server.wait_for(b", HelloRequest")
            self.assertEqual(server.said.count(b", ClientHello"), 1)
        line = self.egret.wait_for_line(destination=f"https://{authority}/anew")
        self.assertEqual((line["status"], line["reason"]), (502, answer.reason))
        self.assertEqual(self.post(self.receiver()).status, 200)
        self.egret.wait_for_rest()


if __name__ == "__main__":
    unittest.main()
