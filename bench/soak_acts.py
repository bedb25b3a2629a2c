"""What hostile peers do in the soak: the tables that bench/peers/hostile.c plays. A row: weight, ending, options, bytes."""

import json
import pathlib

DATA = pathlib.Path(__file__).resolve().parent.parent / "tests/data"
SLOW = 0.25    # weight of what holds a connection until a time-out: each does so for seconds
LARGE = 0.05   # and of what moves megabytes
CLOSE = "Connection: close\r\n"  # a sender that hangs up is no longer waiting


def corpus(direction):
    """The cases of tests/data/http1.jsonl that are small and one text."""
    with open(DATA / "http1.jsonl", encoding="utf-8") as file:
        for case in map(json.loads, file):
            if case["dir"] == direction and isinstance(case.get("raw"), str) and 0 < len(case["raw"]) < 2048:
                yield case["raw"]


def post(url, host, body=b"", fields=""):
    return f"POST {url} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answers():
    """Act N is what a destination does when it is asked for /act/N."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello there"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n there\r\n0\r\n\r\n"
    close = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello there"
    rows = [(4, ending, options, answer) for ending in ("reset", "close") for options in ("-", "c", "e")
            for answer in (ok, chunked, close)]
    rows += [(4, "keep", "m", ok), (4, "keep", "m", chunked), (2, "keep", "-", ok + b"and more"), (2, "keep", "-", ok + ok)]
    rows += [(1, "keep", "e", b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"),
             (1, "fin", "-", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
             (1, "keep", "-", b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"),
             (1, "fin", "-", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40),
             (1, "fin", "-", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n")]
    rows += [(SLOW, "drip", "-", b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello there"),
             (SLOW, "read", "-", b""), (SLOW, "deaf", "c", ok)]
    rows += [(LARGE, "endless", "-", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n"),
             (LARGE, "endless", "-", b"HTTP/1.1 100 Continue\r\n\r\n")]
    rows += [(0.5, "fin", options, raw.encode("latin-1")) for raw in corpus("response") for options in ("-", "m")]
    return rows


def senders(origin, origin_host):
    """What a hostile sender does to Egret."""
    url = f"http://{origin}/hook"
    good = post(url, origin, b'{"id": "evt_42"}')
    chunked = (f"POST {url} HTTP/1.1\r\nHost: {origin}\r\nTransfer-Encoding: chunked\r\n\r\n"
               "5\r\nhello\r\n0\r\n\r\n").encode()
    tunnel = f"CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n\r\n".encode() + post("/hook", origin, b"{}")
    rows = [(4, ending, options, text) for ending in ("reset", "close", "fin", "answer-reset") for options in ("c", "-")
            for text in (good, chunked, tunnel)]
    rows += [(4, "fin", "m", good * 3), (2, "fin", "-", good * 30), (2, "reset", "c", good * 30)]
    rows += [(1, "fin", "-", post(f"http://{host}/latest/meta-data", host)) for host in
             ("169.254.169.254", "10.0.0.1", "[::1]", "0x7f.1", "127.0.0.53", "[::ffff:10.0.0.1]", "inside.example",
              "mixed.example", "missing.example", "broken.example")]
    rows += [(1, "fin", "-", b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)]
    rows += [(SLOW, "drip", "-", good), (SLOW, "read", "-", good[:30]), (SLOW, "deaf", "-", good * 20), (SLOW, "read", "-", b"")]
    for raw in corpus("request"):
        for mark, value in (("@@O2H@@", origin_host), ("@@OH@@", origin_host), ("@@O2@@", origin), ("@@O@@", origin),
                            ("@@SELF@@", "self"), ("@@PROXY@@", origin)):
            raw = raw.replace(mark, value)
        rows += [(0.25, "fin", options, raw.encode("latin-1")) for options in ("-", "m", "c")]
    return rows


def good_senders(count, weights, hostile, rude):
    """Good requests to hostile destinations: each act of theirs as often as it weighs, and one that closes on accept."""
    rows = []
    for number in range(count):
        for body in (b"{}", b"x" * 5000):
            rows.append((weights[number] / 2, "read", "-", post(f"http://{hostile}/act/{number}", hostile, body, CLOSE)))
    return rows + [(5, "read", "-", post(f"http://{rude}/", rude, b"{}", CLOSE))]


def write(path, rows, to=("127.0.0.1", 1)):
    """`to` is for rows of four; one of five names its own."""
    with open(path, "w", encoding="ascii") as file:
        for row in rows:
            (host, port), (weight, ending, options, text) = (row[0], row[1:]) if len(row) == 5 else (to, row)
            file.write(f"{host}:{port} {weight} {ending} {options} {text.hex()}\n")
