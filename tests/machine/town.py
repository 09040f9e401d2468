"""The application as the machine drives it: from a thread of its own, on the suite's event loop."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

import asyncpg
import httpx

from app.domain.errors import AppError
from app.domain.identity import SYSTEM, Role
from app.domain.states import Action
from app.requests import service as requests
from app.requests.city import City
from app.requests.forms import Form
from app.requests.steps import STEPS
from app.tables import metadata
from tests.city import REQUESTS, Caller, CityHall
from tests.machine import figures, ledger
from tests.machine.invariants import BROKEN, LATE

# The city itself, and who is in it; everything else is an example's own.
_KEPT = frozenset({
    "units", "sla_policies", "categories", "routing_rules", "routing_rule_sets",
    "calendars", "calendar_days", "grids",
    "residents", "staff", "login_sessions", "login_failures",
})  # fmt: skip
_EMPTIED = sorted(metadata.tables.keys() - _KEPT)
# Rows, not files: to truncate two dozen small tables takes longer than a whole example.
_EMPTY = ";\n".join(f"DELETE FROM {name}" for name in _EMPTIED)
# What no refused step may touch. The keys and counters of the door are not the requests' business.
_WRITTEN = [name for name in _EMPTIED if name not in ("idempotency_keys", "rate_counters")]
_FINGERPRINT = "\nUNION ALL\n".join(
    f"SELECT '{name}', md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} AS t"
    for name in _WRITTEN
)
_PRESENT = """
SELECT requests.id::text, state, version, unit_code, resident_id::text,
  ARRAY(SELECT task.id::text FROM request_co_tasks AS task WHERE task.request_id = requests.id
        ORDER BY asked_at, task.id) AS co_task_ids
FROM requests ORDER BY number
"""
# 回访: which replies are asked after, follows from their ids, and these differ from run to run.
_SAMPLE = """
UPDATE requests SET sampled = true WHERE replied_at IS NOT NULL AND NOT sampled
  AND called_back_at IS NULL AND cycle_no = 1
  AND id = ANY(SELECT id FROM (SELECT id, row_number() OVER (ORDER BY number) AS place
               FROM requests) AS placed WHERE place % 3 <> 0)
"""

# What was done, by whomever, and where it led. What only tells of a follower is no step.
_TAKEN = """
SELECT before, action, state, count(*) FROM (
  SELECT lag(state) OVER (PARTITION BY request_id ORDER BY version) AS before, action, state,
    facts ? 'follower_id' AS of_follower
  FROM request_events) AS step
WHERE of_follower IS NOT TRUE GROUP BY before, action, state
"""

T = TypeVar("T")


class Figures(NamedTuple):
    told: dict[str, list[int]]
    counted: dict[str, list[int]]


class Town:
    """Everything the machine may ask, as plain functions for another thread."""

    def __init__(
        self, hall: CityHall, connection: asyncpg.Connection, callers: Mapping[str, Caller]
    ) -> None:
        self.hall, self.callers = hall, callers
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    @property
    def now(self) -> datetime:
        return self.hall.clock.now

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def begin(self, at: datetime) -> None:
        """Nothing has happened yet, and it is ``at``."""
        self.hall.clock.set(at)
        self._run(self._connection.execute(_EMPTY))

    def later(self, **span: float) -> None:
        self.hall.clock.forward(**span)

    def work(self) -> list[str]:
        """Wake the jobs; returns the requests with a rung that was passed over."""

        async def wake() -> list[str]:
            await self.hall.work("sweep_clocks", "archive_ended", "deliver_outbox")
            return [row[0] for row in await self._connection.fetch(LATE, self.now)]

        return self._run(wake())

    def submit(self, who: str, body: Mapping[str, Any], key: str) -> httpx.Response:
        return self._run(self.callers[who].post(REQUESTS, body, key=key))

    def act(
        self,
        who: str,
        request_id: str,
        action: Action,
        form: Mapping[str, Any],
        *,
        version: int,
        key: str | None = None,
    ) -> httpx.Response:
        return self._run(self._post(who, request_id, action, form, version, key))

    def race(
        self,
        who: Iterable[str],
        request_id: str,
        action: Action,
        form: Mapping[str, Any],
        *,
        version: int,
    ) -> list[httpx.Response]:
        """The same step by several people at once, each with a key of their own."""

        async def all_at_once() -> list[httpx.Response]:
            posts = [self._post(one, request_id, action, form, version, None) for one in who]
            return list(await asyncio.gather(*posts))

        return self._run(all_at_once())

    async def _post(
        self,
        who: str,
        request_id: str,
        action: Action,
        form: Mapping[str, Any],
        version: int,
        key: str | None,
    ) -> httpx.Response:
        return await self.callers[who].post(
            f"{REQUESTS}/{request_id}/actions/{action}",
            dict(form),
            version=version,
            key=key or uuid4().hex,
        )

    def act_as_system(self, request_id: str, action: Action) -> AppError | None:
        """A step of the clockwork itself; returns why not, if it was refused."""
        form_type, _ = STEPS.get(action, (Form, None))
        members = {"note": "到期", "decision": "deny"}
        form = form_type.model_validate(
            {name: value for name, value in members.items() if name in form_type.model_fields}
        )

        async def act() -> AppError | None:
            state = self.hall.app.state
            city = City(state.reference.current, state.grids.current, state.cipher)
            try:
                async with self.hall.db.transaction() as session:
                    await requests.act(
                        session,
                        city,
                        UUID(request_id),
                        action,
                        form,
                        actor=SYSTEM,
                        version=None,
                        now=self.now,
                        job="tried",
                    )
            except AppError as refused:
                return refused
            return None

        return self._run(act())

    def look(self) -> tuple[list[asyncpg.Record], dict[str, str]]:
        """Every request as it is now, and a fingerprint of all that is written."""

        async def look() -> tuple[list[asyncpg.Record], dict[str, str]]:
            await self._connection.execute(_SAMPLE)
            present = await self._connection.fetch(_PRESENT)
            written = await self._connection.fetch(_FINGERPRINT)
            return present, dict(map(tuple, written))

        return self._run(look())

    def broken(self) -> list[str]:
        """The invariants that do not hold, and where."""

        async def look() -> list[str]:
            found = await self._connection.fetch(BROKEN)
            untold = await self._connection.fetch(ledger.UNTOLD)
            entries = await self._connection.fetch(ledger.ENTRIES)
            return [
                *(f"{row['sentence']}: {row['id']} {row['detail']}" for row in found),
                *(f"the audit says what happened: {row[0]} {row[1]}" for row in untold),
                *(f"the chains of the audit hold: {entry}" for entry in ledger.broken(entries)),
            ]

        return self._run(look())

    def figures(self) -> Figures:
        """As the service tells them, and as they are counted one by one."""

        async def look() -> Figures:
            answer = await self.callers["supervisor 1"].get("/api/v1/statistics/satisfaction")
            lives = await self._connection.fetch(figures.LIVES)
            counted = figures.counted(lives, self.now)
            total = answer.json()["total"]
            told = {name: [total[name]["num"], total[name]["den"]] for name in counted}
            return Figures(told, counted)

        return self._run(look())

    def taken(self) -> Counter[tuple[str | None, str, str]]:
        """What was done since the beginning: before, action, after."""
        rows = self._run(self._connection.fetch(_TAKEN))
        return Counter({(row[0], row[1], row[2]): row[3] for row in rows})


async def people(hall: CityHall) -> dict[str, Caller]:
    """Two of everybody who may have to be another person."""
    callers = {name: await hall.as_resident(name) for name in ("甲", "乙")}
    for unit in ("housing", "power_company"):
        callers |= {
            f"handler {unit}": await hall.as_staff(Role.HANDLER, unit=unit),
            f"leader {unit}": await hall.as_staff(Role.UNIT_LEADER, unit=unit),
        }
    for number in (1, 2):
        callers |= {
            f"desk {number}": await hall.as_staff(Role.DISPATCHER, number=number),
            f"supervisor {number}": await hall.as_staff(Role.SUPERVISOR, number=number),
        }
    callers["grid"] = await hall.as_staff(Role.GRID_LEADER)
    callers["auditor"] = await hall.as_staff(Role.AUDITOR)
    return callers
