"""The routines of sql/procedures, as the headers of their files describe them."""

import re
from dataclasses import dataclass
from functools import cached_property

from service.deploy import ROOT

PROCEDURES = ROOT / "sql" / "procedures"
SECTIONS = ("In", "InOut", "Out", "Errors", "Locks", "Retry", "Txn")


@dataclass(frozen=True)
class RoutineFile:
    """One file: a header of comment lines, then CREATE."""

    name: str
    text: str

    @cached_property
    def header(self) -> list[str]:
        """The comment lines at the top, without their dashes."""
        lines = []
        for line in self.text.splitlines():
            if not line.startswith("--"):
                break
            lines.append(line.removeprefix("--").removeprefix(" "))
        return lines

    @cached_property
    def purpose(self) -> str:
        """The first sentence of the header, without the routine's name."""
        return self.header[0].partition(": ")[2].removesuffix(".")

    @cached_property
    def sections(self) -> dict[str, str]:
        """The header's sections by name."""
        found: dict[str, str] = {}
        current = ""
        for line in self.header:
            named = re.match(rf"({'|'.join(SECTIONS)})\b +(.*)", line)
            if named:
                current = named[1]
                found[current] = named[2]
            elif current and line.startswith("  "):
                found[current] += "\n" + line.strip()
            else:
                current = ""
        return found

    @cached_property
    def raised(self) -> set[int]:
        """The errnos that a CALL raises, by the header."""
        return _errnos(self.sections["Errors"].partition("in errno:")[0])

    @cached_property
    def answered(self) -> set[int]:
        """The errnos that the row of a batch's element may have, by the header."""
        return _errnos(self.sections["Errors"].partition("in errno:")[2])

    @cached_property
    def statement(self) -> str:
        """The CREATE statement, without comments."""
        return re.sub(r"^\s*--.*$", "", self.text, flags=re.M)

    @cached_property
    def body(self) -> list[str]:
        """The lines after the COMMENT clause."""
        lines = self.text.splitlines()
        (comment,) = (number for number, line in enumerate(lines) if re.match(r"COMMENT '", line))
        return lines[comment + 1 :]


def _errnos(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"\b3\d{4}\b", text)}


def read_routine_files() -> dict[str, RoutineFile]:
    """Every file of sql/procedures by its name."""
    return {path.stem: RoutineFile(path.stem, path.read_text()) for path in sorted(PROCEDURES.glob("*.sql"))}


ROUTINES = read_routine_files()
