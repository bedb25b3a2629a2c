#!/usr/bin/env python3
"""names.py ADDRESS NAME=IP[+IP…][,IP…]…: the demo's name server, on port 53.

Answers a name with its addresses and a TTL of 0. After a comma comes what the second question is answered with, and so on:
that is DNS rebinding. Each question is a line on stdout.
"""

import ipaddress
import socket
import struct
import sys

TYPES = {1: 4, 28: 6}  # A, AAAA: the version of IP


def question(query):
    """(name, type, the question's bytes)"""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    return ".".join(labels), struct.unpack("!H", query[at + 1:at + 3])[0], query[12:at + 5]


def answer(query, zone, asked):
    name, kind, asked_for = question(query)
    turns = zone.get(name)
    records = []
    if turns:
        turn = asked.get((name, kind), 0)
        asked[name, kind] = turn + 1
        addresses = [ipaddress.ip_address(text) for text in turns[min(turn, len(turns) - 1)].split("+")]
        records = [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(a.packed)) + a.packed
                   for a in addresses if a.version == TYPES.get(kind)]
        if kind == 1:
            print(f"{name} is {' and '.join(map(str, addresses))}", flush=True)
    flags = 0x8180 | (0 if turns else 3)
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + asked_for + b"".join(records)


def main():
    zone = {name: turns.split(",") for name, turns in (row.split("=") for row in sys.argv[2:])}
    asked = {}
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((sys.argv[1], 53))
    while True:
        query, sender = server.recvfrom(4096)
        try:
            server.sendto(answer(query, zone, asked), sender)
        except (IndexError, struct.error):
            pass  # no question that can be read


main()
