"""The default policy on a network of the test's own: globally routable addresses on both ends of a veth pair, in two network
namespaces without a name. They end with this process, and everything in them with them."""

import os
import pathlib
import tempfile
import time
import unittest

import namespace
import support

# The gateway's side and the other one. All of these are permitted by default but the private ones, and none of them is
# anybody's: no packet of theirs can leave the namespaces.
GATEWAY = ["203.0.114.1/24", "10.77.0.1/24", "2a0f:ffff:1::1/64", "fd77::1/64"]
OUTSIDE = ["203.0.114.10/24", "203.0.114.53/24", "10.77.0.7/24", "2a0f:ffff:1::10/64", "fd77::7/64"]
PUBLIC, PUBLIC6, PRIVATE, PRIVATE6 = "203.0.114.10", "2a0f:ffff:1::10", "10.77.0.7", "fd77::7"

ZONE = {
    "hooks.customer.example": PUBLIC,
    "hooks6.customer.example": PUBLIC6,
    "both.customer.example": f"{PUBLIC} {PUBLIC6}",
    "dead6.customer.example": f"{PUBLIC} 2a0f:ffff:1::dead",
    "rebind.attacker.example": [PUBLIC, PRIVATE],
    "inside.attacker.example": PRIVATE,
    "inside6.attacker.example": PRIVATE6,
    "mixed.attacker.example": f"{PUBLIC} {PRIVATE}",
    "mixed6.attacker.example": f"{PUBLIC} {PRIVATE6}",
    "hooks.absent.attacker.example": PUBLIC,
    "alias.attacker.example": f"hooks.customer.example intranet.corp.example {PRIVATE}",
}


def setUpModule():
    namespace.become_root()


class NamespaceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway, cls.outside = namespace.Namespace(), namespace.Namespace()
        cls.addClassCleanup(os.close, cls.gateway.fd)
        cls.addClassCleanup(os.close, cls.outside.fd)
        cls.gateway.ip("link", "add", "gateway", "type", "veth", "peer", "name", "outside",
                       "netns", f"/proc/{os.getpid()}/fd/{cls.outside.fd}")
        cls.gateway.bring_up("gateway", GATEWAY)
        cls.outside.bring_up("outside", OUTSIDE)
        with cls.outside.inside():
            cls.public = cls.enterClassContext(support.Receiver(cls.respond, host=PUBLIC, port=80))
            cls.public6 = cls.enterClassContext(support.Receiver(cls.respond, host=PUBLIC6, port=80))
            cls.private = cls.enterClassContext(support.Receiver(host=PRIVATE, port=80))
            cls.private6 = cls.enterClassContext(support.Receiver(host=PRIVATE6, port=80))
            cls.names = cls.enterClassContext(support.NameServer(ZONE, host="203.0.114.53", port=53))
        with cls.gateway.inside():
            # Nothing about addresses, ports or mixed: the default policy.
            cls.egret = cls.enterClassContext(support.Egret(
                "resolver: {servers: [203.0.114.53], timeout: 500ms, cache: {min_ttl: 0s, max_ttl: 0s, negative_ttl: 0s}}\n"))

    @staticmethod
    def respond(request):
        if "/moved" in request.line:
            return support.ok(b"", "307 Temporary Redirect", f"Location: http://{PRIVATE}/secret\r\n")
        return support.ok()

    def setUp(self):
        self.names.questions.clear()
        self.enterContext(self.gateway.inside())

    def tearDown(self):
        self.assertEqual(self.private.connections + self.private6.connections, 0, "the private neighbour was reached")

    def test_the_neighbour_would_answer_without_egret(self):
        # Else the tests below would prove nothing. The connection is not one of Egret's.
        for neighbour in (self.private, self.private6):
            with support.Sender((neighbour.host, 80)):
                support.wait_until(lambda each=neighbour: each.connections)
            neighbour.connections = 0

    def test_a_public_address_is_reached(self):
        for host in ("hooks.customer.example", "hooks6.customer.example", "both.customer.example", PUBLIC, f"[{PUBLIC6}]"):
            with self.subTest(host):
                answer = support.post(self.egret, f"http://{host}/hook", b'{"id": 1}')
                self.assertEqual((answer.status, answer.body), (200, b"thanks"), answer)
        line = self.egret.wait_for_line(destination="http://hooks6.customer.example/hook")
        self.assertEqual(line["address"], f"[{PUBLIC6}]:80")

    def test_a_dead_ipv6_address_does_not_hold_up_the_living_ipv4_one(self):
        began = time.monotonic()
        answer = support.post(self.egret, "http://dead6.customer.example/hook")
        self.assertEqual(answer.status, 200, answer)
        self.assertLess(time.monotonic() - began, 3)

    def test_a_private_neighbour_is_not(self):
        for host in ("inside.attacker.example", "inside6.attacker.example", "alias.attacker.example", PRIVATE, f"[{PRIVATE6}]",
                     f"[::ffff:{PRIVATE}]", "[64:ff9b::a4d:7]", "[2002:a4d:7::1]"):
            with self.subTest(host):
                answer = support.post(self.egret, f"http://{host}/secret")
                self.assertEqual((answer.status, answer.reason), (403, "address_prohibited"), answer)
            with self.subTest(f"CONNECT {host}"), support.Sender(self.egret.address) as sender:
                answer = sender.connect(f"{host}:80")
                self.assertEqual((answer.status, answer.reason), (403, "address_prohibited"), answer)

    def test_nor_by_rebinding(self):
        before = self.public.connections
        self.assertEqual(support.post(self.egret, "http://rebind.attacker.example/").status, 200)
        self.assertEqual(len(self.names.asked("rebind.attacker.example")), 2)
        self.assertLessEqual(self.public.connections, before + 1)
        answer = support.post(self.egret, "http://rebind.attacker.example/")
        self.assertEqual((answer.status, answer.reason), (403, "address_prohibited"), answer)

    def test_nor_by_a_mixed_answer(self):
        before = self.public.connections
        for name in ("mixed.attacker.example", "mixed6.attacker.example"):
            with self.subTest(name):
                answer = support.post(self.egret, f"http://{name}/")
                self.assertEqual((answer.status, answer.reason), (403, "addresses_mixed"), answer)
        self.assertEqual(self.public.connections, before)

    def test_nor_by_a_redirect_which_is_passed_back(self):
        answer = support.post(self.egret, "http://hooks.customer.example/moved")
        self.assertEqual((answer.status, answer["Location"]), (307, f"http://{PRIVATE}/secret"), answer)

    def test_other_ports_than_80_and_443_are_closed(self):
        answer = support.post(self.egret, "http://hooks.customer.example:8080/")
        self.assertEqual((answer.status, answer.reason), (403, "port_prohibited"), answer)
        answer = support.post(self.egret, f"http://{PUBLIC}:443/")
        self.assertEqual((answer.status, answer.reason), (502, "connection_refused"), answer)

    def test_egret_itself_is_no_destination(self):
        for host in ("203.0.114.1", "10.77.0.1", "[2a0f:ffff:1::1]", "127.0.0.1"):
            for port in (80, self.egret.address[1], self.egret.admin[1]):
                with self.subTest(f"{host}:{port}"):
                    answer = support.post(self.egret, f"http://{host}:{port}/metrics")
                    self.assertIn(answer.status, (403, 502), answer)

    def test_a_network_without_a_route_says_so(self):
        answer = support.post(self.egret, "http://198.41.0.4/")
        self.assertEqual((answer.status, answer.reason), (502, "destination_unroutable"), answer)

    def test_the_name_servers_of_resolv_conf_are_asked_and_its_search_list_is_not_used(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-"))
        resolv_conf = pathlib.Path(folder, "resolv.conf")
        resolv_conf.write_text("nameserver 203.0.114.53\nsearch attacker.example\noptions ndots:9\n", encoding="ascii")
        # A file system view of its own, in which /etc/resolv.conf is this file.
        wrapper = [support.tool("unshare"), "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(resolv_conf)]
        with support.Egret("", wrapper=wrapper) as egret:
            self.assertEqual(support.post(egret, "http://hooks.customer.example/").status, 200)
            answer = support.post(egret, "http://hooks.absent/")  # hooks.absent.attacker.example is there
            self.assertEqual(answer.reason, "name_not_found", answer)
        self.assertEqual({name for name, _, _ in self.names.questions}, {"hooks.customer.example", "hooks.absent"})

    def test_an_address_that_nobody_has_times_out_or_is_unreachable(self):
        answer = support.post(self.egret, "http://203.0.114.200/")
        self.assertIn((answer.status, answer.reason),
                      ((504, "connection_timeout"), (502, "destination_unroutable")), answer)


if __name__ == "__main__":
    unittest.main()
