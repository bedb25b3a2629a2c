#!/usr/bin/env python3
"""What the demo prints.  show.py answer full|short: the sender's `STATUS BODY` from stdin.  show.py log FILE FROM: Egret's access
lines from line FROM on, the fields that tell the story."""

import json
import sys
import textwrap

SHOWN = ("method", "destination", "address", "verdict", "reason", "status", "attempts", "redirects")


def row(who, text):
    print(f"  {who:<9} │ {text}")


def answer(how):
    status, _, body = sys.stdin.read().strip().partition(" ")
    try:
        problem = json.loads(body)
    except ValueError:
        row("sender", f"{status} {body}")
        return
    row("sender", status)
    for name, value in problem.items():
        if how == "full" or name in ("reason", "detail"):
            for number, part in enumerate(textwrap.wrap(f"{name}: {value}", 110)):
                row("", "  " * bool(number) + part)


def log(path, first):
    with open(path, encoding="utf-8") as lines:
        for line in list(lines)[first:]:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "verdict" in entry:
                row("egret log", "  ".join(f"{name}={entry[name]}" for name in SHOWN
                                           if entry.get(name) and (name, entry[name]) != ("attempts", 1)))


if sys.argv[1] == "answer":
    answer(sys.argv[2])
else:
    log(sys.argv[2], int(sys.argv[3]))
