"""TLS peers of the tests: a receiver that says what it saw of each handshake, and senders inside TLS."""

import contextlib
import socket
import ssl
import struct
import tempfile
import time

import support


def server_context(certificate, client_ca=None, oldest=ssl.TLSVersion.TLSv1_2, newest=ssl.TLSVersion.MAXIMUM_SUPPORTED,
                   asks=ssl.CERT_REQUIRED):
    """Shows `certificate`, a pki.Certificate, however weak. `client_ca`: PEM; a client needs a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # it is the client that is to find fault
    context.minimum_version, context.maximum_version = oldest, newest
    with tempfile.TemporaryDirectory(prefix="egret-e2e-") as folder:
        context.load_cert_chain(*certificate.write(folder, "server"))
    if client_ca:
        context.load_verify_locations(cadata=client_ca)
        context.verify_mode = asks
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(root, certificate=None, alpn=()):
    """Trusts `root`, a pki.Certificate, and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=root.pem)
    if certificate:
        with tempfile.TemporaryDirectory(prefix="egret-e2e-") as folder:
            context.load_cert_chain(*certificate.write(folder, "client"))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


# -- ClientHello ------------------------------------------------------------------------------------


class ClientHello:
    """What the first record says (RFC 8446 4.1.2): `server_name` is None when there is none."""

    def __init__(self, handshake):
        self.server_name, self.alpn = None, []
        at = 4 + 2 + 32
        at += 1 + handshake[at]
        at += 2 + struct.unpack("!H", handshake[at:at + 2])[0]
        at += 1 + handshake[at]
        at += 2
        while at + 4 <= len(handshake):
            kind, size = struct.unpack("!HH", handshake[at:at + 4])
            value = handshake[at + 4:at + 4 + size]
            at += 4 + size
            if kind == 0:
                self.server_name = value[5:].decode("latin-1")
            elif kind == 16:
                names = value[2:]
                while names:
                    self.alpn.append(names[1:1 + names[0]].decode("latin-1"))
                    names = names[1 + names[0]:]


def peek_hello(sock):
    """The ClientHello that waits on a socket, which stays there; None when it is none."""
    end = time.monotonic() + support.PATIENCE
    have = b""
    while time.monotonic() < end:
        have = sock.recv(65536, socket.MSG_PEEK)
        if not have or have[0] != 22:
            return None
        if len(have) >= 5 and len(have) >= 5 + struct.unpack("!H", have[3:5])[0]:
            return ClientHello(have[5:])
        time.sleep(0.005)
    return None


# -- Destinations -----------------------------------------------------------------------------------


class Handshake:
    """One that succeeded, as the server saw it."""

    def __init__(self, hello, tls):
        self.server_name = hello.server_name
        self.alpn_offered, self.alpn = hello.alpn, tls.selected_alpn_protocol()
        self.version = tls.version()
        self.resumed = tls.session_reused
        peer = tls.getpeercert() or {}
        self.client = next((value for entry in peer.get("subject", ()) for key, value in entry if key == "commonName"), None)


class TlsReceiver(support.Receiver):
    """An HTTPS destination. `hellos`: every ClientHello; `handshakes`: those that came to an end; `faults`: the others.
    `clean`: whether it says close_notify before it closes. `once`: it closes after the first answer."""

    def __init__(self, context, respond=lambda request: support.ok(), clean=True, once=False, **where):
        self.context, self.clean, self.once = context, clean, once
        self.hellos, self.handshakes, self.faults = [], [], []
        super().__init__(respond, **where)

    def url(self, path="/hook", host=None):
        return f"https://{host or self.host}:{self.port}{path}"

    def _converse(self, connection):
        hello = peek_hello(connection)
        if hello is not None:
            self.hellos.append(hello)
        tls = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        underneath = Underneath(tls)
        self._open.add(underneath)
        try:
            try:
                tls.do_handshake()
            except OSError as error:  # ssl.SSLError is one
                self.faults.append(error)
                drain(tls)
                return
            self.handshakes.append(Handshake(hello, tls))
            if self.once:
                self._converse_once(tls)
            else:
                super()._converse(tls)
            if self.clean:
                say_goodbye(tls)
        finally:
            self._open.discard(underneath)
            tls.close()

    def _converse_once(self, tls):
        with tls.makefile("rb") as stream:
            request = support.read_request(stream)
        if request is not None:
            self.requests.append(request)
            tls.sendall(self._respond(request))


class Underneath:
    """Lets `close` end a connection that a thread is using: SSLSocket.shutdown would take its TLS away from it."""

    def __init__(self, tls):
        self.tls = tls

    def shutdown(self, how):
        socket.socket.shutdown(self.tls, how)


def drain(tls):
    """Leaves nothing unread: closing would be a reset, which may overtake the alert that was sent."""
    with contextlib.suppress(OSError):
        tls.shutdown(socket.SHUT_WR)  # and no TLS from here on
        tls.settimeout(2)
        while tls.recv(65536):
            pass


def say_goodbye(tls):
    """close_notify, without waiting for the other's."""
    with contextlib.suppress(OSError, ValueError):
        tls.setblocking(False)
        tls.unwrap()


# -- Senders ----------------------------------------------------------------------------------------


class TlsSender(support.Sender):
    """A sender to a TLS listener, or inside a tunnel: `over` is a socket that is connected already."""

    def __init__(self, context, server_name, address=None, over=None):
        if over is None:
            super().__init__(address)
        else:
            self.sock, self.have = over, b""
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=server_name)
        except BaseException:
            self.sock.close()
            raise

    def close(self):
        say_goodbye(self.sock)
        super().close()

    def inside(self, path, host, body=b"{}", method="POST", headers=""):
        """A request in origin-form, as it stands inside a tunnel."""
        self.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
        return self.answer(method)


def through_tunnel(egret, authority, context, server_name):
    """CONNECT, then TLS inside it."""
    sender = support.Sender(egret.address)
    answer = sender.connect(authority)
    if answer is None or answer.status != 200:
        sender.close()
        raise AssertionError(f"CONNECT {authority}: {answer}")
    return TlsSender(context, server_name, over=sender.sock)
