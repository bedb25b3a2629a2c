"""What README.md says to try out works as it is written, but for the ports, which are each example's own; and the example of a queue has a place to be."""

import pathlib
import re
import shlex
import subprocess
import unittest

import support

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(beginning, end):
    """The indented blocks between two sentences: (language, text)."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", README.split(beginning)[1].split(end)[0], re.M | re.S)


def line_with(text, words):
    return next(line for line in text.splitlines() if words in line)


def with_ports(yaml, receiver):
    return re.sub(r"(127\.0\.0\.1):47\d\d", r"\1:0", yaml).replace(re.search(r"ports: \[(\d+)\]", yaml)[1], receiver.authority.split(":")[1])


class ReadmeTest(unittest.TestCase):
    def curl(self, commands, egret, receiver):
        line = re.sub(r"127\.0\.0\.1:90\d\d", receiver.authority, re.sub(r"http://127\.0\.0\.1:47\d\d", egret.url, line_with(commands, "curl ")))
        words = shlex.split(line, comments=True)
        done = subprocess.run([support.tool("curl"), "-sS", "--noproxy", "", "-w", "%{http_code}", *words[1:]], capture_output=True, timeout=60, check=True)
        return done.stdout.decode()

    def test_signing_and_retrying(self):
        (_, yaml), (_, commands) = blocks("To try it out", "A webhook need not be tried")
        folder = pathlib.Path(self.enterContext(support.temporary_folder()))
        key = str(folder / "partner.whsec")
        made = shlex.split(line_with(commands, "keygen").replace("partner.whsec", key), comments=True)
        self.assertEqual(support.run(*made[1:])[0], 0)
        received = shlex.split(line_with(commands, "receive").replace("partner.whsec", key).replace("&", ""), comments=True)
        with support.OwnReceiver(*received[2:]) as receiver:
            yaml = with_ports(yaml, receiver).replace("partner.whsec", key)
            with support.Egret(yaml) as egret:
                self.assertTrue(self.curl(commands, egret, receiver).endswith("200"))
            self.assertEqual(receiver.said().count("VERIFIED (standard-webhooks"), 3, receiver.said())

    def test_the_queue(self):
        (_, yaml), (_, commands) = blocks("A webhook need not be tried", "What a gateway does not need")
        with support.OwnReceiver() as receiver:
            yaml = with_ports(yaml, receiver).replace("sqlite:queue.db", "sqlite:@FOLDER@/queue.db")
            with support.Egret(yaml) as egret:
                self.assertTrue(self.curl(commands, egret, receiver).endswith("202"))
                host, port = egret.admin
                line = line_with(commands, "deliveries").replace("127.0.0.1:4771", f"{host}:{port}")
                words = shlex.split(line, comments=True)[1:]
                support.wait_until(lambda: "delivered" in support.run(*words)[1])

    def test_nothing_is_in_the_way_of_what_comes_later(self):
        """Who follows it from top to bottom has all of it running at the end."""
        taken, asked, files = ["127.0.0.1:4750", "127.0.0.1:4751"], [], []
        for language, text in blocks("## Use it", "What a gateway does not need"):
            taken += re.findall(r"address: (127\.0\.0\.1:\d+)", text) if language == "yaml" else []
            for line in [] if language == "yaml" else text.splitlines():
                words = shlex.split(line, comments=True)
                if words[:2] == ["egret", "receive"]:
                    taken.append("127.0.0.1:" + (words[words.index("--port") + 1] if "--port" in words else "9000"))
                elif words[:2] == ["egret", "run"]:
                    files += words[3:4] if "-c" in words else ["none"]
                asked += re.findall(r"127\.0\.0\.1:\d+", line.partition("#")[0])
        self.assertEqual(files, ["none", "try.yaml", "try-queue.yaml"])
        self.assertEqual(len(taken), len(set(taken)), taken)
        self.assertLessEqual(set(asked), set(taken))

    def test_the_unit_may_write_where_the_example_keeps(self):
        unit = (ROOT / "packaging/egret.service").read_text(encoding="utf-8")
        folder = "/var/lib/" + re.search(r"^StateDirectory=(\S+)$", unit, re.M)[1]
        example = (ROOT / "config/examples/queue.yaml").read_text(encoding="utf-8")
        self.assertEqual(re.search(r"^  store: sqlite:(\S+)/", example, re.M)[1], folder)


if __name__ == "__main__":
    unittest.main()
