"""The requests of tests/data/http1.jsonl: how one is sent through a proxy, and what must not be found after it."""

import re
import socket
import time

import http_corpus
import support

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
QUIET = 0.25   # after an answer, a second one would have come by now
PATIENCE = 5   # for any answer at all: more than the idle timeout below
NEVER_FORWARDED = {"proxy-authorization", "proxy-connection", "proxy-authenticate", "keep-alive", "te", "upgrade"}


def faults(head):
    """Why two readers could disagree about this request head; none should."""
    lines = head.split(b"\r\n")
    found = []
    if re.search(rb"(?<!\r)\n|\r(?!\n)|\0", head):
        found.append("a bare CR, a bare LF or a NUL")
    if not re.fullmatch(TOKEN + rb" [!-~]+ HTTP/1\.[01]", lines[0]):
        found.append(f"request line {lines[0][:60]!r}")
    values = {}
    for line in lines[1:]:
        field = re.fullmatch(rb"(" + TOKEN + rb"):[ \t]*(.*?)[ \t]*", line, re.DOTALL)
        if not field or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", field[2]):
            found.append(f"field {line[:50]!r}")
        else:
            values.setdefault(field[1].decode().lower(), []).append(field[2])
    lengths, codings = values.get("content-length", []), values.get("transfer-encoding", [])
    if (len(lengths) + len(codings) > 1 or any(not each.isdigit() for each in lengths)
            or any(each.lower() != b"chunked" for each in codings)):
        found.append(f"framing {lengths} {codings}")
    if len(values.get("host", [])) != 1:
        found.append(f"Host {values.get('host')}")
    found += [f"{name} was passed on" for name in NEVER_FORWARDED if name in values]
    return found


class Origin(support.Listener):
    """Reads requests as strictly as it can, says 200 to each, and remembers every byte and what is wrong."""

    def __init__(self, host="127.0.0.1"):
        self.requests, self.seen, self.faults = [], [], []
        super().__init__(self._converse, host)

    def _converse(self, connection):
        def more():
            got = connection.recv(65536)
            self.seen.append(got)
            if not got:
                raise EOFError
            return got

        have = b""

        def take(size):
            nonlocal have
            while len(have) < size:
                have += more()
            taken, have = have[:size], have[size:]
            return taken

        def line():
            nonlocal have
            while b"\r\n" not in have:
                have += more()
            return take(have.index(b"\r\n") + 2)[:-2]

        def content(fields):
            if b"\r\ntransfer-encoding:" not in fields:
                length = re.search(rb"\r\ncontent-length:[ \t]*(\d+)", fields)
                return take(int(length[1])) if length else b""
            body = b""
            while True:
                size = line()
                if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
                    self.faults.append(f"chunk size {size[:40]!r}")
                    raise EOFError
                piece = take(int(size, 16))
                body += piece
                if piece and line():
                    self.faults.append("a chunk without its end")
                if not piece:
                    while line():
                        pass
                    return body

        try:
            while True:
                while b"\r\n\r\n" not in have:
                    have += more()
                head = take(have.index(b"\r\n\r\n") + 4)[:-4]
                self.faults += faults(head)
                body = content(head.lower())
                self.requests.append((head, body))
                answer = b'{"n":%d}' % len(self.requests)
                reply = support.ok(answer)
                connection.sendall(reply[:-len(answer)] if head.startswith(b"HEAD ") else reply)
        except EOFError:
            pass


class Conversation:
    """One case sent, and all that came back."""

    def __init__(self, sender, pieces, end):
        self.sock, self.came, self.ended = sender.sock, b"", "open"
        try:
            for wait_for_continue, data in pieces:
                if wait_for_continue:
                    self.listen(lambda: b" 100 " in self.came or self.statuses(), 1.5)
                self.sock.settimeout(5)
                self.sock.sendall(data)
            if end == "half-close":
                self.sock.shutdown(socket.SHUT_WR)
            if end == "rst":
                time.sleep(0.1)
                sender.reset()
                self.ended = "reset by us"
                return
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent; the answer may be there all the same
        self.listen(self.statuses, PATIENCE)
        quiet_since = len(self.came)
        while self.listen(lambda: len(self.came) > quiet_since, QUIET):
            quiet_since = len(self.came)

    def statuses(self):
        return [int(code) for code in re.findall(rb"HTTP/1\.[01] ([2-5]\d\d)", self.came)]

    def listen(self, until, seconds):
        """Reads until that holds; False when the time is over or the connection ended."""
        end = time.monotonic() + seconds
        while self.ended == "open" and not until():
            self.sock.settimeout(max(end - time.monotonic(), 0.001))
            try:
                got = self.sock.recv(65536)
            except TimeoutError:
                return False
            except ConnectionError:
                self.ended = "reset"
                return False
            if not got:
                self.ended = "closed"
                return False
            self.came += got
        return self.ended == "open"


def converse(case, proxy, sender, origin, other, byte_by_byte=False):
    """One case sent through `proxy`, each byte as a packet of its own if so: (Conversation, fill)."""
    def fill(text):
        return http_corpus.fill(text, origin, other, proxy)
    if "segments" in case:
        pieces = [(isinstance(when, str), fill(text)) for when, text in case["segments"]]
    else:
        pieces = [(False, fill(http_corpus.expand(case["raw"])))]
    if byte_by_byte:
        sender.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pieces = [(wait and at == 0, data[at:at + 1]) for wait, data in pieces for at in range(len(data))]
    return Conversation(sender, pieces, case.get("end")), fill


def use_again(sender, url, may_close=False):
    """A connection that a refusal leaves open must be in step: the next answer is that of the next request.
    `may_close`: or it ends after all."""
    sender.sock.settimeout(support.PATIENCE)
    try:
        answer = sender.request(url, b"next")
    except (TimeoutError, ValueError, IndexError) as error:
        return [f"the connection stays open and then says {error!r}"]
    except ConnectionError:
        answer = None
    if answer is None and may_close:
        return []
    if answer is None or answer.body != b"thanks":
        return [f"the connection stays open and then says {answer}"]
    return []


def findings(case, origin, said, fill, own_status=None):
    """What is wrong. `own_status`: {id: status} beside the listed ones; without it, any refusal will do, and the end of
    the connection is one."""
    expect, told = case["expect"], case.get("origin", {})
    statuses = said.statuses()
    first, forwarded = (statuses[0] if statuses else None), len(origin.requests)
    tunnel = case["cat"] == "connect" and first == 200
    # Whatever the verdict: what is forwarded is clean.
    if not tunnel:
        yield from origin.faults
    seen = b"".join(origin.seen)
    for pattern in told.get("must_not_see", []):
        if re.search(pattern.encode("latin-1"), seen) and not tunnel:
            yield f"the destination saw {pattern}"
    refused = first is not None and 400 <= first < 600
    if own_status is None and first is None and said.ended in ("closed", "reset"):
        refused = True
    if expect == "reject":
        if forwarded > told.get("max_requests", 0):
            yield f"forwarded {forwarded} requests"
        # Whoever ends the connection within a request may be left without an answer.
        if not refused and not told.get("max_requests") and "end" not in case:
            yield f"answered {first}, {said.ended}"
        listed = case.get("status")
        if own_status is not None and listed and refused and first not in [*listed, own_status.get(case["id"])]:
            yield f"answered {first}, should be one of {listed}"
    elif expect in ("accept", "normalise"):
        if first != 200 and not (expect == "normalise" and told.get("max_requests") == 0 and refused):
            yield f"answered {first}, {said.ended}: {said.came[-400:]!r}"
        yield from as_told(told, origin, fill, seen)
    elif expect == "reject_or_normalise":
        if forwarded or tunnel:
            yield from as_told(told, origin, fill, seen)
        elif not refused:
            yield f"neither forwarded nor refused: {first}, {said.ended}"
    elif expect == "wait":
        if forwarded or (statuses and not refused):
            yield f"did not wait: {forwarded} forwarded, {statuses}"


def as_told(told, origin, fill, seen):
    if len(origin.requests) > told.get("max_requests", 99):
        yield f"forwarded {len(origin.requests)} requests"
    for pattern in told.get("must_see", []):
        if not re.search(pattern.encode("latin-1"), seen, re.IGNORECASE):
            yield f"the destination did not see {pattern}"
    if not origin.requests:
        return
    head, body = origin.requests[0]
    if "body" in told and body != told["body"].encode("latin-1"):
        yield f"the body is {body[:60]!r}"
    if "line" in told and head.split(b"\r\n")[0] != told["line"].encode("latin-1"):
        yield f"the request line is {head.split(chr(13).encode())[0]!r}"
    host = re.search(rb"(?im)^host:[ \t]*([^\r\n]*)", head)
    if "host" in told and host[1] != fill(told["host"]):
        yield f"Host is {host[1]!r}"
