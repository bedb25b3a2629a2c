"""The rows of tests/data/dns.jsonl, and the name server that answers as they say."""

import ipaddress
import json
import re
import struct

import support

LIES = {"NXDOMAIN": "!nxdomain", "NODATA": "!nodata", "REFUSED": "!refused", "GARBAGE": "!garbage",
        "WRONGID": "!wrong_id"}
UDP_SIZE = 512  # an answer that is longer is cut, and given whole over TCP


def rows():
    with open(support.DATA / "dns.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def apart(row):
    """The row with names of its own, so that no cache has an answer from another one."""
    text = json.dumps({"zone": row["zone"], "host": row["host"]})
    text = re.sub(r"(?i)(?<=\")hook\.test", lambda found: f"{row['id'].lower()}.{found[0]}", text)
    return {**row, **json.loads(text)}


class CorpusNameServer(support.NameServer):
    """Answers from all the rows' zones; `rows` have names of their own (apart)."""

    def __init__(self, chosen, **where):
        zone = {}
        for row in chosen:
            for name, turns in row["zone"].items():
                zone[name.replace("\\.", ".")] = LIES[turns] if isinstance(turns, str) else turns
        super().__init__(zone, **where)

    def _turns(self, name, kind):
        """The records of this turn, or what the base class makes an answer of."""
        turns = self.answers_of(name)
        turn = self._asked.get((name, kind), 0)
        return turns if isinstance(turns, str) else turns[min(turn, len(turns) - 1)]

    def _reply(self, query, transport):
        name, kind, question = self.question_of(query)
        records = self._turns(name, kind)
        if isinstance(records, str):
            return super()._reply(query, transport)
        self._asked[name, kind] = self._asked.get((name, kind), 0) + (transport == "udp")
        self.questions.append((name, kind, transport))
        answers = [self._record(name, each) for each in records if support.TYPES[each["t"]] in (kind, support.CNAME)]
        body = question + b"".join(answers)
        if transport == "udp" and len(body) > UDP_SIZE - 12:
            return query[:2] + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + question
        return query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(answers), 0, 0) + body

    @staticmethod
    def _record(name, each):
        owner, kind, ttl = each.get("n", name), support.TYPES[each["t"]], each.get("ttl", 60)
        if "raw" in each:
            data = bytes.fromhex(each["raw"])
        elif kind == support.CNAME:
            data = support.encode_name(each["v"])
        else:
            data = ipaddress.ip_address(each["v"]).packed
        return support.encode_name(owner) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data
