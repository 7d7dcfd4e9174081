"""`python -m bench`: what script/bench runs."""

import argparse
import os
import resource
import secrets
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench import plots
from bench.database import BrokenStock
from bench.load import LoadError
from bench.promise import BrokenPromise
from bench.report import Report
from bench.scenarios import SCENARIOS
from bench.stage import NotDurable, Pace, Stage
from stack import servers
from stack.errors import StackError

RESULTS = Path(__file__).with_name("results")
BUFFER_POOL_MIB = 2048
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


def measure(stage: Stage, names: list[str]) -> Report:
    """Run scenarios one after another; one that fails does not stop the next."""
    report = Report(stage.settings(), asdict(stage.pace), stage.sweeps)
    for name in names:
        started_at = time.monotonic()
        try:
            stage.settings()  # nobody may have relaxed them meanwhile
            report.outcomes[name] = SCENARIOS[name](stage)
        except (BrokenStock, BrokenPromise, LoadError, NotDurable, StackError) as error:
            report.failures[name] = str(error)
            stage.say(f"{name}: FAILED: {error}")
        stage.say(f"{name}: took {time.monotonic() - started_at:.0f} s")
    return report


def main() -> None:
    """Measure; exit code 1 where a scenario failed or a figure is invalid, whether or not its bar is met."""
    names = "\n".join(f"  {name:<18}{function.__doc__}" for name, function in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description="Measure the service beside its baselines on this machine.",
        epilog=f"scenarios:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", help="which; all by default")
    parser.add_argument("--quick", action="store_true", help="a look at everything in 3 minutes; writes no result")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results go (bench/results)")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenario) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # thousands of connections
    password = secrets.token_urlsafe(24)
    # Servers of our own, whatever the environment names.
    os.environ.update({"MYSQL_URL": "", "REDIS_URL": "", "CHECKOUT_APP_PASSWORD": password})
    try:
        with servers.start("bench", buffer_pool_mib=BUFFER_POOL_MIB) as running:
            stage = Stage(running, QUICK if arguments.quick else Pace(), password)
            report = measure(stage, arguments.scenario or list(SCENARIOS))
            stage.close()
    except (StackError, NotDurable) as error:
        sys.exit(f"script/bench: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped")
    if not arguments.quick or arguments.results != RESULTS:
        for path in (report.write(arguments.results), *plots.draw(report.outcomes, arguments.results)):
            print(f"wrote {path}")
    print(report.table())
    sys.exit(not report.is_sound)


if __name__ == "__main__":
    main()
