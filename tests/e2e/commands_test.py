"""The command line: what each command prints and how it ends."""

import json
import os
import pathlib
import tempfile
import textwrap
import unittest

import support
from support import run


class CommandsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="egret-e2e-")))

    def config(self, text):
        path = self.folder / "egret.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def explain(self, *arguments, config="resolver: {servers: [127.0.0.1:1], timeout: 100ms, tries: 1}\n", stdin=None):
        return run("explain", "-c", self.config(config), *arguments, stdin=stdin)

    # -- help, version, mistakes

    def test_version(self):
        code, out, err = run("version")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"^egret \d+\.\d+\.\d+\n$")

    def test_help_everywhere(self):
        for command in ([], ["run"], ["check"], ["explain"], ["version"]):
            with self.subTest(command):
                code, out, err = run(*command, "--help")
                self.assertEqual((code, err), (0, ""))
                self.assertIn("--help", out)
        self.assertIn("SIGHUP", run("run", "--help")[1])

    def test_mistakes_are_one_line_on_stderr(self):
        for arguments in ([], ["fly"], ["run", "--fast"], ["check", "-x"], ["explain"], ["explain", "--josn", "http://a.example/"],
                          ["run", "extra"], ["check", "-c"], ["version", "--all"]):
            with self.subTest(arguments):
                code, out, err = run(*arguments)
                self.assertEqual((code, out), (2, ""))
                self.assertEqual(err.count("\n"), 1, err)
                self.assertTrue(err.startswith("egret: "), err)
                self.assertIn("--help", err)

    # -- check

    def test_check_of_what_is_right(self):
        self.assertEqual(run("check")[0], 0)
        path = self.config("listeners: [{address: 127.0.0.1:0}, {address: '[::1]:0'}]\nrules: [{name: all}]\n")
        code, out, err = run("check", "-c", path)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("ok (2 listeners, 0 senders, 1 rules)", out)

    def test_check_tells_every_mistake_at_once_with_its_place(self):
        path = self.config("listners:\n  - address: 127.0.0.1:4750\ndefaults:\n  timeouts: {connect: 5}\n  ports: [http]\nworkers: 0\n")
        code, out, err = run("check", "-c", path)
        self.assertEqual((code, out), (2, ""))
        lines = err.splitlines()
        for place, part in (("1:1", "listeners"), ("4:23", "5s"), ("5:11", "http"), ("6:10", "1 to 256")):
            message = next((number for number, line in enumerate(lines) if line.startswith(f"{path}:{place}: error: ")), None)
            self.assertIsNotNone(message, f"{place} in\n{err}")
            self.assertIn(part, lines[message])
            column = int(place.partition(":")[2])
            caret = lines[message + 2].index("^")
            source = lines[message + 1]
            self.assertEqual(source[caret:caret + 1], pathlib.Path(path).read_text(encoding="utf-8")
                             .splitlines()[int(place.partition(":")[0]) - 1][column - 1])

    def test_check_of_what_cannot_be_read(self):
        for text in ("[", "- a\n", "a: b: c\n", "\0", "defaults: {action: allow, action: deny}\n", "defaults: &x {}\n"):
            with self.subTest(text):
                code, _, err = run("check", "-c", self.config(text))
                self.assertEqual(code, 2)
                self.assertIn("egret.yaml:", err)
        for path in (str(self.folder / "absent.yaml"), str(self.folder)):
            with self.subTest(path):
                code, _, err = run("check", "-c", path)
                self.assertEqual(code, 2)
                self.assertIn(path, err)
        self.assertEqual(run("run", "-c", self.config("nonsense: 1\n"))[0], 2)

    def test_keys_of_later_versions_are_unknown(self):
        code, _, err = run("check", "-c", self.config("cluster: {}\n"))
        self.assertEqual(code, 2)
        self.assertIn("unknown key", err)

    # -- explain

    def test_explain_in_words(self):
        code, out, err = self.explain("http://10.0.0.1/secret?token=hidden")
        self.assertEqual((code, err), (3, ""))
        self.assertTrue(out.startswith("denied: http://10.0.0.1/secret"), out)
        for part in ("403 address_prohibited", "10.0.0.0/8", "Private-Use", "RFC1918"):
            self.assertIn(part, out)

    def test_explain_says_what_is_done_on_the_senders_behalf(self):
        config = self.config("keys: {hub: {scheme: github, secrets: [{env: HUB}]}}\n"
                             "defaults: {sign: [hub], redirects: {follow: same-host, max: 2}, retry: {attempts: 3}}\n")
        code, out, _ = run("explain", "-c", config, "http://198.41.0.4/hook", env={"HUB": "s3cret-s3cret"})
        self.assertEqual(code, 0)
        for step in (r"sign +ok +by hub", r"redirect +ok +followed to the same host, at most 2", r"retry +ok +at most 3 attempts"):
            self.assertRegex(out, step)
        self.assertNotIn("s3cret", out)
        self.assertNotRegex(self.explain("http://198.41.0.4/hook")[1], r"\n +(sign|redirect|retry) ")

    def test_explain_says_that_nothing_in_a_tunnel_is_kept(self):
        files = (str(self.folder / "ca.pem"), str(self.folder / "ca.key"))
        self.assertEqual(run("ca", "init", "--certificate", files[0], "--key", files[1])[0], 0)
        keeping = "queue: {store: 'sqlite:queue.db'}\ndefaults: {delivery: {mode: async}}\n"
        intercepting = keeping.replace("}}", "}, connect: intercept}") + f"interception: {{ca_certificate: {files[0]}, ca_key: {files[1]}}}\n"
        apart = keeping + "rules: [{name: tunnels, match: {methods: [CONNECT]}, connect: deny}]\n"
        tunnel, https, http = ("--method", "CONNECT", "198.41.0.4:443"), ("https://198.41.0.4/",), ("http://198.41.0.4/",)
        for config, arguments, outcomes in ((keeping, tunnel, ["skipped"]), (keeping, https, ["ok", "skipped"]), (keeping, http, ["ok"]),
                                            (intercepting, tunnel, []), (intercepting, https, ["ok"]),
                                            (apart, https, ["ok"]), (keeping.replace("async", "sync"), https, [])):
            with self.subTest(config=config, arguments=arguments):
                steps = [step for step in json.loads(self.explain("--json", *arguments, config=config)[1])["steps"] if step["step"] == "queue"]
                self.assertEqual([step["outcome"] for step in steps], outcomes)
                for step in steps:
                    self.assertRegex(step["detail"], "^kept at once" if step["outcome"] == "ok" else "nothing is kept; send http with Egret-Scheme: https")

    def test_explain_as_json_and_its_exit_codes(self):
        for url, code, verdict, status, reason in (
                ("http://198.41.0.4/hook", 0, "allowed", 200, ""),
                ("https://198.41.0.4/", 0, "allowed", 200, ""),
                ("http://127.0.0.1/", 3, "denied", 403, "address_prohibited"),
                ("http://localhost/", 3, "denied", 403, "address_prohibited"),
                ("http://198.41.0.4:22/", 3, "denied", 403, "port_prohibited"),
                ("http://user:secret@198.41.0.4/", 3, "malformed", 400, "url_malformed"),
                ("http://127.1/", 3, "malformed", 400, "host_not_canonical"),
                ("http://absent.example/", 4, "unresolved", 502, "dns_error"),
        ):
            with self.subTest(url):
                got, out, _ = self.explain("--json", url)
                said = json.loads(out)
                self.assertEqual(got, code)
                self.assertEqual((said["verdict"], said["status"]), (verdict, status), said)
                self.assertEqual(said["url"], url)
                if reason != "dns_error":
                    self.assertEqual(said["reason"], reason)
                self.assertEqual(list(said), ["url", "verdict", "status", "reason", "rule", "steps"])

    def test_explain_says_what_its_verdict_leaves_out(self):
        config = "senders: [{name: billing, networks: [10.0.0.0/8]}]\n"
        for arguments, steps in ((("https://198.41.0.4/",), {"scheme", "sender"}), (("--sender", "billing", "http://198.41.0.4/"), set()),
                                 (("--method", "CONNECT", "198.41.0.4:443"), {"sender"})):
            with self.subTest(arguments):
                _, out, _ = self.explain("--json", *arguments, config=config)
                self.assertEqual({step["step"] for step in json.loads(out)["steps"]} & {"scheme", "sender"}, steps)

    def test_explain_says_which_way_a_request_takes(self):
        config = ("defaults: {via: {proxy: 'http://192.0.2.1:3128', username: egret, password: {env: VIA_PASSWORD}}, source: 192.0.2.7}\n"
                  "rules: [{name: direct, match: {ports: [80]}, via: none, source: none}]\n")
        os.environ["VIA_PASSWORD"] = "open-sesame"
        self.addCleanup(os.environ.pop, "VIA_PASSWORD")
        for url, said in (("https://198.41.0.4/", {"via": "through the parent proxy 192.0.2.1:3128, asked for the address", "source": "from 192.0.2.7"}),
                          ("http://198.41.0.4/", {}), ("https://10.0.0.1/", {})):
            with self.subTest(url):
                _, out, _ = self.explain("--json", url, config=config)
                self.assertEqual({step["step"]: step["detail"] for step in json.loads(out)["steps"] if step["step"] in ("via", "source")}, said)
                self.assertNotIn("sesame", out)

    def test_the_sidecar_example_lets_https_through(self):
        text = (pathlib.Path(__file__).parents[2] / "examples/kubernetes-sidecar.yaml").read_text(encoding="utf-8")
        config = textwrap.dedent(text.split("egret.yaml: |\n")[1].split("---")[0])
        for arguments, code in ((("--method", "CONNECT", "198.41.0.4:443"), 0), (("http://198.41.0.4/",), 0),
                                (("--method", "GET", "http://198.41.0.4/"), 3), (("--method", "CONNECT", "10.0.0.1:443"), 3)):
            with self.subTest(arguments):
                self.assertEqual(self.explain(*arguments, config=config)[0], code)

    def test_explain_names_rule_sender_and_method(self):
        config = ("senders: [{name: billing, networks: [10.0.0.0/8]}]\n"
                  "rules:\n  - name: partners\n    match: {senders: [billing], hosts: [198.41.0.4]}\n    methods: [POST]\n"
                  "  - name: nothing-else\n    action: deny\n")
        for arguments, code, rule in ((["--sender", "billing", "--method", "POST"], 0, "partners"),
                                      (["--sender", "billing", "--method", "GET"], 3, "partners"),
                                      ([], 3, "nothing-else")):
            with self.subTest(arguments):
                got, out, _ = self.explain("--json", *arguments, "http://198.41.0.4/", config=config)
                self.assertEqual((got, json.loads(out)["rule"]), (code, rule))
        code, _, err = self.explain("--sender", "nobody", "http://198.41.0.4/", config=config)
        self.assertEqual(code, 2)
        self.assertIn("nobody", err)

    def test_explain_of_connect_takes_an_authority(self):
        self.assertEqual(self.explain("--method", "CONNECT", "198.41.0.4:443")[0], 0)
        self.assertEqual(self.explain("--method", "CONNECT", "[::1]:443")[0], 3)
        code, out, _ = self.explain("--method", "CONNECT", "--json", "http://198.41.0.4/")
        self.assertEqual((code, json.loads(out)["verdict"]), (3, "malformed"))

    def test_explain_of_many_lines(self):
        urls = ["http://198.41.0.4/", "http://10.0.0.1/", "", "no url", "http://absent.example/"] * 100
        code, out, _ = self.explain("-", stdin="\n".join(urls).encode())
        said = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(code, 3)
        self.assertEqual([each["url"] for each in said], urls)
        self.assertEqual([each["verdict"] for each in said], ["allowed", "denied", "malformed", "malformed", "unresolved"] * 100)

    def test_explain_dials_nothing(self):
        with support.Receiver() as receiver:
            self.assertEqual(self.explain(receiver.url(), config=support.OPEN)[0], 0)
            self.assertEqual(receiver.connections, 0)

    def test_explain_resolves(self):
        zone = {"hooks.example": "198.41.0.4 2a0f:ffff::1", "inside.example": "198.41.0.4 10.0.0.1"}
        with support.NameServer(zone) as names:
            code, out, _ = self.explain("http://hooks.example/", config=names.yaml)
            self.assertEqual(code, 0, out)
            self.assertIn("198.41.0.4", out)
            code, out, _ = self.explain("--json", "http://inside.example/", config=names.yaml)
            self.assertEqual((code, json.loads(out)["reason"]), (3, "addresses_mixed"))


if __name__ == "__main__":
    unittest.main()
