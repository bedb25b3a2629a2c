"""One case's outcome."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Result:
    """`finding`: "" is passed, None is a case that the product has no function for; else what went wrong."""
    id: str
    group: str
    category: str
    title: str
    finding: str | None

    @property
    def passed(self):
        return self.finding == ""

    @property
    def counts(self):
        return self.finding is not None

    @property
    def inside(self):
        return bool(self.finding) and self.finding.startswith("dialled the inside")
