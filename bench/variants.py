"""What is run in each round: every variant once for a few seconds, so that all see the same day."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bench import shots
from bench.clocks import Clocks
from bench.fire import Misfire, Sample, fire
from bench.ground import Ground
from bench.people import Caller, People
from bench.pgbench import Pgbench, reference_for_create
from bench.servers import Noop, Service
from bench.shots import Magazine

NOOP, PGBENCH, CREATE = "no-op", "pgbench", "create"
PAGE_ROLES = ("dispatcher", "handler", "resident")
_PGBENCH_DB, _CREATE_DB = "pgbench", "create"
UNDER_LOAD = frozenset({"create", "read", "page"})  # what calls the service
_READ_IDS = 3_000
_WARM_S = 1.0


def read_name(count: int) -> str:
    return f"read one, {_short(count)} rows"


def page_name(count: int, role: str) -> str:
    return f"page of 20, {role}, {_short(count)} rows"


def _short(count: int) -> str:
    if count % 1_000_000 == 0:
        return f"{count // 1_000_000} million"
    return f"{count // 1000} thousand" if count % 1000 == 0 else str(count)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    seconds: float
    connections: int
    residents: int
    rows: Sequence[int]
    only: frozenset[str]
    clocks: int
    due: int


Run = Callable[[float], Sample]


class Stage(AbstractContextManager["Stage"]):
    """Everything that stands ready to be measured, by name, and ``clocks`` if they are asked for.
    Stops its servers at the end."""

    def __init__(self, ground: Ground, plan: Plan, say: Callable[[str], None]) -> None:
        self._ground = ground
        self._plan = plan
        self._say = say
        self._open = ExitStack()
        self.runs: dict[str, Run] = {}
        self.clocks: Clocks | None = None

    def __enter__(self) -> Self:
        try:
            self._set_up()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def _set_up(self) -> None:
        ground, plan = self._ground, self._plan
        self._say("making the demo city")
        people = ground.make_city(plan.residents)
        if plan.only & UNDER_LOAD:
            noop = self._open.enter_context(Noop(ground.folder, workers=ground.workers))
            self.runs[NOOP] = self._firing(shots.noop(noop.port), noop.used_us)
        if "create" in plan.only:
            self._set_up_create(people)
        if plan.only & {"read", "page"}:
            for count in plan.rows:
                self._set_up_rows(count, people)
        if "clocks" in plan.only:
            self.clocks = self._open.enter_context(
                Clocks(ground, people, clock_count=plan.clocks, due_count=plan.due, say=self._say)
            )
        self._say("warming up")
        for run in self.runs.values():
            run(_WARM_S)
        if "create" in plan.only:
            same = [ground.rows_of_a_request(name) for name in (_PGBENCH_DB, _CREATE_DB)]
            if same[0] != same[1]:
                raise Misfire(f"pgbench does not write the same rows: {same}")

    def _set_up_create(self, people: People) -> None:
        ground, plan = self._ground, self._plan
        ground.copy_city(_PGBENCH_DB)
        ground.copy_city(_CREATE_DB)
        given = asyncio.run(
            reference_for_create(
                ground.url(_PGBENCH_DB),
                ground.secret_key,
                clients=plan.connections,
                residents=plan.residents,
            )
        )
        pgbench = Pgbench(ground.url(_PGBENCH_DB), given, ground.database_used_us)
        self.runs[PGBENCH] = lambda seconds: pgbench.run(clients=plan.connections, seconds=seconds)
        service = self._serve(_CREATE_DB)
        create = self._firing(shots.creates(service.port, people), service.used_us)

        def run(seconds: float) -> Sample:
            before = ground.count_requests(_CREATE_DB)
            sample = create(seconds)
            written = ground.count_requests(_CREATE_DB) - before
            # Those under way when the time is up are written and not counted as answered.
            if not sample.done <= written <= sample.done + plan.connections:
                raise Misfire(f"{sample.done} answers of 201, but {written} requests written")
            return sample

        self.runs[CREATE] = run

    def _set_up_rows(self, count: int, people: People) -> None:
        ground, plan, name = self._ground, self._plan, f"rows-{count}"
        self._say(f"filling {count:,} rows")
        ground.copy_city(name)
        ground.fill(name, count, people)
        service = self._serve(name)
        if "read" in plan.only:
            asked = list(_reads(ground.sample(name, people, _READ_IDS), people))
            magazine = Magazine(service.port, asked)
            self.runs[read_name(count)] = self._firing(magazine, service.used_us)
        if "page" in plan.only:
            callers: Mapping[str, Sequence[Caller]] = dict(
                zip(
                    PAGE_ROLES, (people.dispatchers, people.handlers, people.residents), strict=True
                )
            )
            for role, group in callers.items():
                pages = [shots.get("/api/v1/requests?limit=20", one.token) for one in group]
                self.runs[page_name(count, role)] = self._firing(
                    Magazine(service.port, pages), service.used_us
                )

    def _serve(self, name: str) -> Service:
        service = self._open.enter_context(self._ground.serve(name))
        service.wait_until_ready()
        return service

    def _firing(self, magazine: Magazine, server_used_us: Callable[[], float]) -> Run:
        return lambda seconds: fire(
            magazine,
            connections=self._plan.connections,
            seconds=seconds,
            server_used_us=server_used_us,
            database_used_us=self._ground.database_used_us,
        )


def _reads(sampled: Sequence[tuple[str, str | None, str]], people: People) -> Iterator[shots.Shot]:
    """One reading in three each by the resident, the unit's handler, the dispatcher."""
    residents = {resident.id: resident.token for resident in people.residents}
    handlers = {handler.unit_code: handler.token for handler in people.handlers}
    for number, (request_id, unit_code, resident_id) in enumerate(sampled):
        readers = (people.dispatchers[0].token, handlers.get(unit_code))
        token = residents.get(resident_id) or readers[number % 2] or readers[0]
        yield shots.get(f"/api/v1/requests/{request_id}", token)
