"""Opening a person, or the head of a household: name and numbers in clear.

For the grid staff of the place, its dispatchers and the supervisors, for a reason; who looks, when
and why stands in the record's own audit (``people.looks``).
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.domain.errors import Invalid
from app.domain.identity import Actor
from app.people import looks
from app.registry import contents, queries
from app.registry.kinds import KindSpec
from app.store.crypto import FieldCipher


class NothingPersonal(Invalid):
    """这类记录没有需要查看的个人信息。"""

    code = "nothing_personal"


class LookupUnclear(Invalid):
    """请填写手机号码或身份证号码，二者选一。"""

    code = "lookup_unclear"


async def reveal(
    session: AsyncSession,
    cipher: FieldCipher,
    spec: KindSpec,
    record_id: UUID,
    *,
    reason: str,
    actor: Actor,
    per_day: int,
    now: datetime,
) -> Mapping[str, str | None]:
    """Return the personal members in clear, and write down who looked and why: both or neither.

    Raises:
        NothingPersonal: a house has no name.
        RecordNotFound: it does not exist for this actor.
        looks.ReasonPersonal, looks.RevealBudgetSpent.
    """
    if not spec.personal:
        raise NothingPersonal
    scope = queries.scope_of(actor)
    found = await session.execute(
        text(
            f"SELECT record.personal, record.version FROM {spec.table} AS record"  # noqa: S608
            f" WHERE record.id = :id AND {scope.where} FOR NO KEY UPDATE"
        ),
        {"id": record_id, **scope.values},
    )
    row = found.one_or_none()
    if row is None:
        raise queries.RecordNotFound
    personal = contents.unseal(cipher, spec, record_id, row.personal)
    await looks.look(
        session,
        record_id,
        reason=reason,
        personal=personal.values(),
        facts={"kind": spec.kind.value, "record_version": row.version},
        actor=actor,
        per_day=per_day,
        now=now,
    )
    return personal


async def tell_lookup(
    session: AsyncSession, *, by: str, found: int, actor: Actor, now: datetime
) -> None:
    """Write down that somebody was looked for by their number: in the audit of who looked.

    The number itself is not said, nor who was found.
    """
    await audit.append(
        session,
        actor.id,
        actor=actor,
        action="registry_lookup",
        facts={"by": by, "found": found},
        now=now,
    )
