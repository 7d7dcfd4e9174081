"""Where a run takes place: servers, databases, contenders, and the act of measuring one beside the other."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis

from bench.contenders import Address, Contender, Gunicorn, Variant
from bench.database import PLENTY, ClientSideDatabase, Database, ProductDatabase
from bench.load import Load, Measurement, Memory, Wrk, memory_of
from bench.revision import HERE, Revision
from stack.mysql import MysqlUrl
from stack.servers import Servers

SWEEP_LOAD = Load("hold")
AGAINST = "against"  # the other revision's database
AGAINST_REDIS_DATABASE = 1


class NotDurable(Exception):
    """MySQL runs without one of the settings that a figure presumes."""


@dataclass(frozen=True)
class Pace:
    """How long and how large: the whole measurement, or a quick look."""

    rounds: int = 3
    seconds: int = 5
    warm_up_seconds: int = 1
    sweep_variants: int | None = None
    connections: tuple[int, ...] = (16, 64, 256, 1024, 2048, 4096)
    old_rows: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)
    due_holds: int = 1_000_000
    batch_sizes: tuple[int, ...] = (1, 16, 64, 256, 1_000)


@dataclass(frozen=True)
class Entry:
    """What one line of a scenario measures.

    `prepare` empties or fills the contender's database before each round, else it is emptied; `beside` runs during the
    round, and gets the contender's URL and database.
    """

    label: str
    contender: Contender
    load: Load
    prepare: Callable[[ProductDatabase], None] | None = None
    beside: Callable[[str, ProductDatabase], AbstractContextManager[None]] = lambda _url, _database: nullcontext()

    def at(self, revision: Revision) -> "Entry":
        """The same of another revision, on that revision's database."""
        name = f"{self.contender.name} at {revision.name}"
        contender = replace(self.contender, name=name, database=AGAINST, revision=revision)
        return replace(self, label=f"{self.label} at {revision.name}", contender=contender)


@dataclass
class Figure:
    """The rounds of one entry."""

    label: str
    kind: str
    connections: int
    expected: frozenset[str]
    rounds: list[Measurement] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """A second's work, by round."""
        return [measurement.rate(self.kind) for measurement in self.rounds]

    @property
    def rate(self) -> float:
        """The median."""
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
    def errors(self) -> dict[str, int]:
        """Of all rounds; a figure with any is invalid."""
        errors: dict[str, int] = {}
        for measurement in self.rounds:
            for status, count in measurement.errors(self.expected).items():
                errors[status] = errors.get(status, 0) + count
        return errors

    @property
    def memory(self) -> list[Memory]:
        """The round in which the processes were largest."""
        return max((measurement.memory for measurement in self.rounds), key=lambda all_: sum(m.rss_mib for m in all_))


@dataclass
class Sweep:
    """A contender's variants, best first, with their rates."""

    contender: str
    rates: dict[str, float]


class Stage:
    """The servers and databases of a run; `against` is the other revision to compare the service with, if any."""

    def __init__(
        self, servers: Servers, pace: Pace, application_password: str, against: Revision | None = None
    ) -> None:
        """Make the databases anew."""
        self.pace = pace
        self.against = against
        self.sweeps: list[Sweep] = []
        self.wrk = Wrk()
        self.server = MysqlUrl.parse(servers.mysql_url)
        self.product = ProductDatabase(self.server, "bench")
        self._servers = servers
        self.folder = servers.folder
        self._password = application_password
        self.databases: dict[str, Database] = {
            "product": self.product,
            "client_side": ClientSideDatabase(self.server, "bench_client_side"),
        }
        if against:
            self.databases[AGAINST] = ProductDatabase(self.server, "bench_against", against)
        self._best: dict[str, Variant] = {}
        self._gunicorns: dict[str, Gunicorn] = {}  # that run now

    def settings(self) -> dict[str, str]:
        """What of MySQL's settings bears on speed; raises NotDurable."""
        names = (
            *("version", "sync_binlog", "innodb_flush_log_at_trx_commit", "log_bin", "innodb_doublewrite"),
            *("innodb_buffer_pool_size", "innodb_redo_log_capacity", "event_scheduler"),
        )
        (values,) = self.product.execute("SELECT " + ", ".join(f"@@GLOBAL.{name}" for name in names))
        settings = {name: str(value) for name, value in zip(names, values, strict=True)}
        for name in ("sync_binlog", "innodb_flush_log_at_trx_commit", "log_bin"):
            if settings[name] != "1":
                raise NotDurable(f"{name} is {settings[name]}: figures are of a durable server")
        return settings

    def close(self) -> None:
        """Drop the databases."""
        for database in self.databases.values():
            database.drop()

    def say(self, text: str) -> None:
        """Show progress."""
        print(text, flush=True)

    def reset(self, contender: Contender, products: int = 1, stock: int = PLENTY) -> None:
        """Leave nothing but so many products with so much stock each, in a contender's database and in its Redis."""
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
        """A revision other than this one has a logical database of its own."""
        url = self._servers.redis_url
        if contender.revision is HERE:
            return url
        parts = urlsplit(url)
        return parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), "db": AGAINST_REDIS_DATABASE})).geturl()

    def check(self) -> None:
        """Wait until every request has ended; raise BrokenStock unless every unit of every database is in one place."""
        self._settle()
        for database in self.databases.values():
            database.check()

    def _settle(self) -> None:
        self.product.settle(lambda: all(gunicorn.is_idle() for gunicorn in self._gunicorns.values()))

    @contextmanager
    def running(self, contenders: Sequence[Contender]) -> Iterator[dict[str, Gunicorn]]:
        """Each contender under its best variant, stopped with the block; idle ones cost nothing."""
        for contender in contenders:
            self._sweep(contender)
        gunicorns = {contender.name: self._gunicorn(contender, self._best[contender.name]) for contender in contenders}
        with self._started(gunicorns):
            yield gunicorns

    def compare(self, name: str, entries: Sequence[Entry]) -> list[Figure]:
        """Measure the entries in turn, there and back (A B B A A B …); stock is checked after every one."""
        figures = [_figure(entry) for entry in entries]
        contenders = {entry.contender.name: entry.contender for entry in entries}
        with self.running(list(contenders.values())) as gunicorns:
            for number in range(1, self.pace.rounds + 1):
                turns = list(zip(entries, figures, strict=True))
                for entry, figure in turns if number % 2 else reversed(turns):
                    measurement = self._measure(entry, gunicorns[entry.contender.name])
                    figure.rounds.append(measurement)
                    self.say(
                        f"{name}: round {number} of {self.pace.rounds}: {entry.label}:"
                        f" {measurement.rate(entry.load.kind):,.0f}/s, p50 {measurement.p50_ms:.1f} ms,"
                        f" p99 {measurement.p99_ms:.1f} ms {measurement.errors(entry.load.expected) or ''}"
                    )
        return figures

    def _measure(self, entry: Entry, gunicorn: Gunicorn) -> Measurement:
        database = self._product_of(entry.contender)
        if entry.prepare:
            self._flush_redis(entry.contender)
            entry.prepare(database)
        else:
            self.reset(entry.contender, entry.load.products)
        self._warm_up(gunicorn, entry.load)
        with entry.beside(gunicorn.url, database):
            measurement = self.wrk.run(
                gunicorn.url, entry.load, self.pace.seconds, lambda: memory_of(self.processes(gunicorn))
            )
        self.check()
        return measurement

    def _warm_up(self, gunicorn: Gunicorn, load: Load) -> None:
        """Send for a while, then wait until what was left unanswered has been worked off."""
        if self.pace.warm_up_seconds:
            self.wrk.run(gunicorn.url, load, self.pace.warm_up_seconds)
            self._settle()

    def processes(self, gunicorn: Gunicorn) -> dict[int, str]:
        """All that serves a contender, by process id."""
        servers = {int(Path(self._servers.folder, name, "pid").read_text()): name for name in ("mysql", "redis")}
        return {**servers, **gunicorn.processes()}

    def _sweep(self, contender: Contender) -> None:
        """Find the best variant of a contender, once a run."""
        if contender.name in self._best:
            return
        variants = contender.variants[: self.pace.sweep_variants]
        rates = {}
        for variant in variants if len(variants) > 1 else ():
            self.reset(contender)
            gunicorn = self._gunicorn(contender, variant)
            with self._started({contender.name: gunicorn}):
                self._warm_up(gunicorn, SWEEP_LOAD)
                measurement = self.wrk.run(gunicorn.url, SWEEP_LOAD, max(1, self.pace.seconds // 2))
            errors = measurement.errors(SWEEP_LOAD.expected)
            rates[variant.name] = 0.0 if errors else measurement.rate("hold")
            self.check()
            self.say(f"sweep of {contender.name}: {variant.name}: {measurement.rate('hold'):,.0f}/s {errors or ''}")
        best = max(variants, key=lambda variant: rates.get(variant.name, 0.0))
        self._best[contender.name] = best
        if rates:
            ordered = sorted(rates.items(), key=lambda item: -item[1])
            self.sweeps.append(Sweep(contender.name, dict(ordered)))

    def _gunicorn(self, contender: Contender, variant: Variant) -> Gunicorn:
        own = self.databases.get(contender.database, self.product)
        product = self._product_of(contender)
        service_url = replace(self.server, user="checkout_app", password=self._password, database=product.name)
        baseline_url = replace(self.server, database=own.name)
        address = Address(str(service_url), self._redis_url(contender), str(baseline_url))
        folder = self._servers.folder / "contenders" / "".join(filter(str.isalnum, contender.name))
        return Gunicorn(folder, contender, variant, address)

    def _product_of(self, contender: Contender) -> ProductDatabase:
        """The database that a service uses; this revision's for a baseline, whose settings ask for one."""
        own = self.databases.get(contender.database)
        return own if isinstance(own, ProductDatabase) else self.product

    @contextmanager
    def _started(self, gunicorns: dict[str, Gunicorn]) -> Iterator[None]:
        """Start them together and stop them together, whatever happens."""
        with ThreadPoolExecutor() as pool:
            try:
                list(pool.map(Gunicorn.start, gunicorns.values()))
                self._gunicorns = gunicorns
                yield
            finally:
                self._gunicorns = {}
                list(pool.map(Gunicorn.stop, gunicorns.values()))


def _figure(entry: Entry) -> Figure:
    return Figure(entry.label, entry.load.kind, entry.load.connections, entry.load.expected)
