"""What README.md says to try out works as it is written, but for the ports; and the example of a queue has a place to be."""

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


class ReadmeTest(unittest.TestCase):
    def curl(self, commands, egret, receiver):
        line = line_with(commands, "curl ").replace("http://127.0.0.1:4750", egret.url).replace("127.0.0.1:9000", receiver.authority)
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
            yaml = yaml.replace("partner.whsec", key).replace("9000", receiver.authority.split(":")[1])
            with support.Egret(yaml) as egret:
                self.assertTrue(self.curl(commands, egret, receiver).endswith("200"))
            self.assertEqual(receiver.said().count("VERIFIED (standard-webhooks"), 3, receiver.said())

    def test_the_queue(self):
        (_, yaml), (_, commands) = blocks("A webhook need not be tried", "What a gateway does not need")
        with support.OwnReceiver() as receiver:
            yaml = yaml.replace("sqlite:", "sqlite:@FOLDER@/").replace("9000", receiver.authority.split(":")[1])
            with support.Egret(yaml) as egret:
                self.assertTrue(self.curl(commands, egret, receiver).endswith("202"))
                words = shlex.split(line_with(commands, "deliveries"), comments=True)[1:]
                host, port = egret.admin
                support.wait_until(lambda: "delivered" in support.run(*words, "--admin", f"http://{host}:{port}")[1])

    def test_the_unit_may_write_where_the_example_keeps(self):
        unit = (ROOT / "packaging/egret.service").read_text(encoding="utf-8")
        folder = "/var/lib/" + re.search(r"^StateDirectory=(\S+)$", unit, re.M)[1]
        example = (ROOT / "config/examples/queue.yaml").read_text(encoding="utf-8")
        self.assertEqual(re.search(r"^  store: sqlite:(\S+)/", example, re.M)[1], folder)


if __name__ == "__main__":
    unittest.main()
