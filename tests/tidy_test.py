#!/usr/bin/env python3
"""The project's own rules, run as a test.

  tidy_test.py              check the tree this file is in
  tidy_test.py --self-test  check the checker: every rule must flag its bad example, and pass its good one

Rules: layering (docs/design/0001-rooms.md), the await rule and coroutine parameters
(docs/design/0002-coroutines.md), the documents against the code, and what no file may hold.
"""

import fnmatch
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

# ---------------------------------------------------------------------------------------------------
# Layering: which room may include which files. The first pattern that fits a file is its room.

ROOMS = [
    # (files, what they may include of ours)
    ("base/*", ["base/*"]),
    ("policy/*", ["base/*", "policy/*"]),
    ("config/*", ["base/*", "policy/*", "config/*"]),
    ("proxy/async/*", ["base/*", "proxy/async/*"]),
    ("proxy/http/*", ["base/*", "policy/url.h", "proxy/http/*"]),
    ("proxy/net/*", ["base/*", "policy/address.h", "policy/judge.h", "proxy/async/*", "proxy/net/*"]),
    ("proxy/tls/*", ["base/*", "policy/*", "proxy/async/*", "proxy/net/stream.h", "proxy/tls/*"]),
    ("proxy/signing/*", ["base/*", "policy/signing.h", "policy/url.h", "proxy/http/*", "proxy/signing/*"]),
    ("proxy/sandbox/*", ["base/*", "proxy/sandbox/*"]),
    ("proxy/queue/*", ["base/*", "proxy/async/*", "proxy/queue/*"]),
    ("proxy/main.cc", ["*"]),
    ("proxy/commands/*", ["*"]),
    ("proxy/admin/*", ["base/*", "policy/*", "config/settings.h", "config/load.h",
                       "config/diagnostics.h", "proxy/async/*", "proxy/http/*", "proxy/net/*",
                       "proxy/admin/*", "proxy/queue/*", "proxy/signing/*", "proxy/[!/]*.h"]),
    ("proxy/*", ["base/*", "policy/*", "config/settings.h", "config/load.h",
                 "config/diagnostics.h", "proxy/async/*", "proxy/http/*", "proxy/net/*",
                 "proxy/tls/*", "proxy/signing/*", "proxy/queue/*", "proxy/[!/]*.h"]),
    ("tests/*", ["*"]),
    ("bench/*", ["*"]),
    ("cmake/*", []),
]
NEVER_INCLUDED = ["tests/*", "bench/*"]  # by code that ships

# Third-party headers: (header, the only files that may see it).
THIRD_PARTY = [
    (r"event2/.*|event\.h", ["proxy/async/loop.cc"]),
    (r"llhttp\.h", ["proxy/http/parser.cc"]),
    (r"ares(_\w+)?\.h", ["proxy/net/ares_resolver.cc"]),
    (r"openssl/.*", ["proxy/tls/*", "proxy/signing/*", "proxy/queue/postgres_lanes.cc", "config/pem.cc",
                     "tests/*", "bench/*"]),
    (r"sqlite3\.h", ["proxy/queue/sqlite_*", "tests/queue/*"]),
    (r"libpq-fe\.h", ["proxy/queue/postgres_*", "tests/queue/*"]),
    (r"seccomp\.h", ["proxy/sandbox/seccomp.cc"]),
    (r"yaml-cpp/.*", ["config/*"]),
    (r"idn2\.h", ["policy/url.cc", "policy/idna.cc"]),
    (r"nlohmann/.*", ["proxy/commands/*", "proxy/admin/*", "tests/*", "bench/*"]),
    (r"CLI/.*", ["proxy/main.cc", "proxy/commands/*"]),
    (r"(fmt|spdlog)/.*", ["proxy/*"]),
    (r"(gtest|gmock)/.*", ["tests/*"]),
    (r"benchmark/.*", ["bench/*"]),
    (r"emmintrin\.h", ["proxy/http/strict.cc"]),  # SSE2, which every x86-64 has
]
SYSTEM_FOLDERS = r"(sys|net|netinet|arpa|linux)/\w+\.h|sanitizer/\w+\.h"
POSIX = r"(dirent|endian|errno|fcntl|getopt|grp|ifaddrs|limits|netdb|poll|pthread|pwd|sched|signal|spawn|stdint|stdio|stdlib|string|strings|syslog|termios|time|unistd)\.h"
# Rooms that touch neither the world nor the clock.
PURE_ROOMS = ["policy/*", "proxy/http/*"]
IMPURE = r"sys/(socket|epoll|eventfd|un|stat|time)\.h|netdb\.h|poll\.h|unistd\.h|fcntl\.h|time\.h|fstream|thread|ifaddrs\.h"

# ---------------------------------------------------------------------------------------------------
# Coroutine parameters that may be views or const references: leaf stream I/O whose caller holds the
# bytes in its own frame until the await is over. (file, function); docs/design/0002-coroutines.md.

PARAMETER_EXCEPTIONS = {
    ("proxy/net/stream.h", "*"),
    ("proxy/net/stream.cc", "*"),
}

# Words and places that may not be in the tree. Split so that this file passes its own rule.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
WORKPLACE = re.compile("/" + "work" + r"/|\.\./" + "shared" + r"\b|\b" + "fa" + "rm" + r"\b")

FILE_LINES, HEADER_LINES, FUNCTION_LINES = 400, 150, 70  # guides: exceeding them warns


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


# ---------------------------------------------------------------------------------------------------
# Reading C++ without a compiler: comments and the insides of literals become blanks of equal length.

_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\s\\]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'""",
    re.DOTALL)


def blank(text):
    def replace(match):
        found = match.group(0)
        quote = found[0] if found[0] in "\"'" else ('"' if found[0] == "R" else None)
        inside = re.sub(r"[^\n]", " ", found)
        if quote is None or len(found) < 2:
            return inside
        return quote + inside[1:-1] + quote

    return _TOKEN.sub(replace, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def closing(text, start, opener="(", closer=")"):
    """The offset of the bracket that closes the one at `start`, or -1."""
    depth = 0
    for i in range(start, len(text)):
        if text[i] == opener:
            depth += 1
        elif text[i] == closer:
            depth -= 1
            if depth == 0:
                return i
    return -1


def split_top(text, separator=","):
    """Splits at separators outside every kind of bracket."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "([{<":
            depth += 1
        elif c in ")]}" or (c == ">" and text[i - 1:i] != "-"):
            depth -= 1
        elif c == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def fits(path, patterns):
    # proxy/[!/]*.h means files directly in proxy/; fnmatch's * crosses slashes.
    for pattern in patterns:
        if fnmatch.fnmatchcase(path, pattern):
            if "[!/]" in pattern and path.count("/") != pattern.count("/") - pattern.count("[!/]"):
                continue
            return True
    return False


# ---------------------------------------------------------------------------------------------------
# The rules. Each takes (path, text) and yields Findings.


def check_includes(path, text):
    allowed = next((rule[1] for rule in ROOMS if fits(path, [rule[0]])), None)
    if allowed is None:
        yield Finding(path, 1, "layering", "this file is in no room of ROOMS in tests/tidy_test.py")
        return
    pure = fits(path, PURE_ROOMS)
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', text, re.M):
        line = line_of(text, match.start())
        ours, theirs = match.group(1), match.group(2)
        if ours:
            ships = not fits(path, NEVER_INCLUDED)
            if not fits(ours, allowed) or (ships and fits(ours, NEVER_INCLUDED)):
                yield Finding(path, line, "layering", f'may not include "{ours}"')
            continue
        for header, files in THIRD_PARTY:
            if re.fullmatch(header, theirs):
                if not fits(path, files):
                    yield Finding(path, line, "third-party", f"<{theirs}> only in {', '.join(files)}")
                break
        else:
            known = (re.fullmatch(r"\w+", theirs) or re.fullmatch(SYSTEM_FOLDERS, theirs)
                     or re.fullmatch(POSIX, theirs))
            if not known:
                yield Finding(path, line, "third-party", f"<{theirs}> is not in the table of libraries")
            if pure and re.fullmatch(IMPURE, theirs):
                yield Finding(path, line, "layering", f"<{theirs}> in a room without I/O and time")


NAME = r"[A-Za-z_]\w*"
CHAIN = rf"(?:this|{NAME})(?:\s*(?:::|\.|->)\s*{NAME})*"
LITERAL = r"-?\d[\w.']*|\"\s*\"(?:sv|s)?|'\s*'|true|false|nullptr|\"[ ]*\"(?:sv|s)?"
ARGUMENT = re.compile(rf"(?:[*&]?\s*{CHAIN}|std::move\(\s*\*?{CHAIN}\s*\)|{LITERAL})", re.S)
# A callee may walk through accessors without arguments: worker.dialer().dial(address, deadline)
CALLEE = re.compile(
    rf"(?:std::move\(\s*{CHAIN}\s*\)|(?:::)?{NAME}(?:<[\w:<>,\s*&]*>)?(?:\(\s*\)(?=\s*(?:\.|->)))?)"
    rf"(?:\s*(?:::|\.|->)\s*{NAME}(?:<[\w:<>,\s*&]*>)?(?:\(\s*\)(?=\s*(?:\.|->)))?)*", re.S)
TARGET = re.compile(
    r"(?:\[\[\w+\]\]\s*)?[A-Za-z_][\w:<>,\s*&.]*(?:->[\w.]+)*\s*=\s*", re.S)


def await_complaint(code, at):
    """Why the co_await at offset `at` breaks the rule, or None."""
    depth, i = 0, at - 1
    while i >= 0:  # back to where its statement begins
        c = code[i]
        if c in ")]":
            depth += 1
        elif c in "([":
            if depth == 0:
                return "inside parentheses or brackets: give the result a name first"
            depth -= 1
        elif depth == 0 and c in ";{}":
            break
        i -= 1
    before = code[i + 1:at].strip()
    while True:  # labels and controlling statements in front of it
        shorter = re.sub(r"^(?:case\b[^:;]*(?:::[^:;]*)*:(?!:)|default\s*:|else\b|do\b)\s*", "", before)
        head = re.match(r"(?:if(?:\s+constexpr)?|while|for)\s*\(", shorter)
        if head:
            end = closing(shorter, head.end() - 1)
            if end >= 0:
                shorter = shorter[end + 1:].strip()
        if shorter == before:
            break
        before = shorter
    if before not in ("", "co_return"):
        if re.search(r"\bauto\s*&{0,2}\s*\[", before):
            return "in a structured binding: give the result a name first"
        if not TARGET.fullmatch(before) or re.search(r"[=!<>+\-*/%&|^]=\s*$", before):
            return "not a statement of its own: `T x = co_await f(a);`"
    end = at
    depth = 0
    while end < len(code):  # forward to the end of the statement
        c = code[end]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth < 0:
                return "inside parentheses or brackets: give the result a name first"
        elif c == ";" and depth == 0:
            break
        end += 1
    awaited = code[at + len("co_await"):end].strip()
    callee = CALLEE.match(awaited)
    if not callee:
        return "awaits something that is neither a name nor a call"
    rest = awaited[callee.end():].strip()
    if not rest:
        return None
    if not rest.startswith("(") or closing(rest, 0) != len(rest) - 1:
        return "does more than await one call: `T x = co_await f(a);`"
    for argument in split_top(rest[1:-1]):
        if not ARGUMENT.fullmatch(argument):
            shown = " ".join(argument.split())
            return f"argument `{shown}` is not a name, a literal or std::move(name)"
    return None


def catch_bodies(code):
    for match in re.finditer(r"\bcatch\s*\(", code):
        end = closing(code, match.end() - 1)
        brace = code.find("{", end)
        if end >= 0 and brace >= 0 and not code[end + 1:brace].strip():
            yield brace, closing(code, brace, "{", "}")


def lambdas(code):
    """(start, captures, body start, body end) of each lambda with a body."""
    for match in re.finditer(r"(?<![\w\]\)])\[(?!\[)([^\[\]]*)\]\s*(?=[({])", code):
        at = match.end()
        if code[at] == "(":
            at = closing(code, at) + 1
            if at == 0:
                continue
            skip = re.match(r"\s*(?:mutable|noexcept)?\s*(?:->\s*[\w:<>,\s*&]+?)?\s*(?=\{)", code[at:])
            if not skip:
                continue
            at += skip.end()
        if code[at:at + 1] != "{":
            continue
        yield match.start(), match.group(1).strip(), at, closing(code, at, "{", "}")


def check_awaits(path, text):
    code = blank(text)
    catches = list(catch_bodies(code))
    for match in re.finditer(r"\bco_await\b", code):
        if re.search(r"\boperator\s*$", code[:match.start()]):
            continue
        line = line_of(code, match.start())
        complaint = await_complaint(code, match.start())
        if complaint:
            yield Finding(path, line, "await", complaint)
        if any(start < match.start() < end for start, end in catches):
            yield Finding(path, line, "await", "in a catch block")
    bodies = list(lambdas(code))
    for match in re.finditer(r"\bco_(?:await|return|yield)\b", code):
        around = [body for body in bodies if body[2] < match.start() < body[3]]
        if around:
            inner = max(around, key=lambda body: body[2])
            if inner[1]:
                yield Finding(path, line_of(code, match.start()), "await",
                              "in a lambda that captures: its captures die before its frame")


def check_parameters(path, text):
    code = blank(text)
    for match in re.finditer(r"\bTask\s*<", code):
        end = closing(code, match.end() - 1, "<", ">")
        if end < 0:
            continue
        name = re.match(rf"\s+((?:{NAME}::)*{NAME})\s*\(", code[end + 1:])
        if not name:
            continue
        start = end + name.end()
        stop = closing(code, start)
        if stop < 0 or not re.match(r"\s*(?:const\s*)?(?:noexcept\s*)?(?:override|final|=\s*0|;|\{|$)",
                                    code[stop + 1:]):
            continue
        function = name.group(1).split("::")[-1]
        if any(path == file and fnmatch.fnmatchcase(function, names)
               for file, names in PARAMETER_EXCEPTIONS):
            continue
        for parameter in split_top(code[start + 1:stop]):
            shown = " ".join(parameter.split())
            line = line_of(code, start)
            if "&&" in parameter:
                yield Finding(path, line, "parameter", f"`{shown}`: a coroutine takes values, not &&")
            elif re.search(r"\bstring_view\b", re.sub(r"<[^<>]*>", "", parameter)):
                yield Finding(path, line, "parameter", f"`{shown}`: a view may outlive its text")
            elif re.search(r"\bconst\b[^<>]*(?:<.*>)?[^<>]*&", parameter, re.S):
                yield Finding(path, line, "parameter", f"`{shown}`: const& binds to a temporary")


def check_header(path, text):
    if not path.endswith(".h"):
        return
    first = next((line for line in blank(text).splitlines() if line.strip()), "")
    if first.strip() != "#pragma once":
        yield Finding(path, 1, "header", "begins with #pragma once")


def check_words(path, text):
    data = fits(path, ["tests/data/*"])
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line) and not data:
            yield Finding(path, number, "unfinished", line.strip()[:80])
        if WORKPLACE.search(line):
            yield Finding(path, number, "workplace", "names a place outside the repository")


def check_shell(path, text):
    if text.startswith("#!") and "bash" in text.split("\n", 1)[0] and "set -euo pipefail" not in text:
        yield Finding(path, 1, "shell", "lacks set -euo pipefail")


def size_warnings(path, text):
    lines = text.count("\n")
    if path.endswith(".h") and lines > HEADER_LINES:
        yield Finding(path, 1, "size", f"{lines} lines, a header is guided to {HEADER_LINES}")
    elif lines > FILE_LINES:
        yield Finding(path, 1, "size", f"{lines} lines, a file is guided to {FILE_LINES}")
    code = blank(text)
    for match in re.finditer(r"^(?=[A-Za-z~])[^;{}#]*\)[^;{}()]*\{[ \t]*$", code, re.M):
        end = closing(code, match.end() - 1 - len(match.group(0)) + len(match.group(0).rstrip()), "{", "}")
        length = line_of(code, end) - line_of(code, match.end())
        if end > 0 and length > FUNCTION_LINES and not match.group(0).startswith("namespace"):
            yield Finding(path, line_of(code, match.end()), "size",
                          f"a function of {length} lines, guided to {FUNCTION_LINES}")


def reasons_of(text):
    """(name, status, token) in order, of the X(…) rows of base/reason.h."""
    return re.findall(r'X\(\s*(\w+)\s*,\s*(\d+)\s*,\s*"([\w-]+)"\s*,', text)


def reason_rows(text):
    """(line, name, status, token) of docs/reasons.md's rows."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\|\s*`(\w+)`\s*\|\s*(\d+|–)\s*\|\s*`([\w-]+)`\s*\|(.+)\|(.+)\|\s*$", line)
        if match:
            status = "0" if match.group(2) == "–" else match.group(2)
            rows.append((number, match.group(1), status, match.group(3)))
    return rows


def check_reasons(header, document):
    path = "docs/reasons.md"
    code = reasons_of(header)
    if not code:
        yield Finding("base/reason.h", 1, "documents", "no reasons found: has the macro changed?")
    rows = reason_rows(document)
    documented = {}
    for number, *row in rows:
        if row[0] in documented:
            yield Finding(path, number, "documents", f"{row[0]} is there twice")
        documented[row[0]] = (number, tuple(row))
    for row in code:
        if row[0] not in documented:
            yield Finding(path, 1, "documents", f"lacks {row[0]} of base/reason.h")
        elif documented[row[0]][1] != row:
            yield Finding(path, documented[row[0]][0], "documents",
                          f"{row[0]} is {row[1]} {row[2]} in base/reason.h")
    for name in documented.keys() - {row[0] for row in code}:
        yield Finding(path, documented[name][0], "documents", f"{name} is not in base/reason.h")


METRIC = re.compile(r"\begret_[a-z][a-z0-9_]*")


def metrics_in_code(text):
    """Metric names in string literals."""
    names = set()
    for literal in re.findall(r'"(?:\\.|[^"\\\n])*"', text):
        names.update(METRIC.findall(literal))
    return names


def base_metric(name, known):
    stem = re.sub(r"_(bucket|sum|count)$", "", name)
    return stem if stem in known else name


def check_metrics(sources, document):
    path = "docs/metrics.md"
    documented = {}
    for number, line in enumerate(document.splitlines(), 1):
        match = re.match(r"\|\s*`(egret_\w+)`", line)
        if match:
            documented[match.group(1)] = number
    used = set()
    for source, text in sources:
        if source.startswith("proxy/queue/postgres_"):
            continue  # its tables are called so too
        for name in metrics_in_code(text):
            used.add(base_metric(name, documented))
            if base_metric(name, documented) not in documented:
                yield Finding(path, 1, "documents", f"lacks {name}, which {source} exports")
    for name, number in documented.items():
        if name not in used:
            yield Finding(path, number, "documents", f"{name} is exported by nothing")


PLACES = r"(?:base|policy|config|proxy|tests|bench|scripts|docs|examples|packaging|cmake)/"


def check_paths(path, text, exists):
    """Files and folders that a document names: in backticks from the root, or as links."""
    folder = pathlib.PurePosixPath(path).parent
    for number, line in enumerate(text.splitlines(), 1):
        named = re.findall(rf"`(?:\./)?({PLACES}[\w./-]*)`", line)
        links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line) if "://" not in link]
        for target in named + [str(folder / link) for link in links]:
            parts = []
            for part in pathlib.PurePosixPath(target).parts:
                parts = parts[:-1] if part == ".." else parts + [part]
            if not exists("/".join(parts)):
                yield Finding(path, number, "documents", f"there is no {'/'.join(parts)}")


# ---------------------------------------------------------------------------------------------------


def check_source(path, text):
    for rule in (check_includes, check_awaits, check_parameters, check_header):
        yield from rule(path, text)


def tracked_files(root):
    """What git tracks or would: never the build tree."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True, capture_output=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):  # a tarball
        listed = [str(p.relative_to(root)) for p in root.rglob("*")
                  if p.is_file() and p.relative_to(root).parts[0] not in ("build", ".git")]
    return sorted(path for path in set(listed) if path and (root / path).is_file())


def check_tree(root):
    findings, warnings, sources = [], [], []
    files = tracked_files(root)
    folders = {str(parent) for path in files for parent in pathlib.PurePosixPath(path).parents}
    for path in files:
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # data
        if fits(path, ["*.h", "*.cc"]):
            findings += check_source(path, text)
            warnings += size_warnings(path, text)
            if path.startswith("proxy/"):
                sources.append((path, text))
        if fits(path, ["scripts/*", ".ci/*", "bench/*.sh", "tests/*.sh"]):
            findings += check_shell(path, text)
        if path.endswith(".md") and not path.startswith("tests/data/"):
            findings += check_paths(path, text, lambda named: named in folders or named in files)
        findings += check_words(path, text)
    findings += check_reasons((root / "base/reason.h").read_text(), (root / "docs/reasons.md").read_text())
    findings += check_metrics(sources, (root / "docs/metrics.md").read_text())
    return findings, warnings


# ---------------------------------------------------------------------------------------------------
# The checker's own test: (rule, path, text), all of which must be flagged by that rule …

BAD = [
    ("layering", "base/x.h", '#pragma once\n#include "policy/url.h"\n'),
    ("layering", "policy/x.cc", '#include "config/settings.h"\n'),
    ("layering", "policy/x.cc", "#include <sys/socket.h>\n"),
    ("layering", "proxy/http/x.cc", '#include "policy/judge.h"\n'),
    ("layering", "proxy/net/x.cc", '#include "proxy/http/message.h"\n'),
    ("layering", "proxy/session.cc", '#include "config/reader.h"\n'),
    ("layering", "proxy/session.cc", '#include "proxy/admin/api.h"\n'),
    ("layering", "proxy/session.cc", '#include "tests/support/fake.h"\n'),
    ("layering", "proxy/commands/run.cc", '#include "tests/support/fake.h"\n'),
    ("layering", "newroom/x.cc", "#include <string>\n"),
    ("third-party", "proxy/net/x.cc", "#include <event2/event.h>\n"),
    ("third-party", "proxy/http/body.cc", "#include <llhttp.h>\n"),
    ("third-party", "proxy/net/dialer.cc", "#include <ares.h>\n"),
    ("third-party", "proxy/session.cc", "#include <yaml-cpp/yaml.h>\n"),
    ("third-party", "proxy/session.cc", "#include <nlohmann/json.hpp>\n"),
    ("third-party", "policy/rules.cc", "#include <fmt/format.h>\n"),
    ("third-party", "base/x.cc", "#include <boost/asio.hpp>\n"),
    ("third-party", "base/x.cc", "#include <openssl/evp.h>\n"),
    ("await", "proxy/x.cc", "void f() { if (co_await g(a)) return; }"),
    ("await", "proxy/x.cc", "void f() { while (co_await g(a)) {} }"),
    ("await", "proxy/x.cc", "void f() { switch (co_await g(a)) {} }"),
    ("await", "proxy/x.cc", "void f() { int x = c ? co_await g(a) : 0; }"),
    ("await", "proxy/x.cc", "void f() { bool x = c && co_await g(a); }"),
    ("await", "proxy/x.cc", "void f() { h(co_await g(a)); }"),
    ("await", "proxy/x.cc", "void f() { auto [x, y] = co_await g(a); }"),
    ("await", "proxy/x.cc", "void f() { int x = (co_await g(a)).value(); }"),
    ("await", "proxy/x.cc", "void f() { int x = co_await g(a) + 1; }"),
    ("await", "proxy/x.cc", "void f() { x += co_await g(a); }"),
    ("await", "proxy/x.cc", "void f() { co_await g(T{1}); }"),
    ("await", "proxy/x.cc", "void f() { co_await g({a, b}); }"),
    ("await", "proxy/x.cc", "void f() { co_await g(T(1)); }"),
    ("await", "proxy/x.cc", "void f() { co_await g(h(a)); }"),
    ("await", "proxy/x.cc", "void f() { co_await g([&] { return 1; }); }"),
    ("await", "proxy/x.cc", "void f() { co_await g(a + 1); }"),
    ("await", "proxy/x.cc", "void f() { co_await g(a).h(); }"),
    ("await", "proxy/x.cc", "void f() { for (auto x : co_await g(a)) {} }"),
    ("await", "proxy/x.cc", "void f() { return x, co_await g(a); }"),
    ("await", "proxy/x.cc", "void f() { EXPECT_EQ(co_await g(a), 1); }"),
    ("await", "proxy/x.cc", "void f() { T x{co_await g(a)}; h(); }"),
    ("await", "proxy/x.cc", "void f() { try { h(); } catch (const E& e) { co_await g(a); } }"),
    ("await", "proxy/x.cc", "auto f = [this]() -> Task<void> { co_await g(a); };"),
    ("await", "proxy/x.cc", "spawn([x](int y) -> Task<int> { co_return x; });"),
    ("parameter", "proxy/x.h", "#pragma once\nTask<void> f(const Head& head);"),
    ("parameter", "proxy/x.h", "#pragma once\nTask<void> f(Stream& s, std::string_view text);"),
    ("parameter", "proxy/x.h", "#pragma once\nTask<void> f(Head&& head);"),
    ("parameter", "proxy/x.h", "#pragma once\nvirtual async::Task<Result<std::vector<int>>> f(std::vector<int> const& v) = 0;"),
    ("parameter", "proxy/x.cc", "async::Task<Result<A>> B::f(int a,\n    const std::map<int, int>& v) {\n}"),
    ("header", "base/x.h", "#include <string>\n#pragma once\n"),
    ("header", "base/x.h", "#ifndef X\n#define X\n#endif\n"),
    ("unfinished", "base/x.cc", "// " + "TO" + "DO: later\n"),
    ("unfinished", "docs/x.md", "FIX" + "ME\n"),
    ("workplace", "scripts/x.sh", "cd /" + "work" + "/main\n"),
    ("workplace", "README.md", "see ../" + "shared" + "/design.md\n"),
    ("shell", "scripts/x.sh", "#!/usr/bin/env bash\nset -e\n"),
]

# … and these by none.
GOOD = [
    ("policy/url.cc", '#include <idn2.h>\n#include <string>\n#include "base/text.h"\n'),
    ("proxy/async/loop.cc", "#include <event2/event.h>\n#include <sys/eventfd.h>\n"),
    ("proxy/net/x.cc", '#include "policy/judge.h"\n#include "proxy/async/task.h"\n'),
    ("proxy/session.cc", '#include "config/settings.h"\n#include "proxy/exchange.h"\n#include <fmt/format.h>\n'),
    ("proxy/admin/api.cc", '#include "proxy/server.h"\n#include <nlohmann/json.hpp>\n'),
    ("tests/proxy/x_test.cc", '#include <gtest/gtest.h>\n#include "config/reader.h"\n'),
    ("proxy/x.cc", "Task<int> f() { co_await g(a); }"),
    ("proxy/x.cc", "Task<int> f() { const Io io = co_await stream_->read_some(buffer, deadline); }"),
    ("proxy/x.cc", "Task<int> f() { x = co_await g(std::move(a), b.c, d->e, 3, kNever, Kind::x, *this); }"),
    ("proxy/x.cc", "Task<int> f() { this->x_ = co_await worker_.dialer().dial(std::move(a.b), deadline); }"),
    ("proxy/x.cc", "Task<int> f() { co_return co_await g(a); }"),
    ("proxy/x.cc", "Task<int> f() { Result<A> x = co_await resolver().resolve(host.text, deadline); }"),
    ("proxy/x.cc", "Task<int> f() { std::optional<Result<A>> r = co_await async::race(std::move(t), d); }"),
    ("proxy/x.cc", "Task<int> f() { if (x) co_await g(a); else co_await h(); }"),
    ("proxy/x.cc", "Task<int> f() { switch (x) { case Kind::a: co_await g(a); break; default: co_await h(); } }"),
    ("proxy/x.cc", "Task<int> f() { for (int i = 0; i < 3; ++i) { co_await g(i); } }"),
    ("proxy/x.cc", "Task<int> f() { try { co_await g(a); } catch (...) { failed = true; } }"),
    ("proxy/x.cc", "Task<int> f() { co_await std::move(task); }"),
    ("proxy/x.cc", "Task<int> f() { [[maybe_unused]] const bool b = co_await event.wait(deadline); }"),
    ("proxy/x.cc", "// if (co_await g(a)) is wrong\nconst char* s = \"(co_await x)\";"),
    ("proxy/x.cc", "auto f = [](Stream& s) -> Task<void> { co_await g(s); };"),
    ("proxy/x.cc", "Awaiter operator co_await() && noexcept { return {}; }"),
    ("proxy/x.cc", "char c = '\"'; int big = 1'000'000; // it's fine\nTask<int> f() { co_await g(a); }"),
    ("proxy/x.h", "#pragma once\nTask<void> f(Stream& s, std::unique_ptr<Head> head, Deadline deadline);"),
    ("proxy/x.h", "// Why it is here.\n#pragma once\nTask<T> race(Task<T> work, Deadline deadline);"),
    ("proxy/x.h", "#pragma once\nTask<std::vector<std::string_view>> f(std::function<void(int)> on);"),
    ("scripts/x.sh", "#!/usr/bin/env bash\nset -euo pipefail\n"),
]


def all_findings(path, text):
    if fits(path, ["*.h", "*.cc"]):
        yield from check_source(path, text)
    if path.endswith(".sh"):
        yield from check_shell(path, text)
    yield from check_words(path, text)


def self_test():
    wrong = []
    for rule, path, text in BAD:
        if rule not in {finding.rule for finding in all_findings(path, text)}:
            wrong.append(f"not flagged by {rule}: {path}: {text}")
    for path, text in GOOD:
        wrong += [f"flagged for nothing: {finding}\n    {text}" for finding in all_findings(path, text)]

    header = '#define R(X) \\\n X(gone, 502, "dns_error", "Gone") \\\n X(split, 0, "x_y",\\\n "Split")'
    row = "| `gone` | 502 | `dns_error` | when | do |\n"
    other = "| `split` | – | `x_y` | when | do |\n"
    documents = [
        ("documents agree", check_reasons(header, row + other), False),
        ("a reason without its row", check_reasons(header, row), True),
        ("a row without its reason", check_reasons(header, row + other + row.replace("gone", "more")), True),
        ("a row with another status", check_reasons(header, row.replace("502", "504") + other), True),
        ("a row with another token", check_reasons(header, row.replace("dns_error", "dns") + other), True),
        ("a row twice", check_reasons(header, row + row + other), True),
        ("no reasons at all", check_reasons("", ""), True),
        ("a documented metric", check_metrics([("x", '"egret_a_total"')], "| `egret_a_total` |"), False),
        ("a histogram's parts", check_metrics([("x", '"egret_a_bucket"')], "| `egret_a` |"), False),
        ("an undocumented metric", check_metrics([("x", '"# HELP egret_a_total x"')], ""), True),
        ("a path that is there", check_paths("docs/x.md", "`base/a.h` [b](../b.md) [c](https://c/d)",
                                             lambda p: p in ("base/a.h", "b.md")), False),
        ("a path that is not", check_paths("docs/x.md", "see `./scripts/gone.sh`", lambda p: False), True),
        ("a link that leads nowhere", check_paths("docs/x.md", "[b](b.md)", lambda p: p == "b.md"), True),
        ("a metric of nothing", check_metrics([], "| `egret_a_total` |"), True),
    ]
    for what, findings, expected in documents:
        if bool(list(findings)) != expected:
            wrong.append(f"{what}: {'not flagged' if expected else 'flagged for nothing'}")
    print(f"tidy self-test: {len(BAD) + len(GOOD) + len(documents)} cases, {len(wrong)} wrong")
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    findings, warnings = check_tree(pathlib.Path(__file__).resolve().parent.parent)
    for warning in warnings:
        print(f"warning: {warning}")
    for finding in findings:
        print(finding)
    print(f"tidy: {len(findings)} findings, {len(warnings)} warnings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
