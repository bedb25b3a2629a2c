"""The second group: names whose DNS answers lie, from tests/data/dns.jsonl. Each row is asked as a URL and as a tunnel,
by names of their own, so that no cache helps or hurts."""

import addresses
import dns_corpus
import network
from result import Result

GROUP = "Names and rebinding"

# What must come of each request that is made for a row.
MEANINGS = {
    "allow": [{"allow"}],
    "allow-pinned": [{"allow"}],
    "deny": [{"deny"}],
    "error": [{"nxdomain"}],
    "bad": [{"bad"}],
    "allow-or-deny": [{"allow", "deny"}],
    "allow-or-error": [{"allow", "deny"}],
    # The second time, an answer that is kept for a while may still be used: it was judged, and it is public.
    "allow-then-deny": [{"allow"}, {"allow", "deny"}],
    "policy": [{"allow"}, {"allow", "deny"}],
}

# (part of the id, category), the first that fits.
CATEGORIES = (
    ("-reb", "rebinding: another answer the second time"),
    ("-mix", "public and private addresses in one answer"),
    ("-tcpriv", "public and private addresses in one answer"),
    ("-cn", "CNAME"),
    ("-v6", "AAAA to an address that is not public"),
    ("-many", "controls: public answers"),
    ("-pub", "controls: public answers"),
    *((part, "errors and malformed answers") for part in ("-nx", "-rf", "-nodata", "-gb", "-id", "-badlen16")),
    *((part, "spelling of names, search domains")
      for part in ("-search", "-dot", "-case", "-sublocal", "-num2", "-escdot")),
    ("", "A to an address that is not public"),
)


def category(row):
    return next(name for part, name in CATEGORIES if part in row["id"])


def rows():
    """(row with names of its own, id of the corpus, whether it is asked by CONNECT)"""
    for tunnel in (False, True):
        for row in dns_corpus.rows():
            yield dns_corpus.apart({**row, "id": f"{row['id']}{'-tunnel' if tunnel else ''}"}), row["id"], tunnel


def finding(proxy, wire, row, tunnel):
    host = row["host"].encode("latin-1")
    request = addresses.connect(host + b":443") if tunnel else addresses.absolute(b"http://" + host + b"/")
    meanings = MEANINGS[row["expect"]]
    for number, acceptable in enumerate(meanings):
        acceptable = acceptable | ({"allow"} if row.get("also") == "allow-public-only" else set())
        wrong = addresses.verdict(acceptable, *addresses.ask(proxy, wire, request))
        if wrong:
            return wrong + (", the second time" if number else "")
    return ""


def run(where, start):
    """The results of one peer; `start()` gives it running."""
    chosen = list(rows())
    scripts = [row for row, _, _ in chosen]
    with where.namespace.inside(), dns_corpus.CorpusNameServer(scripts, host=network.NAMES, port=53), start() as proxy:
        for row, name, tunnel in chosen:
            supported = proxy.peer.connect or not tunnel
            yield Result(name, GROUP, category(row) + (", by CONNECT" if tunnel else ""), row["title"],
                         finding(proxy, where.wire, row, tunnel) if supported else None)
