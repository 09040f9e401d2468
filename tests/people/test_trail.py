"""What the audit is told of accounts and log-ins: each once, in the account's chain, in codes."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.audit import queries as audit
from app.domain.audit_chain import Entry, chain_of, verify_chain
from app.domain.identity import SYSTEM, Actor, Role
from app.people import lockout, service
from app.people.lockout import InvalidCredentials, LoginLocked
from app.people.service import NewStaff, UsernameTaken
from app.people.sessions import Sessions, hash_of, spoken_of
from tests.city import counted_queries
from tests.people.clock import NOW

ADMIN = Actor(SYSTEM.id, Role.ADMIN)


async def told(db, chain) -> list[Entry]:
    entries = await audit.of_chain(db, chain)
    assert verify_chain(entries) is None
    return list(entries)


async def actions(db, chain) -> list[str]:
    return [entry.action for entry in await told(db, chain)]


async def fail(enter, username, times, **where):
    for _ in range(times):
        with pytest.raises(InvalidCredentials):
            await enter(username, "wrong password", **where)


async def count(db) -> int:
    async with db.transaction() as session:
        return await session.scalar(text("SELECT count(*) FROM audit_entries"))


# --- accounts ------------------------------------------------------------------------------------


async def test_an_account_is_told_by_its_post_and_by_nothing_of_the_person(db, hire):
    staff_id = await hire("told.one", Role.HANDLER, unit_code="U1", display_name="欧阳小明")
    [entry] = await told(db, staff_id)
    assert (entry.action, entry.actor_id, entry.actor_role) == ("create_staff", SYSTEM.id, "system")
    assert entry.at == NOW
    assert entry.said() == {"role": "handler", "unit": "U1", "grid": None, "password": True}


async def test_accounts_made_together_have_a_chain_each(db):
    new = [NewStaff(f"many-{n}", "王五", Role.AUDITOR) for n in range(2_100)]
    async with db.transaction() as session:
        ids = await service.create_staff_many(session, new, actor=ADMIN, now=NOW)
    for staff_id in (ids[0], ids[1_999], ids[2_000], ids[-1]):
        [entry] = await told(db, staff_id)
        assert entry.actor_role == "admin"
        assert entry.said()["password"] is False


async def test_an_account_that_was_not_made_is_not_told(db, hire):
    await hire("told.twice")
    before = await count(db)
    with pytest.raises(UsernameTaken):
        await hire("told.twice")
    assert await count(db) == before


async def test_a_new_password_and_the_end_are_told_by_whom(db, passwords, hire):
    staff_id = await hire("told.changed")
    async with db.transaction() as session:
        await service.set_password(
            session, staff_id, "another good phrase", passwords=passwords, actor=ADMIN, now=NOW
        )
        await service.deactivate(session, staff_id, now=NOW)
    _, password, end = await told(db, staff_id)
    assert (password.action, password.actor_role, password.said()) == (
        "set_password",
        "admin",
        {"epoch": 1},
    )
    assert (end.action, end.actor_role, end.said()) == ("deactivate", "system", {"epoch": 2})


async def test_nobody_unknown_is_closed(db):
    before = await count(db)
    with pytest.raises(service.StaffUnknown):
        async with db.transaction() as session:
            await service.deactivate(session, SYSTEM.id, now=NOW)
    assert await count(db) == before


# --- staff logging in and out --------------------------------------------------------------------


async def test_a_log_in_and_its_end_are_told_and_belong_together(db, settings, hire, enter):
    staff_id = await hire("told.in")
    login = await enter("told.in", address="203.0.113.77")
    token_hash = hash_of(login.token)
    await Sessions(db, settings.sessions).revoke(token_hash, NOW + timedelta(hours=1))
    _, begin, end = await told(db, staff_id)
    session = {"session": spoken_of(token_hash)}
    assert (begin.action, begin.at, begin.said()) == ("log_in", NOW, session)
    assert (end.action, end.at, end.said()) == ("log_out", NOW + timedelta(hours=1), session)
    for entry in (begin, end):
        assert (entry.actor_id, entry.actor_role) == (staff_id, "auditor")
        assert "203.0.113" not in entry.facts
        assert login.token not in entry.facts


async def test_a_session_ends_once(db, settings, hire, enter):
    staff_id = await hire("told.ended")
    token_hash = hash_of((await enter("told.ended")).token)
    sessions = [Sessions(db, settings.sessions) for _ in range(5)]
    await asyncio.gather(*(one.revoke(token_hash, NOW) for one in sessions))
    await sessions[0].revoke(hash_of("of nobody"), NOW)
    assert await actions(db, staff_id) == ["create_staff", "log_in", "log_out"]


async def test_ten_log_ins_at_once_are_ten_entries_of_one_chain(db, hire, enter):
    staff_id = await hire("told.busy")
    logins = await asyncio.gather(*(enter("told.busy") for _ in range(10)))
    _, *entries = await told(db, staff_id)
    assert [entry.seq for entry in entries] == list(range(2, 12))
    assert {entry.said()["session"] for entry in entries} == {
        spoken_of(hash_of(login.token)) for login in logins
    }


async def test_a_log_in_is_two_statements(db, hire, enter):
    await hire("told.fast")
    await enter("told.fast")
    with counted_queries(db) as sent:
        await enter("told.fast")
    assert len(sent) == 2
    with counted_queries(db) as sent:
        await fail(enter, "told.fast", 1)
    assert len(sent) == 2


async def test_a_log_in_of_a_sealed_day_is_told_on_the_first_day_that_is_not(db, hire, enter):
    staff_id = await hire("told.late")
    async with db.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO audit_roots VALUES"
                " ('2026-03-03', 0, sha256(''), sha256(''), sha256(''), now())"
            )
        )
    await enter("told.late")
    entry = (await told(db, staff_id))[-1]
    assert entry.at.isoformat() == "2026-03-03T16:00:00+00:00"
    async with db.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text("DELETE FROM audit_roots"))


# --- closed doors --------------------------------------------------------------------------------


async def test_a_wrong_password_is_told_when_it_closes_a_door(db, hire, enter):
    staff_id = await hire("told.locked")
    await fail(enter, "told.locked", 4, address="203.0.113.1")
    assert await actions(db, staff_id) == ["create_staff"]
    await fail(enter, "told.locked", 1, address="203.0.113.1")
    for _ in range(3):
        with pytest.raises(LoginLocked):
            await enter("told.locked", address="203.0.113.1")
    _, entry = await told(db, staff_id)
    assert (entry.action, entry.actor_role) == ("login_locked", "system")
    assert entry.said() == {
        "doors": ["name_and_network"],
        "until": (NOW + timedelta(minutes=15)).isoformat(),
    }


async def test_two_doors_that_close_at_once_are_one_entry(db, hire, enter):
    staff_id = await hire("told.doors")
    for host in range(10):
        await fail(enter, "told.doors", 1, address=f"203.0.113.{100 + host}", login_failures=1)
    *_, last = entries = (await told(db, staff_id))[1:]
    assert len(entries) == 10
    assert {tuple(entry.said()["doors"]) for entry in entries[:-1]} == {("name_and_network",)}
    assert last.said()["doors"] == ["name_and_network", "name"]


async def test_guesses_at_once_close_the_door_once(db, hire, enter):
    staff_id = await hire("told.raced")
    await asyncio.gather(
        *(enter("told.raced", f"wrong password {n}", address="203.0.113.9") for n in range(12)),
        return_exceptions=True,
    )
    assert await actions(db, staff_id) == ["create_staff", "login_locked"]


async def test_a_name_that_nobody_has_is_told_without_the_name(db, cipher, settings, enter):
    await fail(enter, "told.ghost", 5, address="203.0.113.44")
    keys = lockout.Keys.of("told.ghost", "203.0.113.44", cipher, settings.limits)
    [entry] = await told(db, keys.stranger)
    assert entry.action == "login_locked"
    assert keys.stranger != chain_of("login:told.ghost")
    async with db.transaction() as session:
        rows = await session.scalars(text("SELECT entry::text FROM audit_entries AS entry"))
        assert not [row for row in rows if "told." in row or "203.0.113" in row]


# --- residents -----------------------------------------------------------------------------------


async def test_of_a_resident_the_account_is_told_and_not_its_use(db, settings, cipher):
    async def log_in():
        async with db.transaction() as session:
            return await service.login_resident(
                session, "o-told", cipher=cipher, sessions=settings.sessions, now=NOW
            )

    first, *_ = [await log_in() for _ in range(3)]
    await Sessions(db, settings.sessions).revoke(hash_of(first.token), NOW)
    [entry] = await told(db, first.account.id)
    assert (entry.action, entry.actor_id, entry.actor_role, entry.facts) == (
        "create_resident",
        first.account.id,
        "resident",
        "{}",
    )


async def test_ten_first_log_ins_at_once_tell_of_one_resident(db, settings, cipher):
    async def log_in():
        async with db.transaction() as session:
            return await service.login_resident(
                session, "o-told-raced", cipher=cipher, sessions=settings.sessions, now=NOW
            )

    logins = await asyncio.gather(*(log_in() for _ in range(10)))
    assert await actions(db, logins[0].account.id) == ["create_resident"]
