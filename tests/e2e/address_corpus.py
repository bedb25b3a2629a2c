"""The rows of tests/data/addresses.tsv."""

import re

import support


def unescape(text):
    """`\\xNN` is a byte, `\\` and another character is that character."""
    return re.sub(rb"\\x([0-9A-Fa-f]{2})|\\(.)",
                  lambda match: bytes.fromhex(match[1].decode()) if match[1] else match[2], text.encode())


def rows():
    with open(support.DATA / "addresses.tsv", encoding="utf-8") as file:
        names = file.readline().rstrip("\n").split("\t")
        for line in file:
            yield dict(zip(names, line.rstrip("\n").split("\t")))


def asked(row):
    written = unescape(row["host_as_written"])
    if row["kind"] == "ip":
        return b"http://" + (b"[" + written + b"]" if b":" in written else written) + b"/"
    if row["kind"] in ("host", "dnsname"):
        return b"http://" + written + b"/"
    return written  # url, authority
