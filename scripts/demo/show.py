#!/usr/bin/env python3
"""What the demo prints.  show.py answer: the sender's `STATUS BODY` from stdin.  show.py log FILE FROM: Egret's access
lines from line FROM on, the fields that tell the story."""

import json
import sys

SHOWN = ("method", "destination", "address", "verdict", "reason", "status")


def row(who, text):
    print(f"  {who:<9} │ {text}")


def answer():
    status, _, body = sys.stdin.read().strip().partition(" ")
    try:
        problem = json.loads(body)
    except ValueError:
        row("sender", f"{status} {body}")
        return
    row("sender", status)
    for name, value in problem.items():
        row("", f"{name}: {value}")


def log(path, first):
    with open(path, encoding="utf-8") as lines:
        for line in list(lines)[first:]:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "verdict" in entry:
                row("egret log", "  ".join(f"{name}={entry[name]}" for name in SHOWN if entry.get(name)))


if sys.argv[1] == "answer":
    answer()
else:
    log(sys.argv[2], int(sys.argv[3]))
