"""Reads from the statements of sql/procedures which errnos a routine can raise."""

import re
from functools import cache

from docs.generate.routines import ROUTINES

REGISTRY = {
    int(errno): slug for errno, slug in re.findall(r"WHEN (\d+) THEN '(\w+)'", ROUTINES["raise_error"].statement)
}
VERDICTS = {
    letter: int(errno) for letter, errno in re.findall(r"WHEN '(\w)' THEN (\d+)", ROUTINES["verdict_errno"].statement)
}


@cache
def callees(name: str) -> frozenset[str]:
    """The routine itself and all routines that it calls, directly or not."""
    words = set(re.findall(r"\b(\w+)\(", ROUTINES[name].statement)) & set(ROUTINES) - {name}
    return frozenset({name}).union(*(callees(word) for word in words))


@cache
def verdicts(name: str) -> frozenset[int]:
    """The errnos of the verdicts that a routine and its callees give."""
    letters = {
        letter
        for callee in callees(name) - {"verdict_errno"}
        for letter in re.findall(r"'(\w)'", ROUTINES[callee].statement)
    }
    return frozenset(VERDICTS[letter] for letter in letters & set(VERDICTS))


@cache
def raised(name: str) -> frozenset[int]:
    """The errnos that a CALL of a routine can raise, by its statements."""
    found: set[int] = set()
    for callee in callees(name):
        statement = ROUTINES[callee].statement
        found.update(int(errno) for errno in re.findall(r"raise_error\((\d+)\)", statement))
        if "raise_error(verdict_errno(" in statement:
            found.update(verdicts(callee))
    return frozenset(found)


@cache
def answered(name: str) -> frozenset[int]:
    """The errnos that the rows of a batch can have, by its statements."""
    statement = ROUTINES[name].statement
    if not re.search(r"AS errno\b", statement):
        return frozenset()
    found = {int(errno) for errno in re.findall(r"IS NULL, (\d+), NULL\) AS errno", statement)}
    return frozenset(found | verdicts(name)) if "verdict_errno(" in statement else frozenset(found)
