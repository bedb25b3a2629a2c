#!/usr/bin/env python3
"""Egret beside a byte relay, HAProxy, nginx and Squid: CPU a request, latency, memory of an idle connection.

Called by scripts/bench.sh, which installs and builds. Everything runs on 127.0.0.1. The proxy has CPU 0 for itself; load
generator, receiver and this script share CPU 1. Each round runs every proxy once, in turn and as a fresh process, so that
whatever else the machine does falls on all of them alike; a window in which others took a CPU is measured again.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PORTS = {"origin": 7100, "relay": 7101, "haproxy": 7102, "nginx": 7103, "squid": 7104, "egret": 7105,
         "egret_admin": 7106, "egret-hmac": 7107, "egret-ed25519": 7108}
NAMES = ["relay", "haproxy", "nginx", "squid", "egret", "egret-hmac", "egret-ed25519"]
SIGNED = {"egret-hmac": "standard-webhooks", "egret-ed25519": "standard-webhooks-ed25519"}
SENDERS = 64
FOREIGN = 0.08  # share of a CPU that others may take in a window
TRIES = 4
PROXY_CPUS, LOAD_CPUS = "0", "1"
TARGET = f"127.0.0.1:{PORTS['origin']}"
ROLE = {
    "relay": "copies bytes, reads nothing: the floor",
    "haproxy": "forward proxy, address list",
    "nginx": "fixed destination, no policy",
    "squid": "forward proxy, address list",
    "egret": "forward proxy, whole policy",
    "egret-hmac": "the same, signs: Standard Webhooks v1",
    "egret-ed25519": "the same, signs: Standard Webhooks v1a",
}


class Trouble(Exception):
    """The benchmark cannot go on; the message says what to do."""


# ---- processes ------------------------------------------------------------------------------------


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (65536, hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return hard


def tree(pid):
    """The process and all below it."""
    pids = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                pids += tree(int(child))
    return pids


def cpu_seconds(pid):
    """CPU time of every thread below `pid`, from the scheduler's own clock (nanoseconds)."""
    total = 0
    for process in tree(pid):
        for task in pathlib.Path(f"/proc/{process}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(task.read_text().split()[0])
    return total / 1e9


def pss_bytes(pid):
    """Memory of the processes, shared pages divided among those that share them."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(OSError):
            match = re.search(r"^Pss:\s+(\d+) kB", pathlib.Path(f"/proc/{process}/smaps_rollup").read_text(), re.M)
            total += int(match.group(1)) * 1024 if match else 0
    return total


def cpu_busy(cpu):
    """Seconds that a CPU was busy since boot."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        fields = line.split()
        if fields[0] == f"cpu{cpu}":
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[1:9])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0


class Bench:
    """A scratch folder with everybody's configuration, and the receiver."""

    def __init__(self, stack, workers=1):
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="egret-bench-"))
        stack.callback(shutil.rmtree, self.run, ignore_errors=True)
        os.chmod(self.run, 0o777)  # Squid and nginx change their user
        self.stack = stack
        for program in ("relay", "origin"):
            subprocess.run(["gcc", "-std=gnu17", "-O2", "-o", self.run / program, HERE / f"peers/{program}.c"], check=True)
        self.egret = str(ROOT / "build/release/egret")
        if os.path.exists(self.egret):
            for name, scheme in SIGNED.items():
                subprocess.run([self.egret, "keygen", scheme, "-o", self.run / f"{name}.key"], check=True, stdout=subprocess.DEVNULL)
        self.configure(workers)

    def configure(self, workers):
        values = {"RUN": self.run, "WORKERS": workers} | {name.upper(): port for name, port in PORTS.items()}
        for source in (HERE / "peers").iterdir():
            if source.suffix in (".cfg", ".conf", ".yaml", ".lua"):
                text = source.read_text()
                for name, value in values.items():
                    text = text.replace(f"@{name}@", str(value))
                (self.run / source.name).write_text(text)
        # The same configuration, its requests signed.
        plain = (self.run / "egret.yaml").read_text()
        for name, scheme in SIGNED.items():
            text = plain.replace(f":{PORTS['egret']}\n", f":{PORTS[name]}\n").replace(f":{PORTS['egret_admin']}\n", ":0\n")
            text = text.replace("defaults:\n", f"keys: {{k: {{scheme: {scheme}, secrets: [{{file: {self.run}/{name}.key}}]}}}}\n"
                                "defaults:\n  sign: [k]\n")
            (self.run / f"{name}.yaml").write_text(text)

    def command(self, name):
        run = self.run
        commands = {
            "origin": [run / "origin", PORTS["origin"]],
            "relay": [run / "relay", PORTS["relay"], PORTS["origin"]],
            "haproxy": ["haproxy", "-db", "-f", run / "haproxy.cfg"],
            "nginx": ["nginx", "-c", run / "nginx.conf", "-g", "daemon off;"],
            "squid": ["squid", "-N", "-f", run / "squid.conf"],
        } | {each: [self.egret, "run", "-c", run / f"{each}.yaml"] for each in ("egret", *SIGNED)}
        return commands[name]

    @contextlib.contextmanager
    def running(self, name, cpus):
        output = open(self.run / f"{name}.out", "wb")
        # A private PATH for /usr/sbin, where Debian keeps these daemons.
        environment = os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        process = subprocess.Popen(["taskset", "-c", cpus, *map(str, self.command(name))], cwd=self.run,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        try:
            self.wait_for(name, process)
            yield process.pid
        finally:
            below = tree(process.pid)
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                pass
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            output.close()

    def wait_for(self, name, process):
        for _ in range(100):
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORTS[name]), 1):
                return
            time.sleep(0.1)
        said = (self.run / f"{name}.out").read_text(errors="replace").strip().splitlines()[-8:]
        raise Trouble(f"{name} does not listen on 127.0.0.1:{PORTS[name]}\n  " + "\n  ".join(said))


# ---- load -----------------------------------------------------------------------------------------


def load(bench, name, seconds, cpus=LOAD_CPUS):
    """wrk's result: requests, seconds, refused, broken, p50, p99 (microseconds)."""
    done = subprocess.run(
        ["taskset", "-c", cpus, "wrk", "-t1", f"-c{SENDERS}", f"-d{seconds}s", "--timeout", "10s", "-s",
         str(bench.run / "post.lua"), f"http://127.0.0.1:{PORTS[name]}/"],
        capture_output=True, text=True, env=os.environ | {"BENCH_TARGET": TARGET})
    match = re.search(r"^RESULT (.*)$", done.stdout, re.M)
    if not match:
        raise Trouble(f"wrk failed on {name}: {done.stdout}{done.stderr}")
    return json.loads(match.group(1))


def wait_until_quiet():
    """Until nobody takes either CPU, or half a minute."""
    for _ in range(30):
        busy = cpu_busy(PROXY_CPUS) + cpu_busy(LOAD_CPUS)
        time.sleep(1)
        if cpu_busy(PROXY_CPUS) + cpu_busy(LOAD_CPUS) - busy <= FOREIGN:
            return


def load_seconds(bench):
    """CPU time of what belongs on the load's CPU: the receiver, and every wrk that has ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_seconds(bench.origin) + ended.ru_utime + ended.ru_stime


def window(bench, name, pid, seconds):
    """One measured window, again when others took too much of either CPU."""
    best = None
    for _ in range(TRIES):
        wait_until_quiet()
        cpu, busy, began = cpu_seconds(pid), cpu_busy(PROXY_CPUS), time.monotonic()
        own, beside = load_seconds(bench), cpu_busy(LOAD_CPUS)
        result = load(bench, name, seconds)
        took = time.monotonic() - began
        cpu, busy = cpu_seconds(pid) - cpu, cpu_busy(PROXY_CPUS) - busy
        own, beside = load_seconds(bench) - own, cpu_busy(LOAD_CPUS) - beside
        result |= {"cpu_us": cpu / result["requests"] * 1e6, "utilisation": cpu / took,
                   "foreign": max(0.0, (busy - cpu) / took, (beside - own) / took), "rate": result["requests"] / result["seconds"]}
        if result["refused"] or result["broken"]:
            raise Trouble(f"{name}: {result['refused']} answers were not 2xx, {result['broken']} connections broke")
        if best is None or result["foreign"] < best["foreign"]:
            best = result
        if best["foreign"] <= FOREIGN:
            break
    return best


def request_text():
    body = b'{"type":"invoice.paid"}'
    return (f"POST http://{TARGET}/hooks/billing HTTP/1.1\r\nHost: {TARGET}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def exchange(connection):
    connection.sendall(request_text())
    answer = b""
    while not re.search(rb"\r\n\r\n.*ok\n", answer, re.S):
        part = connection.recv(4096)
        if not part:
            raise Trouble(f"an idle connection was closed: {answer[:200]!r}")
        answer += part
    if not answer.startswith(b"HTTP/1.1 200"):
        raise Trouble(f"not delivered: {answer[:200]!r}")


def idle_memory(bench, name, connections, used):
    """Bytes of the proxy's memory for each idle connection: freshly made, or after one exchange."""
    with contextlib.ExitStack() as stack:
        pid = stack.enter_context(bench.running(name, PROXY_CPUS))
        with socket.create_connection(("127.0.0.1", PORTS[name])) as warm:
            for _ in range(200):
                exchange(warm)
        time.sleep(0.5)
        before = pss_bytes(pid)
        held = []
        stack.callback(lambda: [connection.close() for connection in held])
        for _ in range(connections):
            held.append(socket.create_connection(("127.0.0.1", PORTS[name]), 10))
            if used:
                exchange(held[-1])
        time.sleep(2)
        for connection in held[:: max(1, connections // 100)]:  # still open?
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                if connection.recv(1) == b"":
                    raise Trouble(f"{name} closed an idle connection; it holds fewer than {connections}")
        return (pss_bytes(pid) - before) / connections


# ---- scaling --------------------------------------------------------------------------------------


def scaling(bench, seconds):
    """A sentence about two workers against one."""
    cpus = os.cpu_count() or 1
    roomy = cpus >= 4
    measured = {}
    for workers in (1, 2):
        bench.configure(workers)
        place = "0" if workers == 1 and roomy else "0,1"
        with bench.running("egret", place) as pid:
            load(bench, "egret", 1, "3" if roomy else "0,1")
            cpu, load_busy = cpu_seconds(pid), cpu_busy("3")
            result = load(bench, "egret", seconds, "3" if roomy else "0,1")
            measured[workers] = result | {
                "rate": result["requests"] / result["seconds"],
                "cpu_us": (cpu_seconds(pid) - cpu) / result["requests"] * 1e6,
                "load": (cpu_busy("3") - load_busy) / seconds,
            }
    one, two = measured[1], measured[2]
    if roomy:
        limit = " The load generator was the limit." if two["load"] > 0.95 else ""
        return (f"Two workers on two CPUs carry {two['rate'] / one['rate']:.2f} × what one carries on one "
                f"({two['rate']:,.0f} against {one['rate']:,.0f} requests/s).{limit}")
    return (f"This machine has {cpus} CPUs, so load generator and receiver are the limit and throughput says nothing about "
            f"workers. CPU a request on the same CPUs: {one['cpu_us']:.1f} µs with one worker, {two['cpu_us']:.1f} µs with "
            f"two; from that, two workers on CPUs of their own carry {2 * one['cpu_us'] / two['cpu_us']:.2f} × of one.")


# ---- report ---------------------------------------------------------------------------------------


def version(name):
    commands = {"haproxy": ["haproxy", "-v"], "nginx": ["nginx", "-v"], "squid": ["squid", "-v"],
                "egret": [str(ROOT / "build/release/egret"), "version"]}
    if name not in commands:
        return ""
    done = subprocess.run(commands[name], capture_output=True, text=True,
                          env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
    match = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return match.group(0) if match else ""


def machine():
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return (f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}")


def clean(found):
    """The windows that others left alone, or all if there is none."""
    return [w for w in found if w["foreign"] <= FOREIGN] or found


def noisy(found):
    return all(w["foreign"] > FOREIGN for w in found)


def table(windows, idle, names):
    floor = statistics.median(w["cpu_us"] for w in clean(windows["relay"])) if windows.get("relay") else None
    rows = [["", "", "CPU µs / request", "× relay", "p50 µs", "p99 µs", "idle, fresh", "idle, used"]]
    for name in names:
        found = clean(windows[name])
        cpu = statistics.median(w["cpu_us"] for w in found)
        star = " *" if noisy(found) else ""
        memory = [f"{idle[name][used] / 1024:.2f} KiB" if name in idle else "–" for used in (False, True)]
        rows.append([f"{name} {version(name)}".strip(), ROLE[name], f"{cpu:.1f}{star}",
                     f"{cpu / floor:.2f}" if floor else "–",
                     f"{statistics.median(w['p50'] for w in found):.0f}",
                     f"{statistics.median(w['p99'] for w in found):.0f}", *memory])
    return rows


def markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|---|" + "--:|" * (len(rows[0]) - 2))
    return "\n".join(lines)


def plain(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(widths[i]) if i < 2 else cell.rjust(widths[i]) for i, cell in enumerate(row))
                     for row in rows)


def report(rows, options, connections, sentence, starred):
    text = f"""# Results

Made by `./scripts/bench.sh` on {datetime.date.today().isoformat()}; `bench/README.md` says how and why. {machine()}.
{SENDERS} keep-alive senders, 1 KiB POST in absolute-form, one CPU for the proxy, {options.rounds} interleaved rounds of
{options.seconds} s, medians. Idle memory: PSS for each of {connections} connections, without the kernel's.

{markdown(rows)}

{sentence}
"""
    if starred:
        text += f"\n\\* In every window others took more than {FOREIGN:.0%} of a CPU: measure again on a quiet machine.\n"
    pathlib.Path(options.output).write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--without", action="append", default=[], choices=NAMES)
    parser.add_argument("--output", default=str(HERE / "results.md"))
    options = parser.parse_args()
    names = [name for name in NAMES if name not in options.without]
    if (os.cpu_count() or 1) < 2:
        raise Trouble("needs two CPUs: one for the proxy, one for the load")
    os.sched_setaffinity(0, {1})
    connections = min(options.connections, raise_file_limit() - 1000)

    windows = {name: [] for name in names}
    idle = {}
    sentence = ""
    with contextlib.ExitStack() as stack:
        bench = Bench(stack)
        bench.origin = stack.enter_context(bench.running("origin", LOAD_CPUS))
        for number in range(1, options.rounds + 1):
            for name in names:
                with bench.running(name, PROXY_CPUS) as pid:
                    load(bench, name, 2)  # warm
                    found = window(bench, name, pid, options.seconds)
                windows[name].append(found)
                print(f"round {number}  {name:8} {found['cpu_us']:7.1f} µs CPU a request  {found['rate']:8.0f} requests/s  "
                      f"p50 {found['p50']} p99 {found['p99']} µs  CPU 0 {found['utilisation']:.0%}, "
                      f"others {found['foreign']:.0%}", flush=True)
        for name in names:
            if name == "relay" or name in SIGNED:
                continue  # the relay dials for each connection at once; signing holds nothing while idle
            idle[name] = {used: idle_memory(bench, name, connections, used) for used in (False, True)}
            print(f"idle  {name:8} {idle[name][False]:7.0f} bytes a fresh connection, {idle[name][True]:7.0f} after one "
                  f"exchange ({connections})", flush=True)
        if "egret" in names:
            sentence = scaling(bench, options.seconds)

    rows = table(windows, idle, names)
    report(rows, options, connections, sentence, any(map(noisy, windows.values())))
    print("\n" + plain(rows) + f"\n\n{sentence}\nWritten to {options.output}")


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
