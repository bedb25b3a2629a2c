"""docs/conformance.md, made of results and the text in conformance.md.in."""

import collections

import addresses
import framing
import names
import network
import support

PAGE = support.DATA.parent.parent / "docs" / "conformance.md"
GROUPS = (addresses.GROUP, names.GROUP, framing.REQUESTS, framing.ANSWERS)
SHOWN = 12  # cases named of each kind of failure
ABSENT = "–"


def cell(results):
    """passed/total of some results of one peer; what it has no function for does not count."""
    counted = [each for each in results if each.counts]
    if not counted:
        return ABSENT
    return f"{sum(each.passed for each in counted)}/{len(counted)}"


def table(header, lines):
    yield f"| {' | '.join(header)} |"
    yield f"|---|{'---:|' * (len(header) - 1)}"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def rows(group, outcomes):
    """A row a category and the sum, a column a peer. `outcomes` is {title of the peer: results}."""
    mine = [[each for each in results if each.group == group] for results in outcomes.values()]
    for category in sorted({each.category for each in mine[0]}):
        yield [category, *(cell([each for each in results if each.category == category]) for results in mine)]
    yield ["**all**", *(cell(results) for results in mine)]


def summary(outcomes):
    for group in GROUPS:
        yield [group, *(cell([each for each in results if each.group == group]) for results in outcomes.values())]
    yield ["**cases in which the inside was dialled**",
           *(str(sum(each.inside for each in results)) for results in outcomes.values())]


def tables(outcomes):
    for group in GROUPS:
        yield f"### {group}"
        yield ""
        yield from table(["", *outcomes], rows(group, outcomes))
        yield ""


def code(text):
    """A title in backticks, whatever is in it."""
    text = text.replace("\n", " ").replace("|", "/").replace("`", "'")
    return f"`{text if len(text) <= 60 else text[:57] + '…'}`"


def failures_of(results):
    """A line a group, category and kind of failure, the cases named."""
    kinds = collections.defaultdict(dict)
    for each in results:
        if each.counts and not each.passed:
            kinds[each.group, each.category, each.finding.partition(" (")[0]][each.id] = each
    for group in GROUPS:
        chosen = [(key, cases) for key, cases in kinds.items() if key[0] == group]
        if chosen:
            yield f"*{group}*"
            yield ""
        for (_, category, finding), cases in sorted(chosen, key=lambda item: item[0]):
            named = [f"{each.id} {code(each.title)}" for each in list(cases.values())[:SHOWN]]
            more = f", and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
            yield f"- {category}: **{finding}** ({len(cases)}): {', '.join(named)}{more}"
        if chosen:
            yield ""


def failures(outcomes):
    for title, results in outcomes.items():
        yield f"### {title}"
        yield ""
        listed = list(failures_of(results))
        yield from listed or ["None.", ""]


def write(outcomes, versions):
    text = (network.FOLDER / "conformance.md.in").read_text(encoding="utf-8")
    for mark, lines in (("@SUMMARY@", table(["", *outcomes], summary(outcomes))), ("@TABLES@", tables(outcomes)),
                        ("@FAILURES@", failures(outcomes)),
                        ("@VERSIONS@", [", ".join(f"{title} {version}" for title, version in versions.items())])):
        text = text.replace(mark, "\n".join(lines).rstrip())
    PAGE.write_text(text, encoding="utf-8")


def column(document, title):
    """{(heading, category): cell} of one peer, as the document has it."""
    heading, place, found = "", None, {}
    for line in document.splitlines():
        if line.startswith("### "):
            heading = line[4:]
        words = [word.strip() for word in line.strip("|").split("|")]
        if line.startswith("| ") and title in words:
            place = words.index(title)
        elif line.startswith("| ") and place and heading in GROUPS:
            found[heading, words[0]] = words[place]
    return found
