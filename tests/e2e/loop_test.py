"""Requests that come back: two Egrets chained through servers that send on what they get."""

import unittest

import support


class BackDoor(support.Listener):
    """A reverse proxy that somebody put behind the destination: sends every request on, through `egret` to `target`."""

    def __init__(self):
        self.egret = self.target = None
        self.vias = []
        super().__init__(self._pass_on)

    def _pass_on(self, connection):
        with connection.makefile("rb") as stream:
            request = support.read_request(stream)
        if request is None:
            return
        self.vias.append(request["Via"])
        with support.Sender(self.egret.address) as sender:
            answer = sender.request(self.target.url("/again"), request.body, headers=f"Via: {request['Via']}\r\n")
        connection.sendall(support.ok(answer.body, answer.line.split(" ", 1)[1], "Connection: close\r\n"))


class LoopTest(unittest.TestCase):
    def setUp(self):
        self.first = self.enterContext(support.Egret(support.OPEN))
        self.second = self.enterContext(support.Egret(support.OPEN))

    def test_a_circle_of_one(self):
        with BackDoor() as door:
            door.egret, door.target = self.first, door
            answer = support.post(self.first, door.url())
            self.assertEqual(answer.status, 508, answer)
            self.assertIn(b"loop_detected", answer.body)
            self.assertEqual(door.connections, 1)
        self.first.wait_for_line(reason="loop_detected", status=508)

    def test_a_circle_of_two(self):
        with BackDoor() as to_second, BackDoor() as to_first:
            to_second.egret, to_second.target = self.second, to_first
            to_first.egret, to_first.target = self.first, to_second
            answer = support.post(self.first, to_second.url())
            self.assertEqual(answer.status, 508, answer)
            # Once round: first, second, and first again says no.
            self.assertEqual((to_second.connections, to_first.connections), (1, 1))
            self.assertEqual(to_first.vias[0].count("1.1 egret-"), 2)
        self.first.wait_for_line(reason="loop_detected")
        self.assertEqual(self.second.total("egret_exchanges_total", reason="loop_detected"), 0)

    def test_a_chain_is_no_circle(self):
        with support.Receiver() as receiver, BackDoor() as door:
            door.egret, door.target = self.second, receiver
            self.assertEqual(support.post(self.first, door.url()).status, 200)
            self.assertEqual(receiver.requests[0]["Via"].count("egret-"), 2)

    def test_another_egrets_listener_is_a_destination_that_wants_a_proxy_request(self):
        host, port = self.second.address
        answer = support.post(self.first, f"http://{host}:{port}/hook")
        self.assertEqual((answer.status, answer.reason), (400, "not_a_proxy_request"), answer)

    def test_ones_own_listener_is_none(self):
        host, port = self.first.address
        answer = support.post(self.first, f"http://{host}:{port}/hook")
        self.assertEqual((answer.status, answer.reason), (403, "address_prohibited"), answer)


if __name__ == "__main__":
    unittest.main()
