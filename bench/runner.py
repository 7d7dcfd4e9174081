"""Runs contenders on the servers and databases of a run, and measures them in turn."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis

from bench.contenders import Contender, Gunicorn, ServerUrls, Variant
from bench.database import AMPLE_STOCK, ClientSideDatabase, Database, ProductDatabase, UnitDatabase
from bench.load import Load, Measurement, Memory, Wrk, cpu_seconds_of, memory_of
from bench.revision import WORKING_TREE, Revision
from service.mysql_url import MysqlUrl
from stack.servers import Servers

TUNING_LOAD = Load("hold")
AGAINST = "against"  # key of the database of the revision that --against names
AGAINST_REDIS_DATABASE = 1


class NotDurable(Exception):
    """A setting of MySQL makes commits less durable, so results would not be comparable."""


@dataclass(frozen=True)
class Parameters:
    """How long a run measures, and with how many connections and rows."""

    rounds: int = 3
    seconds: int = 5
    warm_up_seconds: int = 1
    max_variants: int | None = None
    connections: tuple[int, ...] = (16, 64, 256, 1024, 2048, 4096)
    old_rows: int = 10_000_000
    due_holds: int = 1_000_000
    events: int = 100_000
    failovers: int = 5


@dataclass(frozen=True)
class Case:
    """One line of a scenario: a contender under a load.

    Before each round, `prepare` prepares the contender's database; by default it is emptied. `background` is a context
    manager that gets the contender's URL and database, and is active during each round. `check_each_round`: whether the
    stock is checked after each round; a scenario whose check reads millions of rows checks it once.
    """

    label: str
    contender: Contender
    load: Load
    prepare: Callable[[ProductDatabase], None] | None = None
    background: Callable[[str, ProductDatabase], AbstractContextManager[None]] = lambda _url, _database: nullcontext()
    check_each_round: bool = True

    def at(self, revision: Revision) -> "Case":
        """The same case with another revision of the contender, on that revision's database."""
        name = f"{self.contender.name} at {revision.name}"
        contender = replace(self.contender, name=name, database=AGAINST, revision=revision)
        return replace(self, label=f"{self.label} at {revision.name}", contender=contender)


@dataclass
class Result:
    """The measurements of one case, one per round."""

    label: str
    kind: str
    connections: int
    expected: frozenset[str]
    rounds: list[Measurement] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """The rate of each round, per second."""
        return [measurement.rate(self.kind) for measurement in self.rounds]

    @property
    def rate(self) -> float:
        """The median rate."""
        return statistics.median(self.rates)

    @property
    def p50_ms(self) -> float:
        """The median of the rounds' medians."""
        return statistics.median(measurement.p50_ms for measurement in self.rounds)

    @property
    def p99_ms(self) -> float:
        """The median of the rounds' 99th percentiles."""
        return statistics.median(measurement.p99_ms for measurement in self.rounds)

    @property
    def cpu_us(self) -> dict[str, float]:
        """The median of the rounds' CPU time per request, in µs, by server."""
        names = self.rounds[0].cpu_us
        return {name: statistics.median(measurement.cpu_us[name] for measurement in self.rounds) for name in names}

    @property
    def load_generator_cpu_us(self) -> float:
        """The median of the rounds' CPU time of the load generator per request, in µs."""
        return statistics.median(measurement.load_generator_cpu_us for measurement in self.rounds)

    @property
    def errors(self) -> dict[str, int]:
        """The errors of all rounds, counted; a result with errors is invalid."""
        errors: dict[str, int] = {}
        for measurement in self.rounds:
            for status, count in measurement.errors(self.expected).items():
                errors[status] = errors.get(status, 0) + count
        return errors

    @property
    def memory(self) -> list[Memory]:
        """The memory of the server processes in the round in which they were largest."""
        return max(
            (measurement.memory for measurement in self.rounds),
            key=lambda memory: sum(process.rss_mib for process in memory),
        )


@dataclass
class Tuning:
    """The rates of a contender's variants by name, best first."""

    contender: str
    rates: dict[str, float]


class Runner:
    """The servers and databases of a run; with `against`, the service of that revision is measured as well."""

    def __init__(
        self, servers: Servers, parameters: Parameters, application_password: str, against: Revision | None = None
    ) -> None:
        """Create the databases; those of an earlier run are dropped."""
        self.parameters = parameters
        self.against = against
        self.tunings: list[Tuning] = []
        self.wrk = Wrk()
        self.server = MysqlUrl.parse(servers.mysql_url)
        self.product = ProductDatabase(self.server, "bench")
        self._servers = servers
        self.folder = servers.folder
        self.application_password = application_password
        self.databases: dict[str, Database] = {
            "product": self.product,
            "client_side": ClientSideDatabase(self.server, "bench_client_side"),
            "one_row_per_unit": UnitDatabase(self.server, "bench_one_row_per_unit"),
        }
        if against:
            self.databases[AGAINST] = ProductDatabase(self.server, "bench_against", against)
        self._best: dict[str, Variant] = {}
        self._gunicorns: dict[str, Gunicorn] = {}  # those that are running, by contender

    def mysql_settings(self) -> dict[str, str]:
        """Return the settings of MySQL that affect speed; raises NotDurable."""
        names = (
            *("version", "sync_binlog", "innodb_flush_log_at_trx_commit", "log_bin", "innodb_doublewrite"),
            *("innodb_buffer_pool_size", "innodb_redo_log_capacity", "event_scheduler"),
        )
        (values,) = self.product.execute("SELECT " + ", ".join(f"@@GLOBAL.{name}" for name in names))
        settings = {name: str(value) for name, value in zip(names, values, strict=True)}
        for name in ("sync_binlog", "innodb_flush_log_at_trx_commit", "log_bin"):
            if settings[name] != "1":
                raise NotDurable(f"{name} is {settings[name]}, but must be 1 so that every commit is durable")
        return settings

    def close(self) -> None:
        """Drop the databases."""
        for database in self.databases.values():
            database.drop()

    def reset(self, contender: Contender, products: int = 1, stock: int = AMPLE_STOCK) -> None:
        """Empty a contender's database and Redis, then add so many products with `stock` units each."""
        self._flush_redis(contender)
        if contender.database == "redis":
            with redis.Redis.from_url(self._redis_url(contender)) as client:
                client.mset({f"stock:{number}": stock for number in range(1, products + 1)})
        elif contender.database in self.databases:
            self.databases[contender.database].reset(products, stock)

    def _flush_redis(self, contender: Contender) -> None:
        with redis.Redis.from_url(self._redis_url(contender)) as client:
            client.flushdb()

    def _redis_url(self, contender: Contender) -> str:
        """The URL of Redis; another revision than the working tree has a logical database of its own."""
        url = self._servers.redis_url
        if contender.revision is WORKING_TREE:
            return url
        parts = urlsplit(url)
        return parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), "db": AGAINST_REDIS_DATABASE})).geturl()

    def check(self) -> None:
        """Wait until all requests have ended, then check the stock of every database; raises InconsistentStock."""
        self._wait_until_idle()
        for database in self.databases.values():
            database.check()

    def _wait_until_idle(self) -> None:
        self.product.wait_until_idle(lambda: all(gunicorn.is_idle() for gunicorn in self._gunicorns.values()))

    @contextmanager
    def running(self, contenders: Sequence[Contender]) -> Iterator[dict[str, Gunicorn]]:
        """Run each contender with its best variant during the block. An idle contender costs the others nothing."""
        for contender in contenders:
            self._tune(contender)
        gunicorns = {contender.name: self._gunicorn(contender, self._best[contender.name]) for contender in contenders}
        with self._started(gunicorns):
            yield gunicorns

    def compare(self, name: str, cases: Sequence[Case]) -> list[Result]:
        """Measure the cases in turn and check the stock after each measurement; returns a result per case.

        Every second round goes through the cases in reverse order: A B, B A, A B, …
        """
        results = [Result(case.label, case.load.kind, case.load.connections, case.load.expected) for case in cases]
        contenders = {case.contender.name: case.contender for case in cases}
        with self.running(list(contenders.values())) as gunicorns:
            for number in range(1, self.parameters.rounds + 1):
                pairs = list(zip(cases, results, strict=True))
                for case, result in pairs if number % 2 else reversed(pairs):
                    measurement = self.measure(case, gunicorns[case.contender.name])
                    result.rounds.append(measurement)
                    print(
                        f"{name}: round {number} of {self.parameters.rounds}: {case.label}:"
                        f" {measurement.rate(case.load.kind):,.0f}/s, p50 {measurement.p50_ms:.1f} ms,"
                        f" p99 {measurement.p99_ms:.1f} ms {measurement.errors(case.load.expected) or ''}",
                        flush=True,
                    )
        return results

    def measure(self, case: Case, gunicorn: Gunicorn) -> Measurement:
        """Measure a case once and check the stock afterwards."""
        database = self._product_database_of(case.contender)
        if case.prepare:
            self._flush_redis(case.contender)
            case.prepare(database)
        else:
            self.reset(case.contender, case.load.products)
        # The requests of a file can be sent once.
        self._warm_up(gunicorn, TUNING_LOAD if case.load.file else case.load)
        with case.background(gunicorn.url, database):
            before = cpu_seconds_of(self.processes(gunicorn))
            measurement = self.wrk.run(
                gunicorn.url, case.load, self.parameters.seconds, lambda: memory_of(self.processes(gunicorn))
            )
            after = cpu_seconds_of(self.processes(gunicorn))
        measurement.cpu_us = {name: 1e6 * (after[name] - before[name]) / measurement.requests for name in after}
        self._wait_until_idle()
        if case.check_each_round and case.contender.database in self.databases:
            self.databases[case.contender.database].check()
        return measurement

    def _warm_up(self, gunicorn: Gunicorn, load: Load) -> None:
        """Send the load for a while, then wait until the requests that were still in flight have ended."""
        if self.parameters.warm_up_seconds:
            self.wrk.run(gunicorn.url, load, self.parameters.warm_up_seconds)
            self._wait_until_idle()

    def processes(self, gunicorn: Gunicorn) -> dict[int, str]:
        """The names of all server processes behind a contender, by process id."""
        servers = {server.process_id: server.name for server in self._servers.processes if server.process_id}
        return {**servers, **gunicorn.processes()}

    def _tune(self, contender: Contender) -> None:
        """Measure the variants of a contender to find the best one, once per run."""
        if contender.name in self._best:
            return
        variants = contender.variants[: self.parameters.max_variants]
        rates = {}
        for variant in variants if len(variants) > 1 else ():
            self.reset(contender)
            gunicorn = self._gunicorn(contender, variant)
            with self._started({contender.name: gunicorn}):
                self._warm_up(gunicorn, TUNING_LOAD)
                measurement = self.wrk.run(gunicorn.url, TUNING_LOAD, max(1, self.parameters.seconds // 2))
            errors = measurement.errors(TUNING_LOAD.expected)
            rate = measurement.rate("hold")
            rates[variant.name] = 0.0 if errors else rate
            self.check()
            print(f"variants of {contender.name}: {variant.name}: {rate:,.0f}/s {errors or ''}", flush=True)
        best = max(variants, key=lambda variant: rates.get(variant.name, 0.0))
        self._best[contender.name] = best
        if rates:
            ordered = sorted(rates.items(), key=lambda item: -item[1])
            self.tunings.append(Tuning(contender.name, dict(ordered)))

    def _gunicorn(self, contender: Contender, variant: Variant) -> Gunicorn:
        product = self._product_database_of(contender)
        baseline = self.databases.get(contender.database, self.product)
        service_url = self.server.for_account("checkout_app", self.application_password).for_database(product.name)
        baseline_url = self.server.for_database(baseline.name)
        urls = ServerUrls(str(service_url), self._redis_url(contender), str(baseline_url))
        folder = self._servers.folder / "contenders" / "".join(filter(str.isalnum, contender.name))
        return Gunicorn(folder, contender, variant, urls)

    def _product_database_of(self, contender: Contender) -> ProductDatabase:
        """The database of the service of the contender's revision; a baseline gets that of the working tree."""
        database = self.databases.get(contender.database)
        return database if isinstance(database, ProductDatabase) else self.product

    @contextmanager
    def _started(self, gunicorns: dict[str, Gunicorn]) -> Iterator[None]:
        """Run the contenders during the block; all start at once and stop at once."""
        with ThreadPoolExecutor() as pool:
            try:
                list(pool.map(Gunicorn.start, gunicorns.values()))
                self._gunicorns = gunicorns
                yield
            finally:
                self._gunicorns = {}
                list(pool.map(Gunicorn.stop, gunicorns.values()))
