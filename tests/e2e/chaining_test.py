"""The way out through a parent proxy, and from an address of one's choice."""

import base64
import contextlib
import pathlib
import socket
import tempfile
import threading
import unittest

import pki
import support
import tls_support

HOST = "hook.example"
ZONE = {HOST: "127.0.0.1", "parent.example": "127.0.0.1", "inside.example": "10.0.0.7", "mixed.example": "127.0.0.1 10.0.0.7"}
PASSWORD = "pa:ss wörd"
BASIC = "Basic " + base64.b64encode(f"egret:{PASSWORD}".encode()).decode()


class Parent(support.Listener):
    """A CONNECT proxy. `says`: bytes to say instead of connecting, or None for silence. `asked`: the requests' heads."""

    def __init__(self, credentials=None, says=b"", behind=b"", **where):
        self.asked, self.peers = [], []
        self.credentials, self.says, self.behind = credentials, says, behind
        super().__init__(self._converse, **where)

    @property
    def targets(self):
        return [request.line.split(" ")[1] for request in self.asked]

    def _converse(self, connection):
        self.peers.append(connection.getpeername()[0])
        with connection.makefile("rb", buffering=0) as stream:  # what is behind the head is the tunnel's
            request = support.read_request(stream)
        if request is None:
            return
        self.asked.append(request)
        if self.says is None:
            connection.recv(1)  # until Egret gives up
        elif self.says:
            connection.sendall(self.says)
        elif self.credentials and request["Proxy-Authorization"] != self.credentials:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"parent\"\r\n"
                               b"Content-Length: 0\r\n\r\n")
        else:
            self._relay(connection, request.line.split(" ")[1].rpartition(":")[2])

    def _relay(self, connection, port):
        with socket.create_connection(("127.0.0.1", int(port)), support.PATIENCE) as far:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 parent\r\n\r\n" + self.behind)
            back = threading.Thread(target=self._pour, args=(far, connection), daemon=True)
            back.start()
            self._pour(connection, far)
            back.join(support.PATIENCE)

    @staticmethod
    def _pour(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class ViaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="egret-e2e-")))
        cls.root, intermediate = pki.authority()
        cls.good = pki.issue(intermediate, HOST, [HOST])
        (folder / "root.pem").write_text(cls.root.pem, encoding="ascii")
        (folder / "password").write_text(PASSWORD + "\n", encoding="utf-8")
        (folder / "password").chmod(0o600)
        cls.folder = folder
        cls.names = cls.enterClassContext(support.NameServer(ZONE))

    def setUp(self):
        self.receiver = self.enterContext(support.Receiver())
        self.secure = self.enterContext(tls_support.TlsReceiver(tls_support.server_context(self.good)))

    def egret(self, parent, more="", rules="", senders=""):
        via = f"via: {{proxy: 'http://{getattr(parent, 'authority', parent)}'{more}}}"
        return self.enterContext(support.Egret(
            "defaults:\n  addresses: {allow: [127.0.0.1/32]}\n  ports: [1-65535]\n  timeouts: {tls: 1s}\n"
            f"  tls: {{ca: {self.folder}/root.pem}}\n  {via}\n{rules}{senders}{self.names.yaml}"))

    @property
    def with_password(self):
        return f", username: egret, password: {{file: {self.folder}/password}}"

    def parent(self, *arguments, **how):
        return self.enterContext(Parent(*arguments, **how))

    def url(self, secure=False, host=HOST, path="/hook"):
        return f"https://{host}:{self.secure.port}{path}" if secure else f"http://{host}:{self.receiver.port}{path}"

    def test_every_kind_of_request_goes_through_it(self):
        for ask, host in (("", "127.0.0.1"), (", ask: address", "127.0.0.1"), (", ask: name", HOST)):
            with self.subTest(ask):
                parent = self.parent()
                egret = self.egret(parent, ask)
                self.assertEqual(support.post(egret, self.url()).status, 200)
                self.assertEqual(support.post(egret, self.url(secure=True)).status, 200)
                with support.Sender(egret.address) as sender:
                    self.assertEqual(sender.connect(f"{HOST}:{self.receiver.port}").status, 200)
                    sender.send(f"POST /in-the-tunnel HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0\r\n\r\n")
                    self.assertEqual(sender.answer().status, 200)
                self.assertEqual(parent.targets, [f"{host}:{self.receiver.port}", f"{host}:{self.secure.port}",
                                                  f"{host}:{self.receiver.port}"])
                for request, target in zip(parent.asked, parent.targets):
                    self.assertEqual(request.line, f"CONNECT {target} HTTP/1.1")
                    self.assertEqual(request["Host"], target)
                    self.assertEqual(request["Proxy-Authorization"], "")
        # The destination sees the name either way.
        self.assertEqual(self.receiver.requests[0].line, "POST /hook HTTP/1.1")
        self.assertEqual(self.receiver.requests[0]["Host"], f"{HOST}:{self.receiver.port}")
        self.assertEqual(self.secure.handshakes[0].server_name, HOST)

    def test_credentials(self):
        parent = self.parent(BASIC)
        egret = self.egret(parent, self.with_password)
        for secure in (False, True):
            self.assertEqual(support.post(egret, self.url(secure)).status, 200)
        self.assertEqual([request["Proxy-Authorization"] for request in parent.asked], [BASIC] * 2)
        for receiver in (self.receiver, self.secure):
            self.assertEqual(receiver.requests[0]["Proxy-Authorization"], "")

    def test_a_senders_credentials_are_not_the_parents(self):
        parent = self.parent()
        egret = self.egret(parent, self.with_password,
                           senders=f"senders: [{{name: crm, credentials: {{username: crm, password: {{file: {self.folder}/password}}}}}}]\n")
        own = "Basic " + base64.b64encode(f"crm:{PASSWORD}".encode()).decode()
        answer = support.post(egret, self.url(), headers=f"Proxy-Authorization: {own}\r\n")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual([request["Proxy-Authorization"] for request in parent.asked], [BASIC])

    def test_wrong_credentials_are_egrets_fault_and_not_the_senders(self):
        parent = self.parent("Basic d3Jvbmc6d3Jvbmc=")
        for more in ("", self.with_password):
            with self.subTest(more):
                egret = self.egret(parent, more)
                answer = support.post(egret, self.url())
                self.assertEqual((answer.status, answer.reason), (502, "parent_proxy_refused"), answer)
                self.assertIn("407", answer.problem["detail"])
                self.assertEqual(answer["Proxy-Authenticate"], "")
                self.assertNotIn(BASIC.removeprefix("Basic "), repr(answer) + egret.stderr())
        self.assertEqual(self.receiver.connections, 0)

    def test_what_a_parent_may_say(self):
        many = b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 20000 + b"\r\n\r\n"
        for name, says, status, reason in (
                ("forbidden", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n", 502, "parent_proxy_refused"),
                ("unavailable", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 502, "parent_proxy_refused"),
                ("moved", b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n", 502, "parent_proxy_refused"),
                ("no HTTP", b"220 smtp.example\r\n\r\n", 502, "parent_proxy_failed"),
                ("a head cut short", b"HTTP/1.1 200 O", 502, "parent_proxy_failed"),
                ("a head too long", many, 502, "parent_proxy_failed"),
                ("silence", None, 504, "tls_timeout"),
        ):
            for secure in (False, True):
                with self.subTest(name, secure=secure):
                    parent = self.parent(says=says)
                    egret = self.egret(parent)
                    answer = support.post(egret, self.url(secure))
                    self.assertEqual((answer.status, answer.reason), (status, reason), answer)
                    line = egret.wait_for_line(request_id=answer.problem["request_id"])
                    self.assertEqual((line["reason"], line["status"]), (reason, status))
                    self.assertEqual(len(parent.asked), 1)

    def test_what_stands_behind_the_parents_head_is_nobodys_answer(self):
        parent = self.parent(behind=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        answer = support.post(self.egret(parent), self.url())
        self.assertEqual((answer.status, answer.reason), (502, "parent_proxy_failed"), answer)

    def test_a_parent_that_is_down(self):
        closed = socket.socket()
        self.addCleanup(closed.close)
        closed.bind(("127.0.0.1", 0))  # bound, never listening
        egret = self.egret(f"127.0.0.1:{closed.getsockname()[1]}")
        for secure in (False, True):
            answer = support.post(egret, self.url(secure))
            self.assertEqual((answer.status, answer.reason), (502, "parent_proxy_failed"), answer)
        with support.Sender(egret.address) as sender:
            self.assertEqual(sender.connect(f"{HOST}:{self.receiver.port}").reason, "parent_proxy_failed")
        self.assertEqual(self.receiver.connections, 0)

    def test_the_destination_is_judged_first(self):
        for ask in ("address", "name"):
            parent = self.parent()
            egret = self.egret(parent, f", ask: {ask}")
            for host, status, reason in (("10.0.0.1", 403, "address_prohibited"), ("inside.example", 403, "address_prohibited"),
                                         ("mixed.example", 403, "addresses_mixed"), ("no-such-name.example", 502, "name_not_found"),
                                         ("169.254.169.254", 403, "address_prohibited")):
                with self.subTest(host, ask=ask):
                    for url in (self.url(host=host), self.url(secure=True, host=host)):
                        answer = support.post(egret, url)
                        self.assertEqual((answer.status, answer.reason), (status, reason), answer)
                    with support.Sender(egret.address) as sender:
                        self.assertEqual(sender.connect(f"{host}:443").reason, reason)
            self.assertEqual((parent.connections, parent.asked), (0, []))

    def test_the_parents_own_address_is_not_judged_and_may_be_a_name(self):
        parent = self.parent(host="127.0.0.3")  # which `allow` does not open
        self.assertEqual(support.post(self.egret(parent), self.url()).status, 200)
        named = self.parent()
        self.assertEqual(support.post(self.egret(f"parent.example:{named.port}"), self.url()).status, 200)
        self.assertEqual(len(named.asked), 1)

    def test_a_rule_may_go_without(self):
        parent = self.parent()
        egret = self.egret(parent, rules="rules: [{name: direct, match: {paths: [/direct]}, via: none}]\n")
        for path, asked in (("/hook", 1), ("/direct", 1), ("/hook", 1)):  # the last: kept, and not the direct one
            self.assertEqual(support.post(egret, self.url(path=path)).status, 200)
            self.assertEqual(len(parent.asked), asked)
        self.assertEqual(self.receiver.connections, 2)

    def test_a_tunnel_through_it_is_kept(self):
        for secure in (False, True):
            with self.subTest(secure):
                parent = self.parent()
                egret = self.egret(parent)
                for _ in range(3):
                    self.assertEqual(support.post(egret, self.url(secure)).status, 200)
                self.assertEqual(len(parent.asked), 1)
                egret.wait_for_rest()

    def test_a_certificate_is_checked_behind_it_all_the_same(self):
        parent = self.parent()
        egret = self.egret(parent)
        with tls_support.TlsReceiver(tls_support.server_context(pki.issue(None, HOST, [HOST]))) as forged:
            answer = support.post(egret, f"https://{HOST}:{forged.port}/")
            self.assertEqual((answer.status, answer.reason), (502, "tls_certificate_error"), answer)
            self.assertEqual(forged.requests, [])


class SourceTest(unittest.TestCase):
    def destination(self, peers):
        def serve(connection):
            peers.append(connection.getpeername()[0])
            with connection.makefile("rb") as stream:
                if support.read_request(stream) is not None:
                    connection.sendall(support.ok(fields="Connection: close\r\n"))

        return self.enterContext(support.Listener(serve))

    def test_a_source_address(self):
        peers = []
        destination = self.destination(peers)
        rules = "rules: [{name: free, match: {paths: [/free]}, source: none}]\n"
        with support.Egret("defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], source: 127.0.0.2}\n" + rules) as egret:
            self.assertEqual(support.post(egret, destination.url()).status, 200)
            self.assertEqual(support.post(egret, destination.url("/free")).status, 200)
            with support.Sender(egret.address) as sender:
                self.assertEqual(sender.connect(destination.authority).status, 200)
                sender.send("GET / HTTP/1.1\r\n\r\n")
                self.assertEqual(sender.answer("GET").status, 200)
            self.assertEqual(peers, ["127.0.0.2", "127.0.0.1", "127.0.0.2"])

    def test_a_parent_is_reached_from_it(self):
        with Parent() as parent, support.Receiver() as receiver, support.Egret(
                "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], source: 127.0.0.2, "
                f"via: {{proxy: 'http://{parent.authority}'}}}}\n") as egret:
            self.assertEqual(support.post(egret, receiver.url()).status, 200)
            self.assertEqual(parent.peers, ["127.0.0.2"])

    def test_one_that_this_machine_does_not_have(self):
        with support.Receiver() as receiver, support.Egret(
                "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], source: 192.0.2.7}\n") as egret:
            answer = support.post(egret, receiver.url())
            self.assertEqual((answer.status, answer.reason), (502, "destination_unroutable"), answer)
            self.assertEqual(receiver.connections, 0)


if __name__ == "__main__":
    unittest.main()
