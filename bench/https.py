#!/usr/bin/env python3
"""What TLS costs a webhook: the same Egret sends kept-alive requests of 1 KiB to the same nginx, by http and by https, in turn.

Called by `scripts/bench.sh --https`. CPU 0 is Egret's; load generator, receiver and this script share CPU 1.
Handshakes are measured by `scripts/bench.sh --micro`, beside OpenSSL alone.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import side_by_side as side

PLAIN, SECURE = 7110, 7111  # the receiver's

NGINX = """
worker_processes 1;
pid @RUN@/nginx.pid;
error_log @RUN@/nginx.log crit;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path @RUN@/body; proxy_temp_path @RUN@/proxy; fastcgi_temp_path @RUN@/fastcgi;
  uwsgi_temp_path @RUN@/uwsgi; scgi_temp_path @RUN@/scgi;
  keepalive_timeout 10m;
  keepalive_requests 1000000000;
  client_body_buffer_size 16k;
  server {
    listen 127.0.0.1:@PLAIN@;
    listen 127.0.0.1:@SECURE@ ssl;
    ssl_certificate @RUN@/receiver.pem;
    ssl_certificate_key @RUN@/receiver.key;
    location / { return 200 "ok\\n"; }
  }
}
"""

EGRET = """
listeners:
  - address: 127.0.0.1:@EGRET@
admin:
  address: 127.0.0.1:@EGRET_ADMIN@
workers: 1
log: {access: none}
defaults:
  addresses: {allow: [127.0.0.1/32]}
  ports: [@PLAIN@, @SECURE@]
  limits: {in_flight_per_host: 10000}
  timeouts: {idle: 10m}
  tls: {ca: @RUN@/receiver.pem}
"""

# Egret-Scheme where BENCH_HTTPS is set.
LUA = (side.HERE / "peers/post.lua").read_text().replace(
    'wrk.headers["Content-Type"]', 'if os.getenv("BENCH_HTTPS") then wrk.headers["Egret-Scheme"] = "https" end\n  wrk.headers["Content-Type"]')


@contextlib.contextmanager
def running(command, cpus, port, log):
    with open(log, "wb") as output:
        process = subprocess.Popen(["taskset", "-c", cpus, *map(str, command)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), side.socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        else:
            raise side.Trouble(pathlib.Path(log).read_text(errors="replace"))
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def window(run, pid, https, seconds):
    environment = os.environ | {"BENCH_TARGET": f"127.0.0.1:{SECURE if https else PLAIN}"} | ({"BENCH_HTTPS": "1"} if https else {})
    before = side.cpu_seconds(pid)
    done = subprocess.run(["taskset", "-c", side.LOAD_CPUS, "wrk", "-t1", f"-c{side.SENDERS}", f"-d{seconds}s", "--timeout", "10s", "-s",
                           str(run / "post.lua"), f"http://127.0.0.1:{side.PORTS['egret']}/"], capture_output=True, text=True, env=environment)
    match = side.re.search(r"^RESULT (.*)$", done.stdout, side.re.M)
    if not match:
        raise side.Trouble(f"wrk failed: {done.stdout}{done.stderr}")
    result = side.json.loads(match.group(1))
    if result["refused"] or result["broken"]:
        raise side.Trouble(f"{result['refused']} answers were not 2xx, {result['broken']} connections broke")
    return (side.cpu_seconds(pid) - before) / result["requests"] * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4)
    arguments = parser.parse_args()
    run = pathlib.Path(tempfile.mkdtemp(prefix="egret-bench-"))
    os.chmod(run, 0o777)  # nginx changes its user
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", run / "receiver.key",
                        "-out", run / "receiver.pem"], check=True, capture_output=True)
        for name, text in (("nginx.conf", NGINX), ("egret.yaml", EGRET), ("post.lua", LUA)):
            for key, value in {"RUN": run, "PLAIN": PLAIN, "SECURE": SECURE, "EGRET": side.PORTS["egret"],
                               "EGRET_ADMIN": side.PORTS["egret_admin"]}.items():
                text = text.replace(f"@{key}@", str(value))
            (run / name).write_text(text)
        with running(["nginx", "-c", run / "nginx.conf", "-g", "daemon off;"], side.LOAD_CPUS, PLAIN, run / "nginx.out"), \
             running([side.ROOT / "build/release/egret", "run", "-c", run / "egret.yaml"], side.PROXY_CPUS, side.PORTS["egret"],
                     run / "egret.out") as pid:
            for https in (False, True):
                window(run, pid, https, 2)  # warm
            pairs = []
            for number in range(arguments.rounds):
                pair = [window(run, pid, https, arguments.seconds) for https in (False, True)]
                pairs.append(pair)
                print(f"round {number + 1}: http {pair[0]:.1f} µs, https {pair[1]:.1f} µs a request, {pair[1] / pair[0]:.3f} ×", flush=True)
    finally:
        shutil.rmtree(run, ignore_errors=True)
    http, https = (statistics.median(each) for each in zip(*pairs))
    ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
    print(f"CPU of Egret a kept-alive request of 1 KiB: http {http:.1f} µs, https {https:.1f} µs, {ratio:.2f} × (median of pairs)")


if __name__ == "__main__":
    try:
        main()
    except side.Trouble as trouble:
        sys.exit(f"bench: {trouble}")
