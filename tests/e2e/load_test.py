"""Many senders at once, and too few descriptors."""

import asyncio
import errno
import http.client
import resource
import signal
import socket
import unittest

import support
from hostile import head_of

SENDERS = 2000
ROUNDS = 3
FILES = 3 * SENDERS
FULL_QUEUE = 4500  # Egret asks for a queue of 4096; net.core.somaxconn may make it shorter
BODY = b'{"id": "evt_42", "padding": "' + b"x" * 900 + b'"}'


async def read_message(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    return head, await reader.readexactly(int(fields.get(b"content-length", 0)))


async def receive(reader, writer):
    """An asyncio receiver: threads would not do for so many."""
    try:
        while True:
            _, body = await read_message(reader)
            writer.write(support.ok(body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def send(address, port, all_connected):
    reader, writer = await asyncio.open_connection(*address)
    await all_connected.wait()
    statuses = []
    for _ in range(ROUNDS):
        writer.write(f"POST http://127.0.0.1:{port}/hook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                     f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        head, body = await read_message(reader)
        statuses.append(int(head.split(b" ")[1]) if body == BODY else body)
    writer.close()
    return statuses


async def all_at_once(egret):
    server = await asyncio.start_server(receive, "127.0.0.1", 0, backlog=SENDERS)
    async with server:
        port = server.sockets[0].getsockname()[1]
        everybody = asyncio.Event()
        senders = [asyncio.create_task(send(egret.address, port, everybody)) for _ in range(SENDERS)]

        def connected():
            return egret.total("egret_sender_connections") == SENDERS

        while not await asyncio.to_thread(connected):
            await asyncio.sleep(0.1)
        buffers = await asyncio.to_thread(egret.total, "egret_buffers")
        everybody.set()
        return buffers, await asyncio.gather(*senders)


class LoadTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < FILES:
            raise AssertionError("these tests need a higher limit of open files (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))

    def test_two_thousand_keep_alive_senders(self):
        text = "defaults: {addresses: {allow: [127.0.0.1/32]}, ports: [1-65535], limits: {in_flight_per_host: 5000}, timeouts: {idle: 1m, total: 1m, connect: 30s, response: 30s}}\n"
        with support.Egret(text + "workers: 2\nlog: {access: none}\n") as egret:
            buffers, statuses = asyncio.run(asyncio.wait_for(all_at_once(egret), 90))
            self.assertEqual(buffers, 0, "idle connections hold buffers")
            self.assertEqual(statuses, [[200] * ROUNDS] * SENDERS)
            self.assertEqual(egret.total("egret_exchanges_total", code="2xx", reason="none"), SENDERS * ROUNDS)
            egret.wait_for_rest()

    def test_a_full_accept_queue_is_emptied_once_it_goes_on(self):
        with support.Receiver() as receiver, support.Egret(support.OPEN + "workers: 1\n") as egret:
            egret.process.send_signal(signal.SIGSTOP)
            waiting = []
            for _ in range(FULL_QUEUE):
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(egret.address)
                waiting.append(sock)
            self.assertTrue(any(sock.connect_ex(egret.address) != errno.EISCONN for sock in waiting[-50:]), "the queue is not full")
            egret.process.send_signal(signal.SIGCONT)
            self.assertEqual(support.post(egret, receiver.url()).status, 200)
            support.wait_until(lambda: egret.total("egret_sender_connections_total") >= FULL_QUEUE)
            for sock in waiting:
                sock.close()
            egret.wait_for_rest()

    def test_out_of_buffer_memory_it_refuses_what_is_new_and_finishes_what_is_not(self):
        respond, release = support.held()
        with support.Receiver(respond) as slow, support.Egret(support.OPEN + "buffer_memory: 1MiB\nworkers: 1\n") as egret:
            senders = [support.Sender(egret.address).send(head_of(slow)) for _ in range(60)]
            refused = support.wait_until(lambda: egret.total("egret_exchanges_total", reason="memory_limit"))
            support.wait_until(lambda: len(slow.requests) + egret.total("egret_exchanges_total", reason="memory_limit") == 60)
            self.assertLessEqual(egret.total("egret_buffer_bytes"), egret.total("egret_buffer_bytes_limit") / 2)
            self.assertEqual(egret.total("egret_buffer_bytes_limit"), 1 << 20)
            release.set()
            answers = [sender.answer() for sender in senders]
            self.assertGreaterEqual(refused, 1)
            self.assertEqual({(answer.status, answer.reason) for answer in answers}, {(200, ""), (503, "memory_limit")})
            # Half of the budget, a request a buffer.
            self.assertEqual(sum(answer.status == 200 for answer in answers), 32)
            for sender in senders:
                sender.close()
            self.assertEqual(support.post(egret, slow.url()).status, 200)
            egret.wait_for_rest()

    def test_out_of_descriptors_a_silent_crowd_makes_room(self):
        with support.Receiver() as receiver, support.Egret(support.OPEN.replace("}\n", ", timeouts: {idle: 5m}}\n"), descriptors=64) as egret:
            crowd = [support.Sender(egret.address) for _ in range(150)]
            self.assertEqual(support.post(egret, receiver.url()).status, 200)
            for sender in crowd:
                sender.close()

    def test_out_of_descriptors_it_goes_on_and_says_so(self):
        with support.Receiver() as receiver, support.Egret(support.OPEN, descriptors=64) as egret:
            # Connections that are open already: one of an operator, one of a sender.
            admin = http.client.HTTPConnection(*egret.admin, timeout=support.PATIENCE)
            self.addCleanup(admin.close)

            def failures():
                admin.request("GET", "/metrics")
                text = admin.getresponse().read().decode()
                return sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
                           if line.startswith("egret_accept_failures_total{"))

            self.assertEqual(failures(), 0)
            # One that has a request under way: who only waits makes room.
            respond, release = support.held()
            slow = self.enterContext(support.Receiver(respond))
            senders = [support.Sender(egret.address).send(head_of(slow))]
            support.wait_until(lambda: slow.requests)
            senders += [support.Sender(egret.address) for _ in range(100)]
            support.wait_until(failures)
            support.wait_until(lambda: "raise the limit of open files" in egret.stderr())
            # What is under way is finished; for another connection there is no descriptor, and it says so.
            release.set()
            self.assertEqual(senders[0].answer().status, 200)
            answer = senders[0].request("http://127.0.0.1:1/")
            self.assertEqual((answer.status, answer.reason), (503, "out_of_resources"), answer)
            for sender in senders:
                sender.close()
            # With descriptors to spare again, so is everything else.
            self.assertEqual(support.post(egret, receiver.url()).status, 200)
            egret.wait_for_rest()


if __name__ == "__main__":
    unittest.main()
