"""`python -m bench`, the program behind script/bench."""

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
from bench.database import InconsistentStock
from bench.freshness import FreshnessError
from bench.load import LoadError
from bench.report import Report
from bench.runner import NotDurable, Parameters, Runner
from bench.scenarios import COMPARISONS, CUSTOM_SCENARIOS, measure
from stack import servers
from stack.errors import StackError

RESULTS = Path(__file__).with_name("results")
BUFFER_POOL_MIB = 2048
ROUNDS_AGAINST = 9  # with --against: the ratio of two equal commits differs by several per cent between rounds
QUICK = Parameters(
    rounds=2,
    seconds=1,
    warm_up_seconds=0,
    max_variants=1,
    connections=(16,),
    old_rows=100_000,
    due_holds=100_000,
    events=10_000,
    failovers=1,
)


def measure_all(runner: Runner, names: list[str], folder: Path | None) -> Report:
    """Run scenarios one after another, and write the results of each to `folder` once it ends, and the plots.

    If a scenario fails, record why and continue with the next.
    """
    against = runner.against.name if runner.against else None
    report = Report(runner.mysql_settings(), asdict(runner.parameters), runner.tunings, against)
    for number, name in enumerate(names, start=1):
        started_at = time.monotonic()
        try:
            runner.mysql_settings()  # raises NotDurable if a setting has been changed since the last scenario
            report.scenarios[name] = measure(name, runner)
        except (InconsistentStock, FreshnessError, LoadError, NotDurable, StackError) as error:
            report.failures[name] = str(error)
            print(f"{name}: FAILED: {error}", flush=True)
        print(f"{name}: took {time.monotonic() - started_at:.0f} s, {number} of {len(names)} scenarios", flush=True)
        if folder:
            results = report.write(folder)
            if not against:
                plots.draw(results)
    return report


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description="Measure the service on this machine, beside its baselines or beside the service of another "
        "commit.",
        epilog=f"scenarios:\n{_list(COMPARISONS)}\n\nscenarios that --against does not support:\n"
        f"{_list(CUSTOM_SCENARIOS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", help="scenarios to measure (default: all)")
    parser.add_argument(
        "--against",
        metavar="REV",
        help="compare the service of the working tree with that of another commit instead of the baselines; each "
        "round measures both, and the run prints the ratios of rate, 99th percentile and CPU time per request, "
        "working tree divided by REV, as median (minimum to maximum)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="measure everything roughly, in 5 minutes; write no results"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"rounds per scenario (default: {Parameters.rounds}; {ROUNDS_AGAINST} with --against)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        help="folder for results and plots (default: bench/results; none with --quick or --against)",
    )
    arguments = parser.parse_args()
    possible = COMPARISONS if arguments.against else {**COMPARISONS, **CUSTOM_SCENARIOS}
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    if unknown := set(arguments.scenario) - set(possible):
        parser.error(f"no such scenario{' with --against' if arguments.against else ''}: {', '.join(sorted(unknown))}")
    arguments.scenario = arguments.scenario or list(possible)
    if not (arguments.quick or arguments.against):
        arguments.results = arguments.results or RESULTS
    return arguments


def _list(scenarios: Mapping[str, Callable[[Runner], Any]]) -> str:
    return "\n".join(f"  {name:<22}{function.__doc__}" for name, function in scenarios.items())


def _parameters(arguments: argparse.Namespace) -> Parameters:
    parameters = QUICK if arguments.quick else Parameters(rounds=ROUNDS_AGAINST) if arguments.against else Parameters()
    return replace(parameters, rounds=arguments.rounds) if arguments.rounds else parameters


def main() -> None:
    """Measure, write the results and print them; exit with 1 if a scenario failed or a result is invalid.

    A missed target does not change the exit code.
    """
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _, file_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (file_limit, file_limit))  # for thousands of connections
    password = secrets.token_urlsafe(24)
    # Start private servers, whichever the environment and .env name.
    os.environ.update({"MYSQL_URL": "", "REDIS_URL": "", "CHECKOUT_APP_PASSWORD": password})
    try:
        commit = revision.find_commit(arguments.against) if arguments.against else None
        with (
            servers.start("bench", buffer_pool_mib=BUFFER_POOL_MIB) as running,
            revision.checked_out(commit, running.folder) if commit else nullcontext() as against,
            closing(Runner(running, _parameters(arguments), password, against)) as runner,
        ):
            report = measure_all(runner, arguments.scenario, arguments.results)
    except (StackError, NotDurable) as error:
        sys.exit(f"script/bench: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped")
    print(report.table())
    if arguments.results:
        print(f"Results and plots are in {arguments.results}")
    sys.exit(not report.is_valid)


if __name__ == "__main__":
    main()
