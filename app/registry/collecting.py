"""Taking what grid staff collected on the spot, perhaps hours ago and without a network.

Each record is answered by itself: taken, confirmed, in conflict with a later writer, or wrong.
What is taken is taken once, however often the phone sends it. All of a batch is one transaction.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import audit_chain, registry
from app.domain.errors import FieldError
from app.domain.identity import Actor
from app.domain.registry import Kind, Outcome
from app.registry import queries
from app.registry.forms import RecordIn, Refused
from app.registry.kinds import SPECS
from app.registry.register import Answer, Register
from app.store.crypto import FieldCipher

_AHEAD = timedelta(minutes=10)  # by which a phone's clock may be fast
_FORGET_AT_ONCE = 5_000

_WAIT = text("SELECT pg_advisory_xact_lock(hashtextextended(:who, 0))")
_TAKEN = text("""
SELECT client_id, digest, outcome, record_id, version FROM registry_collections
WHERE collector_id = :collector_id AND client_id = ANY(CAST(:client_ids AS text[]))
""")
_TAKE = text("""
INSERT INTO registry_collections
  (collector_id, client_id, digest, outcome, record_id, version, taken_at)
SELECT :collector_id, new.*, :now FROM unnest(CAST(:client_ids AS text[]),
  CAST(:digests AS bytea[]), CAST(:outcomes AS text[]), CAST(:record_ids AS uuid[]),
  CAST(:versions AS int[])) AS new
""")
_FORGET = text("""
DELETE FROM registry_collections WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM registry_collections WHERE taken_at < :before LIMIT :most))
""")


# fmt: off
_REPEATED = FieldError("/client_id", "client_id_repeated", "同一批中有两条记录的 client_id 相同")
_REUSED = FieldError("/client_id", "client_id_reused", "这个 client_id 已用于另一条内容不同的记录")
_IN_FUTURE = FieldError("/collected_at", "time_in_future", "采集时间不能晚于现在")
_MINOR = FieldError("/data/id_number", "minor_left_out", "不登记未成年人的信息，请只计入户的人数")
# fmt: on


async def collect(
    session: AsyncSession,
    cipher: FieldCipher,
    records: Sequence[RecordIn | Refused],
    *,
    actor: Actor,
    now: datetime,
) -> list[Answer]:
    """Take a batch; the answers in the order of the records.

    Records may lean on others of the same batch, in whatever order they come.
    """
    await session.execute(_WAIT, {"who": str(actor.id)})  # one phone of one person at a time
    answers = [_first_look(it, now) for it in records]
    digests = [b"" if isinstance(it, Refused) else _digest(cipher, it) for it in records]
    _find_repeated(answers)
    await _find_taken(session, answers, digests, actor)
    waiting = [at for at, it in enumerate(answers) if it.kind is not None and not it.errors]
    waiting = [at for at in waiting if answers[at].outcome is Outcome.INVALID]
    for kind in Kind:
        here = {
            at: record
            for at in waiting
            if answers[at].kind is kind and not isinstance(record := records[at], Refused)
        }
        if here:
            register = Register(session, cipher, SPECS[kind], actor, now)
            await register.take(here, answers)
    await _name_rivals(session, answers)
    done = [at for at in waiting if answers[at].outcome not in (Outcome.INVALID, Outcome.CONFLICT)]
    if done:
        await session.execute(
            _TAKE,
            {
                "collector_id": actor.id,
                "client_ids": [answers[at].client_id for at in done],
                "digests": [digests[at] for at in done],
                "outcomes": [answers[at].outcome.value for at in done],
                "record_ids": [answers[at].id for at in done],
                "versions": [answers[at].version for at in done],
                "now": now,
            },
        )
    return answers


async def forget_old(session: AsyncSession, *, now: datetime, keep: timedelta) -> None:
    """Forget which sendings were taken before ``now - keep``; a job, some thousands at once."""
    await session.execute(_FORGET, {"before": now - keep, "most": _FORGET_AT_ONCE})


def _first_look(record: RecordIn | Refused, now: datetime) -> Answer:
    if isinstance(record, Refused):
        return Answer(record.client_id, errors=list(record.errors))
    answer = Answer(record.client_id, Kind(record.kind), id=record.id)
    if record.collected_at > now + _AHEAD:
        answer.errors.append(_IN_FUTURE)
    id_number = getattr(record.data, "id_number", None)
    if id_number is not None and registry.is_minor(id_number, audit_chain.local_day(now)):
        answer.errors.append(_MINOR)
    return answer


def _digest(cipher: FieldCipher, record: RecordIn) -> bytes:
    """Equal for equal records; keyed, because it is kept and names can be guessed."""
    told = orjson.dumps(record.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
    return cipher.blind_index(hashlib.sha256(told).hexdigest(), place="registry_collections.digest")


def _find_repeated(answers: Sequence[Answer]) -> None:
    seen: set[str] = set()
    for answer in answers:
        if answer.client_id is None or answer.errors:
            continue
        if answer.client_id in seen:
            answer.errors.append(_REPEATED)
        seen.add(answer.client_id)


async def _find_taken(
    session: AsyncSession, answers: Sequence[Answer], digests: Sequence[bytes], actor: Actor
) -> None:
    """Answer again what was taken before."""
    asked = [it.client_id for it in answers if it.client_id is not None and not it.errors]
    found = await session.execute(_TAKEN, {"collector_id": actor.id, "client_ids": asked})
    taken = {row.client_id: row for row in found}
    for answer, digest in zip(answers, digests, strict=True):
        row = taken.get(answer.client_id)
        if row is None or answer.errors:
            continue
        if row.digest != digest:
            answer.errors.append(_REUSED)
            continue
        answer.outcome = Outcome(row.outcome)
        answer.id, answer.version = row.record_id, row.version


async def _name_rivals(session: AsyncSession, answers: Sequence[Answer]) -> None:
    rivals = [it for it in answers if it.rival is not None]
    who = {it.rival.entry.stamp.updated_by for it in rivals if it.rival is not None}
    names = await queries.names_of(session, who) if who else {}
    for it in rivals:
        if it.rival is not None:
            name = names.get(it.rival.entry.stamp.updated_by)
            it.rival = replace(it.rival, updated_by=name)
