"""`python -m bench`: what script/bench runs."""

import argparse
import os
import resource
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import plots, revision
from bench.database import BrokenStock
from bench.load import LoadError
from bench.promise import BrokenPromise
from bench.report import Report
from bench.scenarios import COMPARISONS, OTHERS, measure
from bench.stage import NotDurable, Pace, Stage
from stack import servers
from stack.errors import StackError

RESULTS = Path(__file__).with_name("results")
BUFFER_POOL_MIB = 2048
PAIRS = 9  # of rounds, where two commits are compared: their ratio moves by several per cent from pair to pair
QUICK = Pace(
    rounds=2,
    seconds=1,
    warm_up_seconds=0,
    sweep_variants=1,
    connections=(16,),
    old_rows=(100_000,),
    due_holds=100_000,
    batch_sizes=(1, 256),
)


def measure_all(stage: Stage, names: list[str]) -> Report:
    """Run scenarios one after another; one that fails does not stop the next."""
    against = stage.against.name if stage.against else None
    report = Report(stage.settings(), asdict(stage.pace), stage.sweeps, against)
    for name in names:
        started_at = time.monotonic()
        try:
            stage.settings()  # nobody may have relaxed them meanwhile
            report.outcomes[name] = measure(name, stage)
        except (BrokenStock, BrokenPromise, LoadError, NotDurable, StackError) as error:
            report.failures[name] = str(error)
            stage.say(f"{name}: FAILED: {error}")
        stage.say(f"{name}: took {time.monotonic() - started_at:.0f} s")
    return report


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description="Measure the service on this machine, beside its baselines or beside another commit's service.",
        epilog=f"scenarios:\n{_list(COMPARISONS)}\n\nnot with --against:\n{_list(OTHERS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", help="which; all by default")
    parser.add_argument(
        "--against",
        metavar="REV",
        help="instead of the baselines, measure the service of another commit, from its own git worktree, in pairs of "
        "rounds; prints the ratios of rates and 99th percentiles, this commit's to the other's: median (least to most)",
    )
    parser.add_argument("--quick", action="store_true", help="a look at everything in 3 minutes; writes no result")
    parser.add_argument("--rounds", type=int, help=f"how often each is measured (3; {PAIRS} with --against)")
    parser.add_argument(
        "--results", type=Path, help="where results go (bench/results; nowhere with --quick or --against)"
    )
    arguments = parser.parse_args()
    possible = COMPARISONS if arguments.against else {**COMPARISONS, **OTHERS}
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    if unknown := set(arguments.scenario) - set(possible):
        parser.error(f"no such scenario{' with --against' if arguments.against else ''}: {', '.join(sorted(unknown))}")
    arguments.scenario = arguments.scenario or list(possible)
    if not (arguments.quick or arguments.against):
        arguments.results = arguments.results or RESULTS
    return arguments


def _list(scenarios: Mapping[str, Callable[[Stage], Any]]) -> str:
    return "\n".join(f"  {name:<18}{function.__doc__}" for name, function in scenarios.items())


def _pace(arguments: argparse.Namespace) -> Pace:
    pace = QUICK if arguments.quick else Pace(rounds=PAIRS) if arguments.against else Pace()
    return replace(pace, rounds=arguments.rounds) if arguments.rounds else pace


def main() -> None:
    """Measure; exit code 1 where a scenario failed or a figure is invalid, whether or not its bar is met."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # thousands of connections
    password = secrets.token_urlsafe(24)
    # Servers of our own, whatever the environment names.
    os.environ.update({"MYSQL_URL": "", "REDIS_URL": "", "CHECKOUT_APP_PASSWORD": password})
    try:
        commit = revision.find_commit(arguments.against) if arguments.against else None
        with (
            servers.start("bench", buffer_pool_mib=BUFFER_POOL_MIB) as running,
            revision.checked_out(commit, running.folder) if commit else nullcontext() as against,
            closing(Stage(running, _pace(arguments), password, against)) as stage,
        ):
            report = measure_all(stage, arguments.scenario)
    except (StackError, NotDurable) as error:
        sys.exit(f"script/bench: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped")
    if arguments.results:
        drawn = [] if commit else plots.draw(report.outcomes, arguments.results)
        for path in (report.write(arguments.results), *drawn):
            print(f"wrote {path}")
    print(report.table())
    sys.exit(not report.is_sound)


if __name__ == "__main__":
    main()
