"""`script/server --members 3`, `script/members` and `script/demo --failover`, as people type them."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.project_copy import Copy
from tests.support import eventually

SOLD = "script/mysql -N -e 'SELECT SUM(sold) FROM stock_levels'"
READY = "curl --silent --fail http://127.0.0.1:8000/readyz"
PATIENCE_S = 60

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A copy of the project, in which a group of three runs."""
    running = Copy(tmp_path_factory.mktemp("copy"))
    running.start("--members", "3")
    yield running
    running.stop()


def roles(copy: Copy) -> dict[str, str]:
    """The role of each member, "-" where it has none."""
    shown = copy.run("script/members")
    assert shown.returncode == 0, shown.stderr
    return dict(re.findall(r"^ +(\d+) .* (PRIMARY|SECONDARY|-) +\S", shown.stdout, re.M))


def test_the_primary_dies_in_the_middle_of_a_sale_that_sells_each_unit_once(copy: Copy) -> None:
    before = roles(copy)
    demo = copy.run("script/demo --failover --units 40 --buyers 200 --deadline-s 5 --output picture.svg")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "40 of 40, 0 oversold" in demo.stdout
    assert "no difference" in demo.stdout
    assert "the primary was killed after" in demo.stdout
    assert "the primary is killed:" in (copy.folder / "picture.svg").read_text()
    after = roles(copy)
    assert sorted(before.values()) == sorted(after.values()) == ["PRIMARY", "SECONDARY", "SECONDARY"]
    assert before != after


def test_members_are_frozen_and_woken_and_the_primary_is_promoted(copy: Copy) -> None:
    secondary = next(number for number, role in roles(copy).items() if role == "SECONDARY")
    assert f" {secondary} " in copy.run(f"script/members freeze {secondary}").stdout
    assert roles(copy)[secondary] == "-"
    copy.run(f"script/members wake {secondary}")
    # A woken member believes for some seconds that it is still in the group. It can be promoted once it has rejoined.
    eventually(lambda: copy.run(f"script/members promote {secondary}").returncode == 0, within_s=PATIENCE_S)
    eventually(lambda: sorted(roles(copy).values()) == ["PRIMARY", "SECONDARY", "SECONDARY"], within_s=PATIENCE_S)
    assert roles(copy)[secondary] == "PRIMARY"
    eventually(lambda: copy.run(READY).returncode == 0, within_s=PATIENCE_S)


def test_a_group_keeps_its_data_from_start_to_start(copy: Copy) -> None:
    sold = copy.run(SOLD).stdout
    copy.stop()
    copy.start("--members", "3")
    assert copy.run(SOLD).stdout == sold
    assert sorted(roles(copy).values()) == ["PRIMARY", "SECONDARY", "SECONDARY"]
    assert json.loads(copy.run(READY).stdout)["sweep_event"] == "enabled"


def test_a_member_that_does_not_exist_is_refused(copy: Copy) -> None:
    refused = copy.run("script/members kill 9")
    assert (refused.returncode, refused.stderr) == (1, "script/members: no member 9: there are 1, 2, 3\n")
    assert copy.run("script/members kill nine").returncode == 2
