"""A small audit to be tampered with: chains, the histories beside them, and sealed days.

In memory it is lists; ``stored`` writes the same into a database, where the histories are a table
``steps``. Everything comes from one seed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.inspection import Inspection, KeptDay, Recorded
from app.audit.models import AuditEntry, AuditRoot
from app.domain.audit_chain import (
    Entry,
    SealedDay,
    day_begins,
    link,
    local_day,
    merkle_root,
    seal,
)

FIRST = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
ROLES = ("handler", "unit_leader", "dispatcher", "system")
ACTIONS = ("assign", "sign", "contact", "reply", "rate")
RECORDED = """
SELECT chain, version, action, actor_id, actor_role FROM steps ORDER BY chain, version
"""


@dataclass
class World:
    entries: list[Entry] = field(default_factory=list)
    steps: list[Recorded] = field(default_factory=list)
    days: list[SealedDay] = field(default_factory=list)

    def copy(self) -> "World":
        return World(list(self.entries), list(self.steps), list(self.days))

    def kept(self) -> list[KeptDay]:
        return [KeptDay(day.day, day.entries, day.root, day.hash) for day in self.days]

    def chains(self) -> Iterator[tuple[UUID, list[Entry], list[Recorded]]]:
        entries = sorted(self.entries, key=lambda e: (e.chain, e.seq))
        steps = sorted(self.steps, key=lambda s: (s.chain, s.version))
        of = {chain: list(group) for chain, group in groupby(entries, lambda e: e.chain)}
        histories = {chain: list(group) for chain, group in groupby(steps, lambda s: s.chain)}
        for chain in sorted(of.keys() | histories.keys()):
            yield chain, of.get(chain, []), histories.get(chain, [])

    def inspected(self, kept: list[KeptDay] | None = None) -> Inspection:
        found = Inspection(sorted(self.days, key=lambda d: d.day), kept or [])
        for chain in self.chains():
            found.chain(*chain)
        found.finish()
        return found


def sealed_days(entries: list[Entry]) -> list[SealedDay]:
    """The seals of all days that ``entries`` speak of."""
    in_order = sorted(entries, key=lambda e: (e.chain, e.seq))
    day, last = local_day(min(e.at for e in entries)), local_day(max(e.at for e in entries))
    sealed: list[SealedDay] = []
    while day <= last:
        hashes = [entry.hash for entry in in_order if local_day(entry.at) == day]
        sealed.append(
            seal(
                sealed[-1] if sealed else None,
                day,
                entries=len(hashes),
                root=merkle_root(hashes),
                sealed_at=day_begins(day + timedelta(days=1)) + timedelta(hours=1),
            )
        )
        day += timedelta(days=1)
    return sealed


def world(seed: int = 7, chains: int = 12) -> World:
    """``chains`` requests of a few days, each with steps, looks and reveals; all days sealed."""
    rng = random.Random(seed)
    made = World()
    people = [UUID(int=rng.getrandbits(128)) for _ in range(5)]
    for _ in range(chains):
        chain, at, version = UUID(int=rng.getrandbits(128)), FIRST, 0
        previous: Entry | None = None
        for number in range(rng.randint(2, 9)):
            at += timedelta(seconds=rng.randint(0, 40_000), microseconds=rng.randint(0, 999_999))
            actor, role = rng.choice(people), rng.choice(ROLES)
            if number == 0 or rng.random() < 0.7:
                version += 1
                action = rng.choice(ACTIONS)
                facts = {"version": version, "from": "assigned", "to": "in_progress"}
                made.steps.append(Recorded(chain, version, action, actor, role))
            else:
                action, facts = "reveal", {"reason": "回访核实"}
            previous = link(
                previous,
                chain,
                actor_id=actor,
                actor_role=role,
                action=action,
                facts=facts,
                at=at,
            )
            made.entries.append(previous)
    made.days = sealed_days(made.entries)
    return made


def rechained(entries: list[Entry]) -> list[Entry]:
    """What somebody would write who knows how the hashes are made: all of them anew."""
    made: list[Entry] = []
    for entry in entries:
        previous = made[-1] if made and made[-1].chain == entry.chain else None
        made.append(
            link(
                previous,
                entry.chain,
                actor_id=entry.actor_id,
                actor_role=entry.actor_role,
                action=entry.action,
                facts=entry.said(),
                at=entry.at,
            )
        )
    return made


async def stored(session: AsyncSession, made: World) -> None:
    """Write a world into empty tables."""
    await session.execute(
        text(
            "CREATE TABLE IF NOT EXISTS steps (chain uuid, version int, action text,"
            " actor_id uuid, actor_role text)"
        )
    )
    session.add_all(
        AuditEntry(
            chain=entry.chain,
            seq=entry.seq,
            at=entry.at,
            actor_id=entry.actor_id,
            actor_role=entry.actor_role,
            action=entry.action,
            facts=entry.said(),
            hash=entry.hash,
        )
        for entry in made.entries
    )
    session.add_all(
        AuditRoot(
            day=day.day,
            entries=day.entries,
            root=day.root,
            previous_hash=day.previous_hash,
            hash=day.hash,
            sealed_at=day.sealed_at,
        )
        for day in made.days
    )
    await session.flush()
    for step in made.steps:
        await session.execute(
            text("INSERT INTO steps VALUES (:chain, :version, :action, :actor_id, :actor_role)"),
            {
                "chain": step.chain,
                "version": step.version,
                "action": step.action,
                "actor_id": step.actor_id,
                "actor_role": step.actor_role,
            },
        )


def shifted(entry: Entry, **changes: object) -> Entry:
    return replace(entry, **changes)  # type: ignore[arg-type]


async def disarmed(url: str) -> asyncpg.Connection:
    """A superuser who has switched the triggers off for himself: nothing in the database holds."""
    return await asyncpg.connect(url, server_settings={"session_replication_role": "replica"})
