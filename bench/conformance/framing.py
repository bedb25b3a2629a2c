"""The third and fourth group: the requests and the answers of tests/data/http1.jsonl, many at a time."""

import re

import answer_corpus
import http_corpus
import network
import request_corpus
from result import Result
import support

REQUESTS, ANSWERS = "Requests: framing and smuggling", "Answers: framing and smuggling"

# Categories of the corpus, in words: a topic, or the test suite that the cases are from.
CATEGORIES = {
    "chunked": "chunked coding", "content-length": "Content-Length", "header-octets": "octets in fields",
    "proxy": "what RFC 9110 and 9112 ask of a proxy", "connect": "CONNECT",
    "desync-guardian": "from HTTP Desync Guardian",
    "http11probe": "from Http11Probe", "llhttp": "from llhttp", "portswigger": "from PortSwigger's desync permutations",
    "http-garden": "from the HTTP Garden", "h1spec": "from h1spec", "haproxy": "from HAProxy",
    "llhttp-response": "from llhttp", "response": "lengths, ends and surplus",
    "redirect": "redirects, which are passed back",
    "status-line": "status line", "status": "statuses and bodies", "response-header": "fields",
    "response-chunked": "chunked coding",
}

# Findings differ in details from run to run (ports, bytes); a table has kinds. (pattern, kind), the first that fits.
KINDS = (
    (r"^forwarded \d+ requests|^did not wait", "passed on what is to be refused"),
    (r"^the (second )?destination.*saw|^the second destination", "the destination saw what it must not see"),
    (r"^framing|^field|^request line|bare CR|^chunk size|^a chunk without",
     "passed on what two readers could read differently"),
    (r"^Host is|^the destination did not see|^the request line is", "target, Host or fields not as they must be"),
    (r"was passed on$", "passed on a field that is for one hop"),
    (r"^the connection stays open", "out of step after a refusal"),
    (r"^the next answer is", "the next answer is poisoned"),
    (r"^the connection to the destination was used again", "used a poisoned connection again"),
    (r"^the sender saw a complete", "passed on a broken answer as whole"),
    (r"^the body is", "the body is not as it was sent"),
    (r"^the sender got|^answered 4|^answered 5|^no answer", "did not pass on what is right"),
    (r"^the answer is no HTTP", "passed on what is no HTTP"),
    (r"^followed", "followed a redirect"),
    (r"is there more than once", "a field of the proxy more than once"),
    (r".", "neither a refusal nor an answer"),
)


def kind(findings):
    return next((name for pattern, name in KINDS for each in findings if re.search(pattern, each)), "")


def answers():
    """Without what races with its request by its nature: which of them comes first is chance."""
    return [case for case in answer_corpus.cases() if case.get("when") != "on-accept"]


def is_tunnel(case):
    text = case["segments"][0][1] if "segments" in case else http_corpus.expand(case["raw"])
    return text.startswith("CONNECT ")


def request_findings(case, proxy, warm):
    with request_corpus.Origin(network.PUBLIC) as origin, request_corpus.Origin(network.PUBLIC) as other, \
            support.Sender(proxy.address) as sender:
        said, fill = request_corpus.converse(case, proxy, sender, origin, other)
        found = list(request_corpus.findings(case, origin, said, fill))
        found += [f"the second destination: {fault}" for fault in other.faults]
        if case["expect"] == "reject" and said.ended == "open":
            found += request_corpus.use_again(sender, warm.url("/next"), may_close=True)
        return found


def twice(chosen, judge):
    """{id: findings}. What fails is asked once more, and only that counts: a pause of the machine is no failure."""
    found = dict(zip([case["id"] for case in chosen], http_corpus.run_each(chosen, judge)))
    again = [case for case in chosen if found[case["id"]]]
    return found | dict(zip([case["id"] for case in again], http_corpus.run_each(again, judge)))


def run(where, start):
    """The results of one peer; `start()` gives it running with every port permitted."""
    with where.namespace.inside(), support.NameServer({}, host=network.NAMES, port=53), start() as proxy, \
            support.Receiver(host=network.PUBLIC) as warm:
        for group, cases, judge in (
                (REQUESTS, http_corpus.cases("request"), lambda case: request_findings(case, proxy, warm)),
                (ANSWERS, answers(), lambda case: answer_corpus.run_one(case, proxy, False, network.PUBLIC, True))):
            chosen = [case for case in cases if proxy.peer.connect or group == ANSWERS or not is_tunnel(case)]
            found = twice(chosen, judge)
            for case in cases:
                name = CATEGORIES["connect" if group == REQUESTS and is_tunnel(case) else case["cat"]]
                wrong = kind(found[case["id"]]) if case["id"] in found else None
                yield Result(case["id"], group, name, case["title"], wrong)
