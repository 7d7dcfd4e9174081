"""The service of another commit is measured beside this one: its own code, its own deploy, its own tables."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from bench import revision
from bench.report import Report
from bench.revision import HERE, Revision
from bench.scenarios import measure
from bench.stage import AGAINST, Pace, Stage
from stack.servers import PROJECT, Servers
from tests.project_copy import copy_project
from tests.support import PASSWORDS

SHORTEST = Pace(rounds=1, seconds=1, warm_up_seconds=0)
TABLE = "CREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY) COMMENT = 'a table that only the other commit has';\n"
IMPORTED = "the other commit's service was imported from"
IDENTITY = {f"GIT_{role}_{what}": "tests@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(*arguments: str, given: str = "", **environment: str) -> str:
    """What a git command in this clone prints."""
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
    """A commit on top of HEAD, on no branch: its database has another table, and its service says where it is."""
    index = {"GIT_INDEX_FILE": str(tmp_path_factory.mktemp("git") / "index")}
    git("read-tree", "HEAD", **index)
    app = git("show", "HEAD:service/app.py") + f"\nprint({IMPORTED!r}, __file__, flush=True)\n"
    for path, text in {"migrations/9999.create-notes.sql": TABLE, "service/app.py": app}.items():
        blob = git("hash-object", "-w", "--stdin", given=text)
        git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", **index)
    return git("commit-tree", git("write-tree", **index), "-p", "HEAD", "-m", "Change the service")


@pytest.fixture(scope="module")
def against(commit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Revision]:
    """That commit, checked out; no trace of it is left in this clone."""
    folder = tmp_path_factory.mktemp("revision")
    with revision.checked_out(commit, folder) as checked_out:
        yield checked_out
    assert list(folder.iterdir()) == []
    assert str(folder) not in git("worktree", "list")


@pytest.fixture(scope="module")
def stage(servers: Servers, against: Revision) -> Iterator[Stage]:
    """The servers of the tests, with the databases of both revisions."""
    opened = Stage(servers, SHORTEST, PASSWORDS["checkout_app"], against)
    yield opened
    opened.close()


def test_the_services_of_both_commits_are_measured_and_no_baseline(stage: Stage, against: Revision) -> None:
    report = Report(stage.settings(), asdict(stage.pace), stage.sweeps, against.name)
    outcome = report.outcomes["whole_flow"] = measure("whole_flow", stage)
    assert report.is_sound, report.table()
    assert [figure.label for figure in outcome.figures] == ["service", f"service at {against.name}"]
    (change,) = outcome.changes
    assert change.rates == [outcome.figures[0].rate / outcome.figures[1].rate]
    assert f"service, here / {against.name}: rate" in report.table()


def test_the_other_service_is_of_the_other_commit(stage: Stage, against: Revision) -> None:
    log = stage.folder / "contenders" / f"serviceat{against.name}" / "log"
    assert f"{IMPORTED} {against.folder}/service/app.py" in log.read_text()


def test_each_service_wrote_to_a_database_of_its_own(stage: Stage) -> None:
    for name in ("product", AGAINST):
        assert stage.databases[name].execute("SELECT 1 FROM orders WHERE status = 'paid' LIMIT 1"), name


def test_tables_that_only_the_other_commit_has_are_emptied_and_its_settings_stay(stage: Stage) -> None:
    database = stage.databases[AGAINST]
    before = database.execute("SELECT name, value FROM settings")
    database.execute("INSERT INTO notes VALUES (1)")
    database.reset(products=2, stock=3)
    assert database.execute("SELECT id FROM notes") == []
    assert database.execute("SELECT name, value FROM settings") == before
    assert database.execute("SELECT product_id, available FROM stock") == [(1, 3), (2, 3)]


def test_a_commit_that_needs_the_same_packages_runs_in_the_same_virtual_environment(against: Revision) -> None:
    assert against.python == HERE.python


def test_a_worktree_that_a_killed_run_left_behind_is_replaced(commit: str, tmp_path: Path) -> None:
    git("worktree", "add", "--detach", str(tmp_path / "against"), commit)
    (tmp_path / "against" / "leftover").touch()
    with revision.checked_out(git("rev-parse", "HEAD"), tmp_path) as checked_out:
        assert not (checked_out.folder / "leftover").exists()
        assert not (checked_out.folder / "migrations" / "9999.create-notes.sql").exists()


def test_every_name_that_git_knows_names_a_commit() -> None:
    head = git("rev-parse", "HEAD")
    assert [revision.find_commit(name) for name in ("HEAD", head, head[:12], "@")] == [head] * 4


def bench(*arguments: str, folder: Path = PROJECT) -> str:
    """What the program says when it refuses to begin."""
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode != 0, done.stdout) == (True, "")
    return done.stderr


def test_a_name_of_no_commit_is_refused() -> None:
    assert bench("--against", "no-such-branch") == "script/bench: no-such-branch names no commit of this clone\n"


def test_a_scenario_that_measures_no_service_is_refused() -> None:
    assert "no such scenario with --against: procedures_alone" in bench("--against", "HEAD", "procedures_alone")


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path) -> None:
    copy_project(tmp_path)
    assert "script/bench: --against needs a clone of the project" in bench("--against", "HEAD", folder=tmp_path)
