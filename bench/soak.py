#!/usr/bin/env python3
"""A soak: millions of requests through Egret, a tenth of them with a hostile peer, and nothing grows.

Called by scripts/soak.sh, which installs and builds. All traffic stays on 127.0.0.0/8. wrk sends webhooks that must all be answered;
meanwhile bench/peers/hostile.c plays senders and destinations that reset, drip, lie, stop and go deaf (bench/soak_acts.py). Memory,
descriptors and gauges are looked at every two seconds. Fails when anything grows after the warm-up, a gauge does not return to zero, a
good request is not answered, or Egret reports a bug or does not end in order.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/e2e"))
import soak_acts  # pylint: disable=wrong-import-position
import support    # pylint: disable=wrong-import-position

GOOD, FROM, TO = "127.0.0.1", "127.0.0.2", "127.0.0.3"  # listeners: good senders, hostile senders, good ones to hostile destinations
SHARE = 0.10
WARM_UP = 0.2            # of the requests: a crowd, so that pools and the allocator's arenas reach their size
CROWD = 0.40             # hostile share while warming up
EVERY = 2                # seconds between two looks
SPARE = (2 << 20, 0.05)  # how much memory may differ by chance: bytes, share
LONGEST = 40 * 60        # seconds: then something is stuck
BUSY = ("egret_sender_connections", "egret_exchanges_in_flight", "egret_tunnels_open", "egret_buffers", "egret_buffer_bytes",
        "egret_upstream_idle")
CONFIG = """
listeners: [{{address: {GOOD}:0}}, {{address: {FROM}:0}}, {{address: {TO}:0}}]
workers: 2
log: {{access: none}}
{resolver}
defaults:
  # A changed byte must not lead anywhere else.
  addresses: {{allow: [127.0.0.1/32], deny: [0.0.0.0/0, "::/0"]}}
  ports: [80, 443, {origin}, {hostile}, {rude}]
  timeouts: {{resolve: 2s, connect: 2s, response: 2s, idle: 2s, total: 4s, tunnel: 4s}}
  limits: {{in_flight_per_host: 2000}}
rules:
  # However slow the machine is, a good webhook is answered.
  - {{name: good, match: {{hosts: [receiver.example]}}, timeouts: {{response: 15s, idle: 10s, total: 20s, connect: 10s}}}}
"""


class Failed(Exception):
    """What was not as it must be."""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def compile_peers(folder):
    for name in ("origin", "hostile"):
        subprocess.run(["gcc", "-std=gnu17", "-O2", "-o", folder / name, HERE / f"peers/{name}.c"], check=True)


class Soak:
    def __init__(self, stack, folder, requests):
        self.requests, self.folder = requests, folder
        self.origin, hostile, rude = free_port(), free_port(), free_port()
        compile_peers(folder)
        names = stack.enter_context(support.NameServer(
            {"receiver.example": "127.0.0.1", "inside.example": "10.0.0.1", "mixed.example": "127.0.0.1 10.0.0.1",
             "broken.example": "!servfail"}))
        resolver = re.sub(r"cache: \{[^}]*\}", "cache: {entries: 256, min_ttl: 1s, negative_ttl: 1s}", names.yaml)
        self.egret = stack.enter_context(support.Egret(CONFIG.format(
            GOOD=GOOD, FROM=FROM, TO=TO, resolver=resolver, origin=self.origin, hostile=hostile, rude=rude)))
        self.listeners = {address.rpartition(":")[0]: self.egret.endpoint(address) for address in self.egret.listening_at}
        self.run(stack, [folder / "origin", str(self.origin)])
        answers = soak_acts.answers()
        soak_acts.write(folder / "answers", answers)
        hostile_url, rude_url, origin = f"127.0.0.1:{hostile}", f"127.0.0.1:{rude}", f"127.0.0.1:{self.origin}"
        from_rows = soak_acts.senders(origin, "127.0.0.1")
        to_rows = soak_acts.good_senders(len(answers), [row[0] for row in answers], hostile_url, rude_url)
        scale = sum(row[0] for row in from_rows) / sum(row[0] for row in to_rows)  # half on each side
        rows = [(self.listeners[FROM], *row) for row in from_rows]
        rows += [(self.listeners[TO], weight * scale, *rest) for weight, *rest in to_rows]
        soak_acts.write(folder / "senders", rows)
        self.run(stack, [folder / "hostile", "serve", folder / "answers", str(hostile), str(rude)])
        self.hostile = self.run(stack, [folder / "hostile", "send", folder / "senders"])
        self.looks = []

    def run(self, stack, command, **more):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)
        stack.callback(self.end, process)
        return process

    @staticmethod
    def end(process):
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.kill()
        process.wait()

    def look(self):
        pid = self.egret.process.pid
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        metrics = self.egret.metrics()
        done = collections.Counter()
        for series, value in metrics.items():
            if series.startswith("egret_exchanges_total{"):
                done[re.search(r'listener="(127\.0\.0\.\d)', series)[1]] += int(value)
        self.looks.append({"good": done[GOOD], "hostile": done[FROM] + done[TO], "rss": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) << 10,
                           "files": len(self.files()), "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
                           "metrics": metrics})
        return self.looks[-1]

    def look_at_rest(self):
        """A question to a name server may still have its socket: the least of some seconds."""
        looks = []
        for _ in range(10):
            looks.append(self.look())
            time.sleep(0.5)
        return {**looks[-1], "files": min(look["files"] for look in looks)}

    def files(self):
        """What each descriptor is: "socket", "anon_inode", a path."""
        folder = pathlib.Path(f"/proc/{self.egret.process.pid}/fd")
        found = []
        for each in folder.iterdir():
            with contextlib.suppress(OSError):
                found.append(re.sub(r":\[.*", "", os.readlink(each)))
        return sorted(found)

    def busy(self):
        return {series: value for series, value in self.egret.metrics().items() if series.partition("{")[0] in BUSY and value}

    def wait_for_rest(self):
        support.wait_until(lambda: not self.busy(), 60, "rest: all gauges at zero")

    def post(self, name):
        with support.Sender(self.listeners[GOOD]) as sender:
            return sender.request(f"http://{name}:{self.origin}/hook", b"{}").status

    def go(self):
        if self.post("receiver.example") != 200:
            raise Failed("a good request is not answered at the start")
        self.wait_for_rest()
        before = self.look_at_rest()
        environment = {**os.environ, "BENCH_TARGET": f"receiver.example:{self.origin}"}
        host, port = self.listeners[GOOD]
        with contextlib.ExitStack() as stack:
            wrk = self.run(stack, ["wrk", "-t1", "-c32", f"-d{LONGEST}s", "--timeout", "20s", "-s", str(HERE / "peers/post.lua"),
                                   f"http://{host}:{port}/"], env=environment)
            since = {}
            acts, end, told = 0, time.monotonic() + LONGEST, 0
            while True:
                time.sleep(0.25)
                now = self.look()
                if time.monotonic() - told > 20:
                    told = time.monotonic()
                    print(f"  {now['good'] + now['hostile']:>9,} requests, {now['hostile']:>7,} hostile, "
                          f"{now['rss'] / 2**20:5.1f} MiB, {now['files']} files", flush=True)
                if now["good"] + now["hostile"] >= self.requests:
                    break
                if time.monotonic() > end or wrk.poll() is not None or self.hostile.poll() is not None:
                    raise Failed(f"stuck: {self.busy()}")
                # Some acts are several requests, some never become one.
                warm = now["good"] + now["hostile"] >= WARM_UP * self.requests
                share = SHARE if warm else CROWD
                if warm and not since:
                    since = now
                wanted = since.get("hostile", 0) + (now["good"] - since.get("good", 0)) * share / (1 - share)
                ratio = min(max(now["hostile"] / acts, 0.2), 3) if acts > 1000 else 1
                acts = max(acts, int(acts + (wanted - now["hostile"]) / ratio * 0.5))
                self.hostile.stdin.write(f"{acts}\n")
                self.hostile.stdin.flush()
            wrk.send_signal(signal.SIGINT)
            said = wrk.communicate(timeout=60)[0]
        self.hostile.stdin.close()
        self.hostile.wait(120)
        self.wait_for_rest()
        time.sleep(1)
        if self.post("receiver.example") != 200:
            raise Failed("a good request is not answered at the end")
        self.wait_for_rest()
        return before, self.look_at_rest(), said

    def judge(self, before, after, said):
        count = after["good"] + after["hostile"]
        good = {series: value for series, value in after["metrics"].items()
                if series.startswith("egret_exchanges_total{") and f'listener="{GOOD}' in series}
        # wrk hangs up within its last requests.
        bad = sum(value for series, value in good.items() if 'reason="none"' not in series or 'code="2xx"' not in series)
        reasons = collections.Counter()
        for series, value in after["metrics"].items():
            if series.startswith("egret_exchanges_total{") and f'listener="{GOOD}' not in series:
                reasons[re.search(r'reason="(\w+)"', series)[1]] += int(value)
        warm = [look for look in self.looks if look["good"] + look["hostile"] >= WARM_UP * self.requests]
        size = max(1, len(warm) // 20)
        least = [min(look["rss"] for look in warm[at:at + size]) for at in range(0, len(warm), size)]
        slope = statistics.linear_regression(range(len(least)), least).slope * len(least) if len(least) > 1 else 0
        spare = max(SPARE[0], SPARE[1] * least[0])
        overdue = re.search(r'"overdue": (\d+)', self.hostile.stdout.read()) or ["", "unknown: hostile said nothing"]
        wrk = re.search(r"RESULT (.*)", said) or ["", "wrk said nothing"]
        checks = [
            ("hostile share", f"{after['hostile'] / count:.1%}", after["hostile"] >= 0.95 * SHARE * count),
            ("good requests not answered 2xx", f"{bad:.0f} of {after['good']:,}", bad <= 32),
            ("memory after warm-up → at the end", f"{least[0] / 2**20:.1f} → {after['rss'] / 2**20:.1f} MiB", after["rss"] <= least[0] + spare),
            ("trend of its minima", f"{slope / 2**20:+.2f} MiB over the run", slope <= spare),
            ("descriptors at rest, before → after", f"{before['files']} → {after['files']}", before["files"] == after["files"]),
            ("threads", f"{before['threads']} → {after['threads']}", before["threads"] == after["threads"]),
            ("gauges at the end", str(self.busy() or "all zero"), not self.busy()),
            ("peers that nobody ended in 30 s", overdue[1], overdue[1] == "0"),
            ("answers of internal_error", str(reasons["internal_error"]), reasons["internal_error"] == 0),
            ("wrk", wrk[1], '"broken": 0' in said and '"refused": 0' in said),
        ]
        return count, reasons, checks


def report(count, reasons, checks):
    lines = [f"{count:,} requests; {sum(reasons.values()):,} with a hostile peer:",
             ", ".join(f"{reason} {number:,}" for reason, number in reasons.most_common()), ""]
    lines += [f"{'ok    ' if good else 'FAILED'}  {name}: {value}" for name, value, good in checks]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("requests", type=int, nargs="?", default=2_000_000)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with contextlib.ExitStack() as stack:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="egret-soak-")))
            soak = Soak(stack, folder, options.requests)
            result = soak.judge(*soak.go())
            soak.egret.stop()  # in order, with nothing on stderr that is a bug
        print(report(*result))
        return 0 if all(good for _, _, good in result[2]) else 1
    except (Failed, AssertionError) as failure:
        print(f"FAILED  {failure}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
