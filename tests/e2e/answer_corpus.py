"""The hostile answers of tests/data/http1.jsonl: two requests on one connection to a proxy; the second shows whether
the first answer's surplus poisons what comes after it."""

import re
import threading
import time

import http_corpus
import support

DRIP = 6  # seconds that a dripping origin goes on: longer than any limit


class Origin(support.Listener):
    """Answers the first request as the case says, `/second` well."""

    def __init__(self, case, host="127.0.0.1"):
        self.case, self.raw = case, b""
        self.misbehaved_on = self.answered_second_on = None  # numbers of connections
        self.stop = threading.Event()
        super().__init__(self._converse, host)

    def close(self):
        self.stop.set()
        super().close()

    def _converse(self, connection):
        number = self.connections
        if self.case.get("when") == "on-accept":
            self.misbehaved_on = number
            connection.sendall(self.raw)
        with connection.makefile("rb") as stream:
            while True:
                if self.case.get("when") == "after-head":
                    request = self._read_head(stream)
                else:
                    request = support.read_request(stream)
                if request is None:
                    return
                if "/second" in request.line:
                    self.answered_second_on = number
                    connection.sendall(support.ok(b"SECOND"))
                elif self.case.get("when") != "on-accept":
                    self.misbehaved_on = number
                    if not self._misbehave(connection):
                        return

    @staticmethod
    def _read_head(stream):
        line = stream.readline()
        while stream.readline() not in (b"\r\n", b""):
            pass
        return support.Request(line.decode("latin-1"), [], b"") if line else None

    def _misbehave(self, connection):
        """Whether the connection goes on."""
        stream = self.case.get("stream")
        if not stream:
            connection.sendall(self.raw)
            if self.case.get("end") == "rst":
                support.close_by_reset(connection)
            return not self.case.get("end")
        end = time.monotonic() + DRIP
        connection.sendall(stream.get("first", "").encode("latin-1"))
        pieces = iter(stream["each"]) if "each" in stream else None
        while time.monotonic() < end:
            piece = next(pieces, "") if pieces else stream["chunk"]
            connection.sendall(piece.encode("latin-1"))
            if stream["interval_ms"] and self.stop.wait(stream["interval_ms"] / 1000):
                break
        return False


def cases():
    """Without the two that are not bytes but programs; answer_corpus_test and dns_test have them."""
    return [case for case in http_corpus.cases("response")
            if not re.match(r"@@(GZIPBOMB|DNS)", http_corpus.expand(case["raw"]))]


def run_one(case, proxy, used_before, host="127.0.0.1", silent=False):
    """What is wrong when a destination on `host` answers `proxy` as the case says; [] when nothing is. `silent`: to
    close the sender's connection without a word is a way to refuse an answer."""
    with Origin(case, host) as origin, support.Listener(lambda _: None, host) as other, \
            support.Sender(proxy.address) as sender:
        def fill(text):
            return http_corpus.fill(text, origin, other, proxy)
        origin.raw = fill(http_corpus.expand(case["raw"]))
        request = fill(case["client_request"])
        method = request.split(b" ")[0].decode()
        second_request = f"GET {origin.url('/second')} HTTP/1.1\r\nHost: {origin.authority}\r\n\r\n"
        if used_before and sender.send(second_request).answer("GET").body != b"SECOND":
            return ["the request before it went wrong"]
        origin.answered_second_on = None
        sender.send(request)
        reset = False
        try:
            answer = sender.answer(method)
        except ConnectionError:
            answer, reset = None, True
        except (ValueError, IndexError):
            return ["the answer is no HTTP"]
        second = None
        try:
            second = sender.send(second_request).answer("GET")
        except OSError:
            pass
        except (ValueError, IndexError):
            return ["the next answer is no HTTP"]
        return list(findings(case, answer, reset, second, origin, other, silent))


def findings(case, answer, reset, second, origin, other, silent):
    told, expect = case.get("client", {}), case["expect"]
    if other.connections:
        yield "followed the redirect"
    if second is not None and second.body != b"SECOND":
        yield f"the next answer is {second}"
    # What ends with the connection is whole only if the connection ends in order.
    whole = answer is not None and answer.complete and not reset
    if expect == "reject" and case["cat"] != "redirect" and whole and answer.status < 500:
        yield f"the sender saw a complete {answer}"
    if expect in ("accept", "normalise") or (expect == "reject_or_normalise" and whole):
        if answer is None:
            yield "no answer"
        elif "status" in told and answer.status not in told["status"]:
            yield f"the sender got {answer}"
        elif "body" in told and answer.status < 500 and answer.body != told["body"].encode("latin-1"):
            yield f"the body is {answer.body[:80]!r}"
    if answer is None and not reset and expect != "policy" and not (silent and expect.startswith("reject")):
        yield "closed without an answer"
    # Bytes that come before the request does on a fresh connection cannot be told from an early answer.
    early = case.get("when") == "on-accept"
    if case.get("must_not_reuse") and not early and origin.answered_second_on == origin.misbehaved_on:
        yield "the connection to the destination was used again"
    for name in ("Egret-Attempts", "Proxy-Status"):
        if answer is not None and sum(field.lower() == name.lower() for field, _ in answer.fields) > 1:
            yield f"{name} is there more than once: {answer.fields}"
