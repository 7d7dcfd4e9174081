"""script/bench --against measures another commit's service with that commit's code, deploy and tables."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import revision
from bench.report import Report
from bench.revision import WORKING_TREE, Revision
from bench.runner import AGAINST, Parameters, Runner
from bench.scenarios import measure
from stack.servers import PROJECT, Servers
from tests.project_copy import copy_project
from tests.support import PASSWORDS

SHORTEST = Parameters(rounds=1, seconds=1, warm_up_seconds=0)
TABLE = "CREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY) COMMENT = 'a table that only the other commit has';\n"
IMPORTED = "the other commit's service was imported from"
IDENTITY = {f"GIT_{role}_{what}": "tests@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(*arguments: str, given: str = "", **environment: str) -> str:
    """Run a git command in this clone and return what it prints."""
    return subprocess.run(
        ["git", *arguments],
        cwd=PROJECT,
        env={**os.environ, **IDENTITY, **environment},
        input=given,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()


@pytest.fixture(scope="module")
def commit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Create a commit after HEAD, on no branch. Its schema has one more table; its service prints its own path."""
    index = {"GIT_INDEX_FILE": str(tmp_path_factory.mktemp("git") / "index")}
    git("read-tree", "HEAD", **index)
    app = git("show", "HEAD:service/app.py") + f"\nprint({IMPORTED!r}, __file__, flush=True)\n"
    for path, text in {"migrations/9999.create-notes.sql": TABLE, "service/app.py": app}.items():
        blob = git("hash-object", "-w", "--stdin", given=text)
        git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", **index)
    return git("commit-tree", git("write-tree", **index), "-p", "HEAD", "-m", "Change the service")


@pytest.fixture(scope="module")
def against(commit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Revision]:
    """Check that commit out, and assert that the worktree is removed at the end."""
    folder = tmp_path_factory.mktemp("revision")
    with revision.checked_out(commit, folder) as checked_out:
        yield checked_out
    assert list(folder.iterdir()) == []
    assert str(folder) not in git("worktree", "list")


@pytest.fixture(scope="module")
def runner(servers: Servers, against: Revision) -> Iterator[Runner]:
    """A runner on the servers of the tests, with the databases of both revisions."""
    opened = Runner(servers, SHORTEST, PASSWORDS["checkout_app"], against)
    yield opened
    opened.close()


def test_a_comparison_measures_the_services_of_both_commits_and_no_baseline(runner: Runner, against: Revision) -> None:
    report = Report(runner.mysql_settings(), asdict(runner.parameters), runner.tunings, against.name)
    scenario = report.scenarios["whole_flow"] = measure("whole_flow", runner)
    assert report.is_valid, report.table()
    assert [result.label for result in scenario.results] == ["service", f"service at {against.name}"]
    (ratios,) = scenario.revision_ratios
    assert ratios.rates == [scenario.results[0].rate / scenario.results[1].rate]
    assert f"service / service at {against.name}: rate" in report.table()


def test_the_other_service_runs_the_code_of_the_other_commit(runner: Runner, against: Revision) -> None:
    log = runner.folder / "contenders" / f"serviceat{against.name}" / "log"
    assert f"{IMPORTED} {against.folder}/service/app.py" in log.read_text()


def test_each_service_writes_to_its_own_database(runner: Runner) -> None:
    for name in ("product", AGAINST):
        assert runner.databases[name].execute("SELECT 1 FROM orders WHERE status = 'paid' LIMIT 1"), name


def test_reset_empties_tables_that_only_the_other_commit_has_and_keeps_its_settings(runner: Runner) -> None:
    database = runner.databases[AGAINST]
    before = database.execute("SELECT name, value FROM settings")
    database.execute("INSERT INTO notes VALUES (1)")
    database.reset(products=2, stock=3)
    assert database.execute("SELECT id FROM notes") == []
    assert database.execute("SELECT name, value FROM settings") == before
    assert database.execute("SELECT product_id, available FROM stock") == [(1, 3), (2, 3)]


def test_a_commit_with_the_same_requirements_runs_in_the_same_virtual_environment(against: Revision) -> None:
    assert against.python == WORKING_TREE.python


def test_checking_out_replaces_the_worktree_of_a_killed_run(commit: str, tmp_path: Path) -> None:
    git("worktree", "add", "--detach", str(tmp_path / "against"), commit)
    (tmp_path / "against" / "leftover").touch()
    with revision.checked_out(git("rev-parse", "HEAD"), tmp_path) as checked_out:
        assert not (checked_out.folder / "leftover").exists()
        assert not (checked_out.folder / "migrations" / "9999.create-notes.sql").exists()


def test_a_commit_is_found_by_every_kind_of_name_that_git_knows() -> None:
    head = git("rev-parse", "HEAD")
    assert [revision.find_commit(name) for name in ("HEAD", head, head[:12], "@")] == [head] * 4


def bench(*arguments: str, folder: Path = PROJECT) -> str:
    """Run the program with arguments that it refuses; returns its error message."""
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode != 0, done.stdout) == (True, "")
    return done.stderr


def test_against_refuses_a_name_of_no_commit() -> None:
    assert bench("--against", "no-such-branch") == "script/bench: no-such-branch names no commit of this clone\n"


def test_against_refuses_a_scenario_that_measures_no_service() -> None:
    assert "no such scenario with --against: procedures_alone" in bench("--against", "HEAD", "procedures_alone")


def test_against_refuses_a_folder_that_is_no_clone(tmp_path: Path) -> None:
    copy_project(tmp_path)
    assert "script/bench: --against needs a clone of the project" in bench("--against", "HEAD", folder=tmp_path)
