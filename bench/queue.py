#!/usr/bin/env python3
"""What keeping costs: Egret's queue beside append and fdatasync, deep queues, dead destinations.

Called by scripts/bench.sh --queue, which installs and builds. Everything runs on 127.0.0.0/8; bench/README.md says what
each part asks.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
EGRET = ROOT / "build/release/egret"
ORIGIN, HANGING, REFUSING, PROXY, ADMIN, FLOOR = 7200, 7201, 7202, 7203, 7204, 7205
YAML = """listeners: [{address: "127.0.0.1:%d"}]
admin: {address: "127.0.0.1:%d"}
workers: 1
log: {access: none}
queue: {store: "sqlite:%s", max_deliveries: 5000000, max_size: 40GiB}
defaults:
  addresses: {allow: [127.0.0.0/8]}
  ports: [%d-%d]
  delivery: {mode: %s}
"""


class Trouble(Exception):
    """The benchmark cannot go on; the message says why."""


class Bench:
    def __init__(self, stack, folder):
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="egret-bench-", dir=folder))
        stack.callback(shutil.rmtree, self.run, ignore_errors=True)
        for program in ("origin", "keeper"):
            subprocess.run(["gcc", "-std=gnu17", "-O2", "-o", self.run / program, HERE / f"peers/{program}.c"], check=True)

    @property
    def store(self):
        return self.run / "queue.db"

    def forget(self):
        for path in self.run.glob("queue.db*"):
            path.unlink()

    @contextlib.contextmanager
    def process(self, command, port):
        with open(self.run / "out", "ab") as output:
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_for(port, process, self.run / "out")
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def egret(self, mode="async"):
        yaml = self.run / "egret.yaml"
        yaml.write_text(YAML % (PROXY, ADMIN, self.store, ORIGIN, REFUSING, mode))
        return self.process([EGRET, "run", "-c", yaml], PROXY)

    def origin(self):
        return self.process([self.run / "origin", ORIGIN, "any"], ORIGIN)

    def floor(self, group):
        return self.process([self.run / "keeper", FLOOR, self.run / "kept", group], FLOOR)

    def load(self, port, senders, seconds, targets, pause=0):
        done = subprocess.run(
            ["wrk", "-t1", f"-c{senders}", f"-d{seconds}s", "--timeout", "10s", "-s", str(HERE / "peers/hooks.lua"),
             f"http://127.0.0.1:{port}/"], capture_output=True, text=True,
            env=os.environ | {"BENCH_TARGETS": " ".join(targets), "BENCH_PAUSE": str(pause)})
        match = re.search(r"^RESULT (.*)$", done.stdout, re.M)
        if not match:
            raise Trouble(f"wrk failed: {done.stdout}{done.stderr}")
        result = json.loads(match.group(1))
        if result["refused"] or result["broken"]:
            raise Trouble(f"{result['refused']} answers were not 2xx, {result['broken']} connections broke")
        return result | {"rate": result["requests"] / result["seconds"]}


def wait_for(port, process, output):
    for _ in range(2000):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.005)
    raise Trouble(f"nobody listens on {port}: {output.read_text(errors='replace')[-500:]}")


@contextlib.contextmanager
def hanging():
    """Takes connections and says nothing."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", HANGING))
        listener.listen(4096)
        yield


def metrics():
    with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN}/metrics", timeout=30) as answer:
        return {name: float(value) for name, value in re.findall(r"^(egret_\S+) (\S+)$", answer.read().decode(), re.M)}


def queued():
    return metrics()['egret_queue_deliveries{state="queued"}']


def cpu_of_thread(pid, name):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int((task / "schedstat").read_text().split()[0]) / 1e3
    raise Trouble(f"no thread {name}")


def cpu_of(pid):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e3


def memory(pid):
    return int(re.search(r"^VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1)) / 1024


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


# ---- accepting ------------------------------------------------------------------------------------


def accept(bench, options):
    """Acceptances a second beside the floor, in turn; nothing is delivered meanwhile: the one destination hangs."""
    for senders in (64, 512):
        rows = {"egret": [], "floor": []}
        groups = []
        for _ in range(options.rounds):
            with hanging(), bench.egret():
                before = metrics()
                rows["egret"].append(bench.load(PROXY, senders, options.seconds, [f"127.0.0.1:{HANGING}"]))
                after = metrics()
            commits = after["egret_queue_commits_total"] - before["egret_queue_commits_total"]
            groups.append(rows["egret"][-1]["requests"] / commits)
            bench.forget()
            with bench.floor(round(statistics.median(groups))):
                rows["floor"].append(bench.load(FLOOR, senders, options.seconds, ["127.0.0.1:80"]))
        rate = {name: statistics.median(each["rate"] for each in found) for name, found in rows.items()}
        p99 = {name: statistics.median(each["p99"] for each in found) / 1000 for name, found in rows.items()}
        print(f"accept, {senders} senders: egret {rate['egret']:,.0f}/s ({statistics.median(groups):.0f} a commit), p99 of the 202 "
              f"{p99['egret']:.1f} ms; floor {rate['floor']:,.0f}/s, p99 {p99['floor']:.1f} ms; "
              f"{rate['egret'] / rate['floor']:.2f} x the floor", flush=True)


def fill(bench, count, targets, senders=512):
    """Queues `count` deliveries to destinations that hang; how many a second."""
    began = time.monotonic()
    while queued() < count:
        bench.load(PROXY, senders, 5, targets)
    return time.monotonic() - began


def drain(bench, options):
    """Filled while its destinations hang; then they answer, and the queue is emptied. One, and 64 of them."""
    for hosts in (1, 64):
        targets = [f"127.1.0.{host + 1}:{HANGING}" for host in range(hosts)]
        ratios = []
        for _ in range(options.rounds):
            with bench.egret():
                with hanging():
                    filled = [bench.load(PROXY, 512, options.seconds, targets) for _ in range(2)]
            with bench.process([bench.run / "origin", HANGING, "any"], HANGING), bench.egret() as pid:
                began, start = time.monotonic(), queued()
                while queued() > start * 0.02:
                    time.sleep(0.1)
                rate = (start - queued()) / (time.monotonic() - began)
                cpu = cpu_of(pid) / (start - queued())
            bench.forget()
            accepted = statistics.mean(each["rate"] for each in filled)
            ratios.append(rate / accepted)
            print(f"drain, {hosts} destinations: {rate:,.0f}/s ({cpu:.0f} µs of CPU each) beside {accepted:,.0f}/s accepted: "
                  f"{ratios[-1]:.2f} x", flush=True)
        print(f"drain, {hosts} destinations: {statistics.median(ratios):.2f} x", flush=True)


# ---- deep queues ----------------------------------------------------------------------------------


def deep(bench, options):
    """Start-up, memory, cost of claiming and of a sync sender's request, as the queue grows."""
    hosts = [f"127.1.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    far = [f"{host}:{REFUSING}" for host in hosts]  # nothing listens: they wait for their schedule
    near = [f"{host}:{ORIGIN}" for host in hosts]
    with bench.origin():
        for depth in options.depths:
            with bench.egret():
                took = fill(bench, depth, far)
                print(f"deep {depth:,}: filled in {took:.0f} s", flush=True)
            began = time.monotonic()
            with bench.egret() as pid:
                started = time.monotonic() - began
                time.sleep(2)
                before, cpu = metrics(), cpu_of_thread(pid, "egret-queue")
                result = bench.load(PROXY, 64, options.seconds, near)
                while queued() > depth and metrics()['egret_queue_attempts_total{outcome="delivered"}'] < result["requests"]:
                    time.sleep(0.05)
                cpu = cpu_of_thread(pid, "egret-queue") - cpu
                commits = metrics()["egret_queue_commits_total"] - before["egret_queue_commits_total"]
                print(f"deep {depth:,}: up in {started:.2f} s, {memory(pid):.0f} MiB at most; {cpu / result['requests']:.1f} µs of the "
                      f"queue's thread for each accepted and delivered ({result['requests'] / commits:.0f} a commit), "
                      f"{result['rate']:,.0f}/s accepted", flush=True)
            sync(bench, options, depth)


def sync(bench, options, depth):
    """A sync sender's CPU and p99, with the deep queue and with an empty one, in turn."""
    figures = {"deep": [], "empty": []}
    kept = bench.run / "kept.db"
    for _ in range(options.rounds):
        for name in figures:
            if name == "empty":
                for path in bench.run.glob("queue.db*"):
                    path.rename(bench.run / path.name.replace("queue", "kept"))
            with bench.egret("on-request") as pid:
                time.sleep(1)
                bench.load(PROXY, 64, 1, [f"127.0.0.1:{ORIGIN}"])
                cpu = cpu_of(pid)
                result = bench.load(PROXY, 64, options.seconds, [f"127.0.0.1:{ORIGIN}"])
                figures[name].append(result | {"cpu": (cpu_of(pid) - cpu) / result["requests"]})
            if name == "empty":
                bench.forget()
                for path in bench.run.glob("kept.db*"):
                    path.rename(bench.run / path.name.replace("kept", "queue"))
    assert not kept.exists()
    for what, unit in (("cpu", "µs of CPU a request"), ("p99", "µs p99")):
        value = {name: min(each[what] for each in found) for name, found in figures.items()}
        print(f"sync sender beside {depth:,} queued: {value['deep']:.2f} {unit}, empty {value['empty']:.2f}: "
              f"{value['deep'] / value['empty']:.3f} x", flush=True)


# ---- dead destinations ----------------------------------------------------------------------------


def dead(bench, options):
    """1,000 destinations, of which 200 are dead in every second run: how long the live ones' deliveries wait."""
    hosts = [f"127.1.{i // 250}.{i % 250 + 1}" for i in range(1000)]
    ports = {"alive": [ORIGIN] * 1000, "200 dead": [REFUSING, HANGING, ORIGIN, ORIGIN, ORIGIN, ORIGIN, ORIGIN, ORIGIN, ORIGIN, ORIGIN] * 100}
    delays = {name: [] for name in ports}
    for _ in range(options.rounds):
        for name, port_of in ports.items():
            targets = [f"{host}:{port}" for host, port in zip(hosts, port_of)]
            with bench.origin(), hanging(), bench.egret():
                result = bench.load(PROXY, 64, options.seconds, targets, pause=options.pause)
                time.sleep(3)
            with contextlib.closing(sqlite3.connect(bench.store)) as database:
                found = [row[0] for row in database.execute(
                    "SELECT ifnull((SELECT min(began) FROM attempts a WHERE a.delivery = d.number), d.accepted + 1000000) - d.accepted "
                    "FROM deliveries d WHERE destination LIKE ?", (f"%:{ORIGIN}/%",))]
            bench.forget()
            delays[name] = delays[name] + [percentile(found, 0.99)]
            print(f"dead: {name}: {result['rate']:,.0f}/s, live destinations' delay p50 {percentile(found, 0.5)} ms, p99 "
                  f"{percentile(found, 0.99)} ms, longest {max(found)} ms", flush=True)
    value = {name: statistics.median(found) for name, found in delays.items()}
    print(f"dead: p99 {value['200 dead']:.0f} ms beside {value['alive']:.0f} ms: {value['200 dead'] / max(1, value['alive']):.2f} x")


def main():
    parts = {"accept": accept, "drain": drain, "deep": deep, "dead": dead}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--pause", type=int, default=64, help="milliseconds between a sender's requests in `dead`")
    parser.add_argument("--depths", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", default=None, help="where the store is: a real disk")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, options.folder)
        for name in options.parts or parts:
            parts[name](bench, options)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(f"queue.py: {trouble}")
