#!/usr/bin/env python3
"""receiver.py PUBLIC:PORT PRIVATE:PORT…: the servers of the demo.

The first address plays a customer's endpoint: prints each webhook that it gets; `/moved` answers with a redirect to the
metadata service. The others play what must never be reached: whoever gets through reads a secret, and it is counted.
Lines on stdout: `webhook …` and `BREACH …`.
"""

import http.server
import socketserver
import sys
import threading


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        print(f"webhook {self.command} {self.path}   Host: {self.headers['Host']}   Via: {self.headers['Via']}   {body}", flush=True)
        if self.path == "/moved":
            self.respond(302, b"", Location="http://169.254.169.254/latest/meta-data/iam/")
        else:
            self.respond(200, b"thanks")

    def log_message(self, *_):
        pass


class Private(Receiver):
    def do_POST(self):
        print(f"BREACH {self.command} {self.path} reached {self.server.server_address[0]}", flush=True)
        self.respond(200, b"secret: you should not be able to read this")

    do_GET = do_POST


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def main():
    for number, address in enumerate(sys.argv[1:]):
        host, _, port = address.rpartition(":")
        server = Server((host, int(port)), Private if number else Receiver)
        threading.Thread(target=server.serve_forever).start()
    print("ready", flush=True)


main()
