"""Every routine has a complete header, and a COMMENT that repeats its purpose."""

import re

import pytest

from docs.generate.routines import ROUTINES, RoutineFile

LONGEST_BODY = 90
PARAMETER = re.compile(r"\b(IN|INOUT|OUT) (\w+) ")


@pytest.fixture(params=ROUTINES.values(), ids=lambda routine: routine.name)
def routine(request: pytest.FixtureRequest) -> RoutineFile:
    """Every file of sql/procedures."""
    found: RoutineFile = request.param
    return found


def test_a_file_holds_one_routine_named_after_it(routine: RoutineFile) -> None:
    created = re.findall(r"^CREATE (?:PROCEDURE|FUNCTION) (\w+)\(", routine.text, re.M)
    assert created == [routine.name]


def test_the_header_begins_with_name_and_purpose(routine: RoutineFile) -> None:
    assert re.fullmatch(rf"{routine.name}: \S.*\.", routine.header[0])


def test_the_comment_is_the_purpose(routine: RoutineFile) -> None:
    (comment,) = re.findall(r"^COMMENT '((?:[^']|'')*)'$", routine.text, re.M)
    assert comment.replace("''", "'") == routine.purpose.replace("`", "")


def test_a_header_has_all_its_sections(routine: RoutineFile) -> None:
    assert {"Errors", "Locks", "Retry", "Txn"} <= set(routine.sections)
    assert {"In", "InOut"} & set(routine.sections)
    assert {"Out", "InOut"} & set(routine.sections)
    assert list(routine.sections) == [
        section for section in ("In", "InOut", "Out", "Errors", "Locks", "Retry", "Txn") if section in routine.sections
    ]


def test_parameters_are_documented_and_named_by_their_direction(routine: RoutineFile) -> None:
    prefixes = {"IN": "in_", "INOUT": "io_", "OUT": "out_"}
    documented = "\n".join(routine.sections.get(section, "") for section in ("In", "InOut", "Out"))
    for direction, name in PARAMETER.findall(routine.text.partition("COMMENT '")[0]):
        assert name.startswith(prefixes[direction])
        assert re.search(rf"\b{name}\b", documented), f"{name} is not in the header"


def test_locals_have_the_prefix_of_locals(routine: RoutineFile) -> None:
    declared = re.findall(r"DECLARE (?!EXIT|CONTINUE)(\w+)", routine.statement)
    assert [name for name in declared if not name.startswith(("v_", "c_"))] == []


def test_a_body_has_at_most_90_lines(routine: RoutineFile) -> None:
    assert len(routine.body) <= LONGEST_BODY


def test_headers_of_batch_procedures_name_their_members() -> None:
    for name in ("create_holds", "create_orders", "apply_payments"):
        members = set(re.findall(r"PATH '\$\.(\w+)'", ROUTINES[name].statement))
        assert members <= set(re.findall(r'"(\w+)"', ROUTINES[name].sections["In"]))
