"""What every end-to-end test stands on: the real binary, real sockets, port 0, loopback.

  Egret       one running gateway; its ports are read from its start-up line
  Sender      a raw TCP or Unix-socket client; reads answers by their framing
  Receiver    an HTTP destination that remembers what it got
  Listener    a destination of which the test writes every byte
  NameServer  a DNS server that lies as told
"""

import contextlib
import http.client
import ipaddress
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

BINARY = os.environ.get("EGRET_BINARY", "")
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
PATIENCE = 20  # seconds for what takes milliseconds on an idle machine

# Loopback as "the public internet": what the tests' destinations need.
OPEN = "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535]}\n"


def tool(name):
    """The path of a program that a test needs. Its absence is a failure."""
    path = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        raise AssertionError(f"{name} is not installed: ./scripts/install.sh test")
    return path


def wait_until(condition, seconds=PATIENCE, what="what was waited for"):
    """The condition's value as soon as it is true."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.02)


def close_by_reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


# -- Egret ------------------------------------------------------------------------------------------


def run(*arguments, stdin=None, env=None):
    """One short command of Egret's: (exit code, stdout, stderr)."""
    done = subprocess.run([BINARY, *arguments], input=stdin, capture_output=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class Egret:
    """A running gateway. `text` is the YAML; listeners and admin get port 0 unless it names them.
    `wrapper`: words of a command that becomes Egret in the end."""

    def __init__(self, text=OPEN, env=None, descriptors=None, wrapper=()):
        self.stopped = False
        self.folder = tempfile.TemporaryDirectory(prefix="egret-e2e-")
        self.path = pathlib.Path(self.folder.name)
        self.config = self.path / "egret.yaml"
        self.access_path = self.path / "stdout"
        self.events_path = self.path / "stderr"
        self.write(text)

        def before_exec():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        with open(self.access_path, "wb") as out, open(self.events_path, "wb") as err:
            self.process = subprocess.Popen([*wrapper, BINARY, "run", "-c", str(self.config)], stdout=out, stderr=err,
                                            stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})},
                                            preexec_fn=before_exec if descriptors else None)
        try:
            self._read_addresses()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def write(self, text):
        """Replaces the configuration; takes effect at start or `reload`."""
        text = text.replace("@FOLDER@", str(self.path))
        if "\nlisteners:" not in "\n" + text:
            text += "listeners: [{address: 127.0.0.1:0}]\n"
        if "\nadmin:" not in "\n" + text:
            text += "admin: {address: 127.0.0.1:0}\n"
        if "\nworkers:" not in "\n" + text:
            text += "workers: 1\n"
        self.config.write_text(text, encoding="utf-8")

    def _read_addresses(self):
        def listening():
            if self.process.poll() is not None:
                raise AssertionError(f"Egret ended with {self.process.returncode}: {self.stderr()}")
            return re.search(r"listens on (.*), admin on (\S+), (\d+) workers", self.stderr())

        found = wait_until(listening, what="the start-up line")
        self.listening_at = found[1].split(", ")
        self.admin_address = found[2]
        self.admin = self.endpoint(found[2])
        tcp = [each for each in self.listening_at if not each.startswith("unix:")]
        self.address = self.endpoint(tcp[0]) if tcp else None

    @staticmethod
    def endpoint(text):
        """What socket.connect takes."""
        if text.startswith("unix:"):
            return text[len("unix:"):]
        host, _, port = text.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def url(self):
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def stderr(self):
        return self.events_path.read_text(encoding="utf-8", errors="replace")

    def events(self):
        """The messages of stderr, in either format."""
        lines = self.stderr().splitlines()
        return [json.loads(line)["message"] if line.startswith("{") else line.split(" ", 2)[-1] for line in lines]

    def access(self, path=None):
        """The access log's lines, as objects."""
        text = (path or self.access_path).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def wait_for_line(self, **fields):
        """The first access line with these values."""

        def found():
            return next((line for line in self.access()
                         if all(line[key] == value for key, value in fields.items())), None)

        return wait_until(found, what=f"an access line with {fields}")

    def ask_admin(self, path, method="GET", **headers):
        """(status, headers, body) of the admin listener."""
        if isinstance(self.admin, str):
            connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(self.admin)
        else:
            connection = http.client.HTTPConnection(*self.admin, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def metrics(self, **headers):
        """{"name{label=…}": value}"""
        status, _, text = self.ask_admin("/metrics", **headers)
        if status != 200:
            raise AssertionError(f"/metrics answered {status}: {text}")
        values = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values

    def total(self, name, **labels):
        """The sum of a metric over the series that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for series, value in self.metrics().items()
                   if series.partition("{")[0] == name and all(each in series for each in wanted))

    def wait_for_rest(self, seconds=PATIENCE):
        """Until nothing is open or under way any more: what a test leaves must be nothing."""
        gauges = ("egret_sender_connections", "egret_exchanges_in_flight", "egret_tunnels_open", "egret_buffers")
        last = {}

        def at_rest():
            last.clear()
            last.update({series: value for series, value in self.metrics().items()
                         if series.partition("{")[0] in gauges and value})
            return not last

        try:
            wait_until(at_rest, seconds)
        except AssertionError:
            raise AssertionError(f"gauges that do not return to zero: {last}") from None

    def reload(self, result="applied"):
        before = self.total("egret_reloads_total", result=result)
        lines = len(self.events())
        self.process.send_signal(signal.SIGHUP)
        sign = "configuration reloaded" if result == "applied" else "reload refused"
        wait_until(lambda: any(line.startswith(sign) for line in self.events()[lines:]), what=sign)
        after = self.total("egret_reloads_total", result=result)
        if after != before + 1:
            raise AssertionError(f"reloads {result}: {before}, then {after}")

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=40):
        return self.process.wait(seconds)

    def check_clean(self):
        """No sanitizer and no caught bug has anything to say."""
        said = self.stderr()
        for sign in ("Sanitizer", "runtime error:", "ended by a bug"):
            if sign in said:
                raise AssertionError(f"Egret's stderr:\n{said[:20000]}")

    def stop(self, code=0):
        """An orderly end: drained, the exit code, nothing leaked. Once is enough."""
        if self.stopped:
            return
        self.stopped = True
        try:
            if self.process.poll() is None:
                self.terminate()
            got = self.wait()
            self.check_clean()
            if code is not None and got != code:
                raise AssertionError(f"Egret ended with {got} instead of {code}:\n{self.stderr()}")
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.process.kill()
            self.process.wait()
            self.folder.cleanup()


# -- Senders ----------------------------------------------------------------------------------------


class Answer:
    def __init__(self, status, line, fields, body, complete):
        self.status, self.line, self.fields, self.body, self.complete = status, line, fields, body, complete

    def __getitem__(self, name):
        return ", ".join(value for field, value in self.fields if field.lower() == name.lower())

    @property
    def problem(self):
        """The problem+json of a refusal; {} when it is none."""
        return json.loads(self.body) if self["Content-Type"] == "application/problem+json" else {}

    @property
    def reason(self):
        return self.problem.get("reason", "")

    def __repr__(self):
        return f"<{self.line!r} {self.fields} {self.body[:300]!r}{'' if self.complete else ' (cut short)'}>"


class Sender:
    """A client of which the test writes every byte."""

    def __init__(self, address, timeout=PATIENCE, source=None):
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(address)
        else:
            self.sock = socket.create_connection(address, timeout, source_address=source)
        self.have = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def _more(self):
        got = self.sock.recv(65536)
        self.have += got
        return bool(got)

    def _take(self, size):
        while len(self.have) < size and self._more():
            pass
        taken, self.have = self.have[:size], self.have[size:]
        return taken, len(taken) == size

    def _line(self):
        while b"\n" not in self.have and self._more():
            pass
        line, found, self.have = self.have.partition(b"\n")
        return line.rstrip(b"\r").decode("latin-1"), bool(found)

    def answer(self, method="POST", interim=None):
        """The next final answer; None when the connection ended without one. 1xx go to `interim`."""
        while True:
            line, whole = self._line()
            if not whole:
                return None
            fields = []
            while True:
                field, whole = self._line()
                if not whole or not field:
                    break
                name, _, value = field.partition(":")
                fields.append((name, value.strip()))
            answer = Answer(int(line.split(" ")[1]), line, fields, b"", whole)
            if 100 <= answer.status < 200:
                if interim is not None:
                    interim.append(answer)
                continue
            if whole:
                self._read_body(answer, method)
            return answer

    def _read_body(self, answer, method):
        if method == "HEAD" or answer.status in (204, 304) or (method == "CONNECT" and answer.status == 200):
            return
        if answer["Transfer-Encoding"].lower() == "chunked":
            answer.complete = False
            while True:
                size, whole = self._line()
                if not whole:
                    return
                length = int(size.partition(";")[0], 16)
                if length == 0:
                    break
                data, whole = self._take(length)
                answer.body += data
                if not whole or not self._take(2)[1]:
                    return
            while True:
                trailer, whole = self._line()
                if not whole:
                    return
                if not trailer:
                    answer.complete = True
                    return
        elif answer["Content-Length"]:
            answer.body, answer.complete = self._take(int(answer["Content-Length"]))
        else:
            while self._more():
                pass
            answer.body, self.have = self.have, b""

    def request(self, url, body=b"", method="POST", headers=""):
        """Sends an absolute-form request and returns its answer."""
        host = re.match(r"\w+://([^/?#]*)", url)[1]
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        self.send(f"{method} {url} HTTP/1.1\r\nHost: {host}\r\n{length}{headers}\r\n".encode("latin-1") + body)
        return self.answer(method)

    def connect(self, authority, headers=""):
        self.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{headers}\r\n")
        return self.answer("CONNECT")

    def read_to_end(self):
        """All that still comes; a reset ends it too."""
        try:
            while self._more():
                pass
        except ConnectionError:
            pass
        have, self.have = self.have, b""
        return have

    def closed(self, seconds=PATIENCE):
        """Whether Egret ends the connection in time, with nothing more to say."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self.sock.close()

    def reset(self):
        close_by_reset(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def post(egret, url, body=b"{}", method="POST", headers=""):
    """One request on a connection of its own."""
    with Sender(egret.address) as sender:
        return sender.request(url, body, method, headers)


# -- Destinations -----------------------------------------------------------------------------------


class Listener:
    """Accepts and hands each connection to `serve(socket)` in a thread; counts them."""

    def __init__(self, serve, host="127.0.0.1", port=0, backlog=128):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(backlog)
        self.host, self.port = self.sock.getsockname()[:2]
        self.connections = 0
        self._serve = serve
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def authority(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path="/hook"):
        return f"http://{self.authority}{path}"

    def _accept(self):
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        self._open.add(connection)
        try:
            connection.settimeout(PATIENCE)
            self._serve(connection)
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            connection.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes accept
        self.sock.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Request:
    def __init__(self, line, fields, body):
        self.line, self.fields, self.body = line, fields, body

    def __getitem__(self, name):
        return ", ".join(value for field, value in self.fields if field.lower() == name.lower())


def read_request(stream):
    """The next request of a file-like stream; None at its end."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    fields = []
    while True:
        field = stream.readline()
        if not field.endswith(b"\n"):
            return None
        if field in (b"\r\n", b"\n"):
            break
        name, _, value = field.decode("latin-1").partition(":")
        fields.append((name, value.strip()))
    request = Request(line.decode("latin-1").rstrip("\r\n"), fields, b"")
    if request["Transfer-Encoding"]:
        while True:
            line = stream.readline()
            if not line.endswith(b"\n"):
                return None
            size = int(line.partition(b";")[0], 16)
            request.body += stream.read(size)
            if not stream.readline():
                return None
            if size == 0:
                return request
    length = int(request["Content-Length"] or 0)
    request.body = stream.read(length)
    return request if len(request.body) == length else None


def ok(body=b"thanks", status="200 OK", fields=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


class Receiver(Listener):
    """An HTTP destination: `respond(request)` gives the bytes of the answer, None ends the connection."""

    def __init__(self, respond=lambda request: ok(), **where):
        self.requests = []
        self._respond = respond
        super().__init__(self._converse, **where)

    def _converse(self, connection):
        with connection.makefile("rb") as stream:
            while True:
                request = read_request(stream)
                if request is None:
                    return
                self.requests.append(request)
                answer = self._respond(request)
                if answer is None:
                    return
                connection.sendall(answer)


def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="egret-e2e-")


class OwnReceiver:
    """`egret receive` with these options, on a free port."""

    def __init__(self, *options):
        self.out = tempfile.TemporaryFile()
        self.process = subprocess.Popen([BINARY, "receive", "--port", "0", *options], stdout=self.out, stderr=subprocess.STDOUT,
                                        stdin=subprocess.DEVNULL)

    def __enter__(self):
        try:
            found = wait_until(lambda: re.search(r"http://(\S+)/ ", self.said()), what="the receiver's first line")
        except BaseException:
            self.process.kill()
            raise
        self.authority = found[1]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self.out.close()
        if code != 0:
            raise AssertionError(f"egret receive ended with {code}")

    def url(self, path="/hook"):
        return f"http://{self.authority}{path}"

    def said(self):
        return os.pread(self.out.fileno(), 1 << 20, 0).decode(errors="replace")


def held():
    """(respond, release): a receiver's answers that wait until the test says so."""
    release = threading.Event()

    def respond(_):
        release.wait(PATIENCE)
        return ok()

    return respond, release


# -- Names ------------------------------------------------------------------------------------------

A, CNAME, AAAA = 1, 5, 28
TYPES = {"A": A, "CNAME": CNAME, "AAAA": AAAA}
CODES = {"nodata": 0, "formerr": 1, "servfail": 2, "nxdomain": 3, "notimp": 4, "refused": 5}


def encode_name(name):
    labels = [label.encode("latin-1") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode_record(owner, kind, value, ttl=0):
    data = encode_name(value) if kind == CNAME else ipaddress.ip_address(value).packed
    return encode_name(owner) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


class NameServer:
    """DNS over UDP and TCP on one port. `zone` says how each name is answered:

      "127.0.0.1 ::1"                 these addresses, each to the question of its type
      "alias.example 127.0.0.1"       through a CNAME chain: each word leads to the next
      ["127.0.0.1", "127.0.0.2"]      the first, second … question of a type; the last one stays
      "!servfail"                     one of CODES, or silence, garbage, wrong_id, wrong_question
      "!truncated 127.0.0.1"          nothing over UDP, the answer over TCP
    Other names do not exist. `questions` remembers (name, type, "udp" or "tcp").
    """

    def __init__(self, zone, host="127.0.0.1", port=0):
        self.zone = {name.lower(): answers for name, answers in zone.items()}
        self.questions = []
        self._asked = {}
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for _ in range(50):  # a port that is free for both
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            self.udp.bind((host, port))
            self.port = self.udp.getsockname()[1]
            try:
                self.tcp = Listener(self._converse, host, self.port)
                break
            except OSError:
                self.udp.close()
                if port:
                    raise
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def yaml(self):
        """A resolver section that asks this server and remembers nothing."""
        return (f'resolver: {{servers: ["{self.address}"], timeout: 500ms, tries: 2, '
                "cache: {min_ttl: 0s, max_ttl: 0s, negative_ttl: 0s}}\n")

    def answers_of(self, name):
        return self.zone.get(name, "!nxdomain")

    def asked(self, name):
        return [(kind, transport) for each, kind, transport in self.questions if each == name]

    def _serve(self):
        while True:
            try:
                query, sender = self.udp.recvfrom(4096)
            except OSError:
                return
            if not query:  # woken by close
                return
            with contextlib.suppress(IndexError, struct.error):  # what is no question gets no answer
                reply = self._reply(query, "udp")
                if reply is not None:
                    self.udp.sendto(reply, sender)

    def _converse(self, connection):
        with connection.makefile("rb") as stream:
            while True:
                size = stream.read(2)
                if len(size) < 2:
                    return
                reply = self._reply(stream.read(struct.unpack("!H", size)[0]), "tcp")
                if reply is not None:
                    connection.sendall(struct.pack("!H", len(reply)) + reply)

    @staticmethod
    def question_of(query):
        """(name in lower case, type, the question's bytes)"""
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        return ".".join(labels).lower(), struct.unpack("!H", query[at + 1:at + 3])[0], query[12:at + 5]

    def _reply(self, query, transport):
        name, kind, question = self.question_of(query)
        turn = self._asked.get((name, kind), 0)
        self._asked[name, kind] = turn + 1
        self.questions.append((name, kind, transport))
        answers = self.answers_of(name)
        if isinstance(answers, list):
            answers = answers[min(turn, len(answers) - 1)]
        words = answers.split()
        lie = words.pop(0)[1:] if words[0].startswith("!") else ""
        if lie == "silence":
            return None
        if lie == "garbage":
            return b"\xff" * 40
        number = struct.unpack("!H", query[:2])[0]
        flags = 0x8180 | CODES.get(lie, 0)
        if lie == "truncated" and transport == "udp":
            return struct.pack("!HHHHHH", number, flags | 0x200, 1, 0, 0, 0) + question
        if lie == "wrong_id":
            number ^= 0x5555
            words = ["127.0.0.1"]
        if lie == "wrong_question":
            question = encode_name("other.example") + question[-4:]
            words = ["127.0.0.1"]
        records = self._records(name, kind, words)
        return struct.pack("!HHHHHH", number, flags, 1, len(records), 0, 0) + question + b"".join(records)

    @staticmethod
    def _records(owner, kind, words):
        records = []
        for word in words:
            try:
                version = ipaddress.ip_address(word).version
            except ValueError:
                records.append(encode_record(owner, CNAME, word))
                owner = word
                continue
            if kind == (A if version == 4 else AAAA):
                records.append(encode_record(owner, kind, word))
        return records

    def close(self):
        with contextlib.suppress(OSError):
            self.udp.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)  # else the port may stay taken
        self.udp.close()
        self.tcp.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
