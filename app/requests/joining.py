"""Several people, one problem: 并单, 拆单. A merged request follows its master."""

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain import events, numbering
from app.domain.errors import Invalid
from app.domain.sla import ClockState, Metric
from app.domain.states import OPEN, Action, State
from app.outbox import service as outbox
from app.requests import clocks, views
from app.requests.forms import MergeIn, UnmergeIn
from app.requests.models import SERIALS_PER_BLOCK, CitizenRequest, RequestClock
from app.requests.move import Move, Outcome
from app.store.base import new_id


class MasterUnfit(Invalid):
    """不能并入该诉求：应为未答复、未被并单、保密要求相同的另一件诉求。"""

    code = "merge_target_invalid"


class PartsMissing(Invalid):
    """请填写拆出的各件诉求。"""

    code = "parts_missing"


async def merge(move: Move, form: MergeIn) -> Outcome:
    """Lead what the request was promised over to its master, who answers for both."""
    request = move.request
    master = await move.session.get(CitizenRequest, form.master_id, with_for_update=True)
    if (
        master is None
        or master.id == request.id
        or master.state not in OPEN
        or master.state in (State.REPLIED, State.REOPEN_REVIEW)
        or master.confidential != request.confidential
        or not _in_scope(move, master)
    ):
        raise MasterUnfit
    request.master_id = master.id
    master.followers += 1
    master.version += 1
    await _take_the_earlier_promises(move, master)
    joined = Outcome(master.state, note=form.note, facts={"follower_id": str(request.id)})
    return Outcome(
        State.MERGED,
        note=form.note,
        public_note=f"与 {master.number} 合并办理",
        facts={"master_id": str(master.id)},
        also=((master, joined),),
    )


def _in_scope(move: Move, master: CitizenRequest) -> bool:
    town = move.actor.grid_code
    return town is None or (master.grid_code or "").startswith(town)


async def _take_the_earlier_promises(move: Move, master: CitizenRequest) -> None:
    """The master keeps the earliest contact and reply due of all that follow it."""
    owed = await clocks.of_cycle(move.session, master)
    contact, reply = owed[Metric.CONTACT], owed[Metric.REPLY]
    own_contact, own_reply = move.clocks[Metric.CONTACT], move.clocks[Metric.REPLY]
    both_wait = contact.stopped_at is None and own_contact.stopped_at is None
    if both_wait and own_contact.due_at < contact.due_at:
        clocks.move_due(contact, own_contact.due_at, city=move.city)
        master.contact_due_at = own_contact.due_at
    if reply.stopped_at is None and own_reply.due_at < reply.due_at:
        running = Move(move.session, move.city, master, owed, move.actor, move.now)
        await running.move_reply_due(own_reply.due_at, provisional=move.request.provisional)


async def unmerge(move: Move, form: UnmergeIn) -> Outcome:
    """拆单: a merged request stands by itself again, or one request becomes several."""
    request = move.request
    if request.state is not State.MERGED:
        return await _split(move, form)
    master = await move.session.get(CitizenRequest, request.master_id, with_for_update=True)
    assert master is not None  # noqa: S101 - the foreign key holds it
    master.followers -= 1
    master.version += 1
    left = Outcome(master.state, note=form.note, facts={"follower_id": str(request.id)})
    facts = {"master_id": str(master.id)}
    await run_again(move)
    await move.take_from_unit()
    request.master_id = request.rate_until = request.satisfaction = request.solved = None
    request.said_contacted = None
    return Outcome(State.TRIAGE, note=form.note, facts=facts, also=((master, left),))


async def run_again(move: Move) -> None:
    """The promises were never taken back: they run on from where they started."""
    merged_at = move.request.ended_at or move.now
    told = await clocks.told_of(move.session, move.request)
    for metric in (Metric.CONTACT, Metric.REPLY):
        clock = move.clocks[metric]
        if clock.state is ClockState.CANCELLED:
            if clock.paused_at is not None:
                clocks.resume(clock, merged_at, city=move.city)
            clocks.run_again(clock, city=move.city, told=told.get(metric))
    move.request.reply_due_at = move.clocks[Metric.REPLY].due_at


async def _split(move: Move, form: UnmergeIn) -> Outcome:
    if not form.texts:
        raise PartsMissing
    children = [await _split_off(move, words) for words in form.texts]
    facts = {"split_into": [str(child.id) for child in children]}
    begun = Outcome(State.TRIAGE, facts={"split_from": str(move.request.id)})
    return Outcome(
        move.request.state,
        note=form.note,
        facts=facts,
        also=tuple((child, begun) for child in children),
    )


_INHERITED = (
    "kind", "category_code", "channel", "confidential", "public", "resident_id", "submitted_by",
    "grid_code", "grid_certain", "latitude", "longitude", "location", "policy_code",
    "policy_version", "calendar_version", "submitted_at", "contact_due_at", "reply_due_at",
    "provisional", "contacted_at", "contact_attempts", "diligent_at",
)  # fmt: skip


async def _split_off(move: Move, words: str) -> CitizenRequest:
    """A new request that waits for the desk, with the promises of the one it came from."""
    parent, session, cipher = move.request, move.session, move.city.cipher
    child = CitizenRequest(
        **{name: getattr(parent, name) for name in _INHERITED},
        id=new_id(),
        number=await _next_number(session, move),
        version=1,
        cycle_no=1,
        state=State.TRIAGE,
        text=words,
        routing={
            "rule": None,
            "reasons": [{"code": "split", "text": f"由 {parent.number} 拆出"}],
        },
        returned_units=[],
    )
    child.personal = views.seal(cipher, views.unseal(cipher, parent.personal, parent.id), child.id)
    session.add(child)
    await session.flush()
    for metric in (Metric.CONTACT, Metric.REPLY):
        session.add(_copied(move.clocks[metric], child))
    return child


def _copied(clock: RequestClock, child: CitizenRequest) -> RequestClock:
    values = {column.key: getattr(clock, column.key) for column in RequestClock.__table__.columns}
    return RequestClock(**values | {"request_id": child.id, "cycle_no": child.cycle_no})


async def _next_number(session: AsyncSession, move: Move) -> str:
    block = await session.scalar(text("SELECT nextval('request_number_blocks')"))
    return numbering.request_number(move.today, int(block or 0) * SERIALS_PER_BLOCK)


async def tell_followers(move: Move, action: Action) -> None:
    """The master has come to an end: each follower reads it, and may rate an answer."""
    master = move.request
    followers = await move.session.scalars(
        select(CitizenRequest)
        .where(CitizenRequest.master_id == master.id, CitizenRequest.state == State.MERGED)
        .order_by(CitizenRequest.id)
    )
    happened = []
    for follower in followers:
        follower.rate_until = master.rate_until
        happened.append(
            events.RequestMoved(
                request_id=str(follower.id),
                number=follower.number,
                at=move.now.isoformat(),
                grid_code=follower.grid_code,
                unit_code=master.unit_code,
                resident_id=str(follower.resident_id) if follower.resident_id else None,
                action=action,
                state=State.MERGED,
            )
        )
    await outbox.record(move.session, *happened, now=move.now)
