"""The first group: addresses, hosts and URLs of tests/data/addresses.tsv, asked of a proxy one after the other."""

import ipaddress
import re
import socket

import address_corpus
import network
from result import Result
import support

GROUP = "Addresses and URLs"
PATIENCE = 6  # seconds for an answer: more than any wait in the configurations
PASSED_ON = "passed on what is to be refused"
METADATA = "metadata|instance-data"
# Below these, a stranger can own a name, and answer for it what he likes; other names do not exist, or are internal.
STRANGERS = re.compile(r"\.(com|net|org|io|ws|mp|bar|biz)\.?$")


class Internet(support.NameServer):
    """Answers as a name server inside of a company would: internal names lead inside, others to the internet."""

    def __init__(self):
        zone = {}
        for row in address_corpus.rows():
            name = row["host_as_written"].lower().rstrip(".")
            if row["kind"] == "dnsname":
                zone[name] = re.search(r"answers ([^\s;]+)", row["reason"])[1]
            elif row["kind"] == "host" and row["expected"] == "deny" and re.fullmatch(r"[a-z][a-z0-9.-]*", name):
                zone[name] = "127.0.0.1" if "localhost" in name else "10.0.0.7"
                if re.match(METADATA, name):
                    zone[name] = "169.254.169.254"
        zone["metadata.google.internal"] = "169.254.169.254"
        super().__init__(zone, host=network.NAMES, port=53)

    def answers_of(self, name):
        if name in self.zone or not STRANGERS.search(name):
            return super().answers_of(name)
        return network.PUBLIC


def category(row):
    """The kind of trick, for the table."""
    text, reason, kind = row["host_as_written"], row["reason"], row["kind"]
    if kind == "url":
        return "URLs with two readings, other schemes, odd ports"
    if kind == "authority":
        return "authorities of CONNECT"
    if kind == "dnsname":
        return "names of strangers that lead inside"
    if kind == "ip":
        if row["expected"] == "allow":
            return "addresses that are public"
        if re.search(r"embeds|mapped|compatible|translated|NAT64|6to4|Teredo|ISATAP|SIIT", reason):
            return "IPv4 inside of IPv6"
        return "addresses that are not public"
    if "%" in text or "\\x" in text:
        return "percent-encoded, non-ASCII or control characters"
    if "[" in text or ":" in text:
        return "IPv6 as hosts, and broken"
    if re.search(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.*$", text, re.IGNORECASE):
        return "odd spellings of IPv4"
    return "names"


def authority_of(url):
    """Host and port as they stand in a URL, or b"" when there are none."""
    found = re.match(rb"[^:/]*://([^/?#]*)", url)
    return found[1] if found else b""


def questions():
    """(row, request, whether it is CONNECT): each row, addresses also as a tunnel, https only so."""
    for row in address_corpus.rows():
        url = address_corpus.asked(row)
        if row["expected"] == "allow":
            url = url.partition(b"#")[0]  # as any sender does
        if row["kind"] == "authority":
            yield row, connect(url), True
        elif url.lower().startswith(b"https://"):
            authority = authority_of(url)
            yield row, connect(authority if re.search(rb":\d*$", authority) else authority + b":443"), True
        else:
            yield row, absolute(url), False
            if row["kind"] == "ip":
                yield row, connect(authority_of(url) + b":443"), True


def connect(authority):
    return b"CONNECT " + authority + b" HTTP/1.1\r\nHost: " + clean(authority) + b"\r\n\r\n"


def absolute(url):
    host = clean(authority_of(url).rpartition(b"@")[2])
    return b"GET " + url + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"


def clean(host):
    """Host is never the reason of a refusal: what could not stand there is left empty, and the target decides."""
    return host if re.fullmatch(rb"[!-~]+", host) else b""


def ask(proxy, wire, request):
    """(status, what was dialled for it). Status 0: ended without an answer; None: silence."""
    with socket.create_connection(proxy.address, PATIENCE) as sender:
        wire.dialled()
        sender.settimeout(PATIENCE)
        came, status = b"", 0
        try:
            sender.sendall(request)
            while b"\n" not in came:
                got = sender.recv(65536)
                if not got:
                    break
                came += got
        except TimeoutError:
            status = None
        except ConnectionError:
            pass
        found = re.match(rb"HTTP/1\.[01] (\d\d\d)", came)
        if found:
            status = int(found[1])
        elif came.startswith(b"thanks"):  # HTTP/0.9: the body of the receiver's answer, and nothing before it
            status = 200
        return status, wire.dialled()


def verdict(acceptable, status, dialled, literal=None):
    """What is wrong, or "": `acceptable` has the words of the corpus, `literal` is the address that is meant."""
    meant = literal if "allow" in acceptable else None
    inside = [address for address, _ in dialled if network.is_inside(address) and address != meant]
    if inside:
        return f"dialled the inside ({', '.join(sorted({str(each) for each in inside}))})"
    refused = not dialled and status is not None and not 200 <= status < 400
    if refused:
        return "" if acceptable - {"allow"} else "refused what is public"
    if "allow" in acceptable:
        if status != 200:
            return f"no success: {status or 'no answer'}"
        if literal and {address for address, _ in dialled} - {literal}:  # none: a connection was used again
            return "dialled another address"
        return ""
    return PASSED_ON if dialled or status == 200 else f"no refusal: {status or 'no answer'}"


def literal_of(row):
    """The address that a row of kind ip means; IPv4 that IPv6 only wraps (::ffff:0:0/96) is dialled as IPv4."""
    if row["kind"] != "ip":
        return None
    address = ipaddress.ip_address(row["host_as_written"])
    return getattr(address, "ipv4_mapped", None) or address


def run(where, start):
    """The results of one peer; `start()` gives it running."""
    with where.namespace.inside(), Internet(), start() as proxy:
        for row, request, tunnel in questions():
            words = {"allow" if word.startswith("allow") else word
                     for word in (row["expected"], *filter(None, row["also_acceptable"].split(",")))}
            name = category(row) + (", by CONNECT" if tunnel and row["kind"] != "authority" else "")
            if tunnel and not proxy.peer.connect:
                yield Result(row["id"], GROUP, name, row["host_as_written"], None)
                continue
            status, dialled = ask(proxy, where.wire, request)
            wrong = verdict(words, status, dialled, literal_of(row))
            yield Result(row["id"], GROUP, name, row["host_as_written"], wrong)
