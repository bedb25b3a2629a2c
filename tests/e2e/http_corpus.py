"""What the two halves of tests/data/http1.jsonl share: the cases, their placeholders, and running many at a time."""

import concurrent.futures
import json
import re

import support

AT_ONCE = 12


def cases(direction):
    with open(support.DATA / "http1.jsonl", encoding="utf-8") as file:
        return [case for case in map(json.loads, file) if case["dir"] == direction]


def expand(raw):
    """`raw` is a text, or pieces of it: texts, {rep, n} and {seq, n, sep}."""
    if isinstance(raw, str):
        return raw
    out = []
    for piece in raw:
        if isinstance(piece, str):
            out.append(piece)
        elif "rep" in piece:
            out.append(piece["rep"] * piece["n"])
        else:
            out.append(piece.get("sep", "").join(piece["seq"] % number for number in range(piece["n"])))
    return "".join(out)


def fill(text, destination, other, egret):
    """The text's bytes, with the addresses of this run in the placeholders' place."""
    for mark, value in (("@@O2H@@", other.host), ("@@OH@@", destination.host), ("@@O2@@", other.authority),
                        ("@@O@@", destination.authority), ("@@PROXY@@", "%s:%d" % egret.address), ("@@SELF@@", "self")):
        text = text.replace(mark, value)
    # The length of a request that is written with | for CRLF.
    text = re.sub(r"@@LEN:(.*?)@@", lambda match: str(len(match[1].replace("|", "\r\n")) + 2), text, flags=re.DOTALL)
    return text.encode("latin-1")


def run_each(chosen, run_one):
    """What is wrong with each case, in their order. `run_one(case)` gives a list of texts."""
    def guarded(case):
        try:
            return run_one(case)
        except Exception as error:  # pylint: disable=broad-except
            return [repr(error)]

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(guarded, chosen))


def run_all(chosen, run_one):
    """The findings, [] when every case is as it says."""
    return [f"{case['id']} ({case['expect']}) {case['title'][:80]}: {finding}"
            for case, findings in zip(chosen, run_each(chosen, run_one)) for finding in findings]
