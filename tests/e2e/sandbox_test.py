"""What the running process has given up, seen from outside; tests/sandbox tries each thing from inside."""

import pathlib
import re
import resource
import signal
import subprocess
import tempfile
import unittest

import support


def states(process, key):
    """The values of `key` in /proc/PID/task/*/status: one if all threads agree."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task").iterdir()
    return {line.split()[1] for task in tasks for line in (task / "status").read_text().splitlines()
            if line.startswith(key + ":")}


class SandboxTest(unittest.TestCase):
    def test_every_thread_is_in_it(self):
        with support.Egret(support.OPEN + "workers: 2\n") as egret:
            self.assertGreater(len(list(pathlib.Path(f"/proc/{egret.process.pid}/task").iterdir())), 3)
            self.assertEqual(states(egret.process, "NoNewPrivs"), {"1"})
            self.assertEqual(states(egret.process, "Seccomp"), {"2"})
            self.assertRegex(egret.stderr(), r"sandbox: no new privileges, \d+ rules for system calls, files by Landlock ABI [1-9]")

    def test_nothing_that_egret_asks_for_is_refused(self):
        """A call that fails unseen may make it weaker: c-ares without /dev/urandom numbers its queries by rand()."""
        strace = support.tool("strace")
        with tempfile.TemporaryDirectory(prefix="egret-e2e-") as folder, \
                support.NameServer({"hook.example": "127.0.0.1"}) as names, support.Receiver() as receiver:
            trace = pathlib.Path(folder, "trace")
            # Leaks are looked for by ptrace, of which there is one at a time.
            with support.Egret(support.OPEN + names.yaml + "log: {access: '@FOLDER@/access.log'}\n",
                               env={"ASAN_OPTIONS": "detect_leaks=0"},
                               wrapper=(strace, "-D", "-f", "-qq", "-e", "trace=!clone3", "-o", str(trace))) as egret:
                for _ in range(2):
                    self.assertEqual(support.post(egret, f"http://hook.example:{receiver.port}/").status, 200)
                    egret.reload()
            calls = trace.read_text(encoding="utf-8", errors="replace").splitlines()
        self.assertGreater(len(calls), 100)
        refused = [call for call in calls if re.search(r"= -1 (EPERM|ENOSYS|EACCES)|SIGSYS", call)]
        self.assertEqual(refused, [])

    def test_it_can_be_switched_off(self):
        with support.Egret(support.OPEN + "sandbox: off\n") as egret:
            self.assertEqual(states(egret.process, "NoNewPrivs"), {"0"})
            self.assertEqual(states(egret.process, "Seccomp"), {"0"})
            egret.write(support.OPEN)
            egret.reload("refused")
            self.assertIn("`sandbox` needs a restart", egret.stderr())

    def test_it_can_be_asked_for(self):
        with support.Egret(support.OPEN + "sandbox: required\n") as egret:
            self.assertEqual(states(egret.process, "Seccomp"), {"2"})

    def test_no_core_is_dumped_once_there_is_a_secret(self):
        def limit(egret):
            lines = pathlib.Path(f"/proc/{egret.process.pid}/limits").read_text().splitlines()
            return next(line.split()[4:6] for line in lines if line.startswith("Max core file size"))

        with support.Egret(support.OPEN) as egret:
            (egret.path / "token").write_text("s3cret-s3cret", encoding="utf-8")
            (egret.path / "token").chmod(0o600)
            if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
                self.assertNotEqual(limit(egret)[1], "0")
            egret.write(support.OPEN + "senders: [{name: a, networks: [127.0.0.1]}, "
                                       "{name: b, credentials: {token: {file: '@FOLDER@/token'}}}]\n")
            egret.reload()
            self.assertEqual(limit(egret), ["0", "0"])
            self.assertNotIn("s3cret", egret.stderr())

    def test_the_access_log_may_be_a_pipe_by_name(self):
        for name in ("/dev/stdout", "/dev/stderr", "/proc/self/fd/1"):
            with self.subTest(name), tempfile.TemporaryDirectory(prefix="egret-e2e-") as folder, support.Receiver() as receiver:
                config = pathlib.Path(folder, "egret.yaml")
                config.write_text(support.OPEN + "listeners: [{address: 127.0.0.1:0}]\nadmin: {address: 127.0.0.1:0}\nworkers: 1\n"
                                  f"log: {{access: {name}, format: json}}\n", encoding="utf-8")
                process = subprocess.Popen([support.BINARY, "run", "-c", str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                           text=True)
                try:
                    started = next(line for line in process.stdout if "listens on" in line)
                    port = int(re.search(r"listens on 127\.0\.0\.1:(\d+)", started)[1])
                    for _ in range(2):  # the second, after the log was opened anew
                        with support.Sender(("127.0.0.1", port)) as sender:
                            self.assertEqual(sender.request(receiver.url()).status, 200)
                        self.assertIn('"verdict":"allowed"', next(line for line in process.stdout if "request_id" in line))
                        process.send_signal(signal.SIGHUP)
                        self.assertTrue(next(line for line in process.stdout if "configuration reloaded" in line))
                finally:
                    process.terminate()
                    process.communicate(timeout=support.PATIENCE)

    def test_a_unix_socket_in_the_root_folder_is_refused(self):
        """Its folder is where sockets may be made and files removed: that must not be everywhere."""
        with tempfile.TemporaryDirectory(prefix="egret-e2e-") as folder:
            config = pathlib.Path(folder, "egret.yaml")
            config.write_text("listeners: [{address: 'unix:/egret-e2e.sock'}]\nadmin: {address: 127.0.0.1:0}\n", encoding="utf-8")
            code, _, err = support.run("run", "-c", str(config))
            self.assertEqual(code, 1)
            self.assertIn("unix:/egret-e2e.sock: a Unix socket needs a folder of its own", err)
            self.assertIn("`sandbox: off` starts without any", err)
            self.assertFalse(pathlib.Path("/egret-e2e.sock").exists())

    def test_a_reload_stays_within_the_folders_of_the_start(self):
        with tempfile.TemporaryDirectory(prefix="egret-e2e-") as elsewhere, support.Receiver() as receiver, \
                support.Egret(support.OPEN) as egret:
            for text in (f"listeners: [{{address: 'unix:{elsewhere}/egret.sock'}}]\n", f"log: {{access: {elsewhere}/access.log}}\n"):
                egret.write(support.OPEN + text)
                egret.reload("refused")
                self.assertRegex(egret.events()[-1], "(Permission denied|not permitted).*the sandbox is not widened: restart Egret")
                self.assertEqual(support.post(egret, receiver.url()).status, 200)
            self.assertEqual(list(pathlib.Path(elsewhere).iterdir()), [])


if __name__ == "__main__":
    unittest.main()
