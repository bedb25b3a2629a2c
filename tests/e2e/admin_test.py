"""The admin listener: health, readiness, metrics; and that no request reaches it through the proxy."""

import unittest

import support


class AdminTest(unittest.TestCase):
    def setUp(self):
        self.receiver = self.enterContext(support.Receiver())

    def test_health_readiness_and_the_rest(self):
        with support.Egret() as egret:
            self.assertEqual(egret.ask_admin("/healthz")[::2], (200, "ok\n"))
            self.assertEqual(egret.ask_admin("/readyz")[::2], (200, "ready\n"))
            status, fields, text = egret.ask_admin("/metrics")
            self.assertEqual(status, 200)
            self.assertTrue(fields["Content-Type"].startswith("text/plain; version=0.0.4"))
            self.assertIn("# TYPE egret_exchanges_total counter", text)
            self.assertEqual(egret.ask_admin("/")[0], 404)
            self.assertEqual(egret.ask_admin("/healthz", "POST")[0], 405)
            self.assertEqual(egret.ask_admin("/healthz", "HEAD")[::2], (200, ""))
            with support.Sender(egret.admin) as sender:
                self.assertIsNone(sender.send("GARBAGE\r\n\r\n").answer())
            # It is no proxy.
            with support.Sender(egret.admin) as sender:
                self.assertEqual(sender.request(self.receiver.url(), method="GET").status, 404)
            self.assertEqual(self.receiver.connections, 0)

    def test_metrics_without_a_token_want_an_address_as_host(self):
        with support.Egret() as egret:
            for host, status in (("localhost", 200), ("127.0.0.1:4751", 200), ("[::1]", 200), ("attacker.example", 403),
                                 ("localhost.attacker.example", 403)):
                with self.subTest(host):
                    self.assertEqual(egret.ask_admin("/metrics", Host=host)[0], status)

    def test_a_token_is_asked_for(self):
        with support.Egret("admin: {address: 127.0.0.1:0, token: {env: ADMIN_TOKEN}}\n", env={"ADMIN_TOKEN": "let-me-in"}) as egret:
            for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "let-me-in"}, 401),
                                    ({"Authorization": "Bearer let-me-in"}, 200),
                                    ({"Authorization": "bearer let-me-in", "Host": "egret.corp.example"}, 200)):
                with self.subTest(headers):
                    got, fields, _ = egret.ask_admin("/metrics", **headers)
                    self.assertEqual(got, status)
                    self.assertEqual(bool(fields["WWW-Authenticate"]), status == 401)
            self.assertEqual(egret.ask_admin("/healthz")[0], 200)

    def test_silent_connections_do_not_keep_a_health_check_out(self):
        with support.Egret() as egret:
            silent = [self.enterContext(support.Sender(egret.admin)) for _ in range(100)]
            self.assertEqual(egret.ask_admin("/healthz")[0], 200)
            self.assertTrue(silent[0].closed(), "the oldest made room")

    def test_a_unix_socket(self):
        with support.Egret("admin: {address: 'unix:@FOLDER@/admin.sock'}\n") as egret:
            self.assertEqual(egret.ask_admin("/healthz")[0], 200)
            self.assertEqual(egret.total("egret_workers"), 1)

    def test_metrics_after_known_traffic(self):
        text = support.OPEN + "senders: [{name: local, networks: [127.0.0.0/8]}]\nrules: [{name: hooks, match: {methods: [POST]}}]\n"
        with support.Egret(text) as egret:
            with support.Sender(egret.address) as sender:
                for _ in range(3):
                    self.assertEqual(sender.request(self.receiver.url(), b"12345").status, 200)
                self.assertEqual(sender.request("http://10.0.0.1/").status, 403)
                self.assertEqual(sender.request("http://127.0.0.1:1/", method="GET").status, 502)
                with support.Sender(egret.address) as tunnel:
                    self.assertEqual(tunnel.connect(self.receiver.authority).status, 200)
                    self.assertEqual(tunnel.request(self.receiver.url()).status, 200)
                    self.assertEqual(egret.total("egret_tunnels_open"), 1)
                    self.assertEqual(egret.total("egret_exchanges_in_flight"), 1)
                    self.assertEqual(egret.total("egret_sender_connections"), 2)
            egret.wait_for_rest()
            labels = {"listener": "127.0.0.1:0", "sender": "local"}
            for expected, name, series in (
                    (3, "egret_exchanges_total", {**labels, "rule": "hooks", "reason": "none", "code": "2xx"}),
                    (1, "egret_exchanges_total", {**labels, "rule": "hooks", "reason": "address_prohibited", "code": "4xx"}),
                    (1, "egret_exchanges_total", {**labels, "rule": "defaults", "reason": "connection_refused", "code": "5xx"}),
                    (1, "egret_exchanges_total", {**labels, "rule": "defaults", "reason": "none", "code": "2xx"}),
                    (6, "egret_exchanges_total", {}),
                    (2, "egret_sender_connections_total", {}),
                    (2, "egret_upstream_connections_total", {}),
                    (2, "egret_upstream_reused_total", {}),
                    (1, "egret_upstream_idle", {}),
                    (15, "egret_request_bytes_total", {}),
                    (18, "egret_response_bytes_total", {}),
                    (6, "egret_phase_seconds_count", {"phase": "total"}),
                    (0, "egret_accept_failures_total", {}),
                    (0, "egret_log_lines_dropped_total", {}),
                    (0, "egret_draining", {}),
                    (1, "egret_build_info", {}),
            ):
                with self.subTest(name, **series):
                    self.assertEqual(egret.total(name, **series), expected)
            for direction in ("up", "down"):
                self.assertGreater(egret.total("egret_tunnel_bytes_total", direction=direction), 0)

    def test_report_mode_counts_and_lets_pass_but_never_for_addresses(self):
        text = support.OPEN + "mode: report\nrules: [{name: closed, action: deny}]\n"
        with support.Egret(text) as egret:
            self.assertEqual(support.post(egret, self.receiver.url()).status, 200)
            self.assertEqual(support.post(egret, "http://10.0.0.1/").reason, "address_prohibited")
            line = egret.wait_for_line(status=200)
            self.assertEqual((line["verdict"], line["reason"]), ("reported", "rule_denied"))
            self.assertEqual(egret.total("egret_reported_total", rule="closed", reason="rule_denied"), 1)

    def test_no_request_reaches_it_or_a_listener_through_the_proxy(self):
        # Loopback is allowed, down to the single address: its own endpoints stay closed.
        zone = {"rebind.example": "127.0.0.1", "six.example": "::1", "mapped.example": "::ffff:127.0.0.1"}
        names = self.enterContext(support.NameServer(zone))
        text = ("defaults: {addresses: {allow: [127.0.0.0/8, 127.0.0.1/32, '::1', 0.0.0.0]}, ports: [1-65535]}\n"
                "listeners: [{address: 127.0.0.1:0}, {address: '[::1]:0'}]\n")
        with support.Egret(text + names.yaml) as egret:
            v6 = next(egret.endpoint(each) for each in egret.listening_at if each.startswith("["))
            own = [(host, port) for port in (egret.admin[1], egret.address[1])
                   for host in ("127.0.0.1", "localhost", "rebind.example", "mapped.example", "[::ffff:127.0.0.1]", "0.0.0.0")]
            own += [("[::1]", v6[1]), ("six.example", v6[1])]
            for host, port in own:
                with self.subTest(f"{host}:{port}"):
                    answer = support.post(egret, f"http://{host}:{port}/metrics", method="GET")
                    self.assertEqual((answer.status, answer.reason), (403, "address_prohibited"), answer)
                    with support.Sender(egret.address) as sender:
                        answer = sender.connect(f"{host}:{port}")
                        self.assertEqual((answer.status, answer.reason), (403, "address_prohibited"), answer)
            # Any other port of the same address is what was allowed.
            self.assertEqual(support.post(egret, self.receiver.url()).status, 200)


if __name__ == "__main__":
    unittest.main()
