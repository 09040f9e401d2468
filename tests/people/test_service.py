import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from app.domain.identity import Role
from app.people import service
from app.people.lockout import InvalidCredentials, LoginLocked, network_of
from app.people.models import OPENID_PLACE, LoginFailure, LoginSession, Resident, Staff
from app.people.passwords import PasswordPool
from app.people.service import NewStaff
from app.people.sessions import SessionExpired, Sessions, hash_of
from app.store.session import Database
from tests.people.clock import NOW
from tests.people.conftest import PASSWORD


@pytest.fixture
def enter_resident(db, settings, cipher):
    async def enter(openid, *, now=NOW):
        async with db.transaction() as session:
            return await service.login_resident(
                session, openid, cipher=cipher, sessions=settings.sessions, now=now
            )

    return enter


@pytest.fixture(scope="module")
async def refused(db, password_hash):
    """Three accounts: one in order, one without a password, one that was closed."""
    names = ("someone", "without-password", "inactive")
    new = [NewStaff(name, "王五", Role.AUDITOR, password_hash=password_hash) for name in names]
    new[1] = NewStaff("without-password", "王五", Role.AUDITOR)
    async with db.transaction() as session:
        ids = await service.create_staff_many(session, new, now=NOW)
        await service.deactivate(session, ids[2], now=NOW)


async def fail(enter, username, times, **where):
    for _ in range(times):
        with pytest.raises(InvalidCredentials):
            await enter(username, "wrong password", **where)


# --- residents -----------------------------------------------------------------------------------


async def test_a_resident_is_made_at_the_first_login_and_found_at_the_next(db, enter_resident):
    first = await enter_resident("o-first")
    again = await enter_resident("o-first", now=NOW + timedelta(days=1))
    assert first.account.id == again.account.id
    assert first.token != again.token
    assert first.expires_at == NOW + timedelta(days=7)


async def test_ten_first_logins_at_once_make_one_resident(enter_resident):
    logins = await asyncio.gather(*(enter_resident("o-racer") for _ in range(10)))
    assert len({login.account.id for login in logins}) == 1
    assert len({login.token for login in logins}) == 10


async def test_neither_the_openid_nor_a_token_stands_readable_in_the_database(
    db, enter_resident, cipher
):
    login = await enter_resident("o-secret-openid")
    async with db.transaction() as session:
        resident = await session.get(Resident, login.account.id)
        kept = await session.get(LoginSession, hash_of(login.token))
    assert resident is not None
    assert kept is not None
    assert b"o-secret-openid" not in resident.openid_sealed + resident.openid_index
    assert cipher.decrypt(resident.openid_sealed, place=OPENID_PLACE) == "o-secret-openid"


async def test_a_residents_session_slides_and_then_ends(db, settings, enter_resident):
    token_hash = hash_of((await enter_resident("o-slider")).token)
    sessions = Sessions(db, settings.sessions)
    day = timedelta(days=1)
    assert (await sessions.read(token_hash, NOW + 6 * day)).expires_at == NOW + 13 * day
    assert (await sessions.read(token_hash, NOW + 12 * day)).expires_at == NOW + 19 * day
    with pytest.raises(SessionExpired):
        await sessions.read(token_hash, NOW + 19 * day)


async def test_a_session_is_extended_at_most_once_an_hour(db, settings, enter_resident):
    token_hash = hash_of((await enter_resident("o-hourly")).token)
    sessions = Sessions(db, settings.sessions)
    await sessions.read(token_hash, NOW + timedelta(minutes=59))
    async with db.transaction() as session:
        kept = await session.get(LoginSession, token_hash)
    assert kept is not None
    assert kept.last_seen_at == NOW


# --- staff ---------------------------------------------------------------------------------------


async def test_the_right_password_opens_a_session_for_twelve_hours(db, settings, hire, enter):
    staff_id = await hire("handler.one", Role.HANDLER, unit_code="U1")
    login = await enter("Handler.One")
    assert login.account.id == staff_id
    assert login.account.display_name == "王五"
    sessions = Sessions(db, settings.sessions)
    session = await sessions.read(hash_of(login.token), NOW + timedelta(hours=11))
    assert (session.actor.id, session.actor.role) == (staff_id, Role.HANDLER)
    assert session.actor.unit_code == "U1"
    with pytest.raises(SessionExpired):
        await sessions.read(hash_of(login.token), NOW + timedelta(hours=12))


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("someone", "not the password"),
        ("nobody-has-this-name", PASSWORD),
        ("without-password", PASSWORD),
        ("inactive", PASSWORD),
        ("someone", PASSWORD + "\0"),  # no end of a C string here
        ("someone", PASSWORD + "\0" + "more"),
        ("someone", PASSWORD.upper()),
        ("someone", PASSWORD + " "),
    ],
)
async def test_whatever_is_wrong_the_refusal_is_the_same(refused, enter, username, password):
    with pytest.raises(InvalidCredentials) as refusal:
        await enter(username, password, address=f"198.51.100.{len(password)}")
    assert str(refusal.value) == "用户名或密码不正确。"
    assert (refusal.value.detail, refusal.value.facts) == (None, {})


async def test_five_failures_lock_that_address_and_no_other(hire, enter):
    await hire("victim")
    await fail(enter, "victim", 5, address="203.0.113.66")
    with pytest.raises(LoginLocked) as locked:
        await enter("victim", address="203.0.113.66")
    assert locked.value.retry_after_s == 900
    assert (await enter("victim", address="192.0.2.7")).token
    later = NOW + timedelta(seconds=901)
    assert (await enter("victim", address="203.0.113.66", now=later)).token


async def test_a_success_forgives_the_failures_before_it(hire, enter):
    await hire("forgetful")
    await fail(enter, "forgetful", 4)
    await enter("forgetful")
    await fail(enter, "forgetful", 4)
    assert (await enter("forgetful")).token


async def test_failures_are_forgotten_after_a_quarter_of_an_hour(hire, enter):
    await hire("slow")
    for quarter in range(8):
        await fail(enter, "slow", 1, now=NOW + timedelta(minutes=16 * quarter))
    assert (await enter("slow", now=NOW + timedelta(minutes=16 * 8))).token


async def test_a_name_that_nobody_has_locks_like_any_other(enter):
    await fail(enter, "ghost", 5)
    with pytest.raises(LoginLocked):
        await enter("ghost")


async def test_two_processes_share_the_lock(settings, hire, enter):
    await hire("shared")
    other = Database(settings.database_url, settings.database)
    await other.open()
    try:
        await fail(enter, "shared", 3)
        await fail(enter, "shared", 2, db=other)
        for db in (other, None):
            with pytest.raises(LoginLocked):
                await (enter("shared", db=db) if db else enter("shared"))
    finally:
        await other.close()


async def test_guesses_made_at_the_same_time_are_no_more_than_five(hire, enter):
    await hire("raced")
    outcomes = await asyncio.gather(
        *(enter("raced", f"wrong password {n}") for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, InvalidCredentials) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, LoginLocked) for outcome in outcomes) == 15
    with pytest.raises(LoginLocked):
        await enter("raced")


async def test_the_right_password_ten_times_at_once_opens_ten_sessions(hire, enter):
    await hire("busy")
    logins = await asyncio.gather(*(enter("busy") for _ in range(10)))
    assert len({login.token for login in logins}) == 10


async def test_guessing_from_many_networks_does_not_lock_out_a_network_known_to_the_owner(
    hire, enter
):
    await hire("famous")
    await enter("famous", address="192.0.2.10")
    for host in range(20):
        await fail(enter, "famous", 1, address=f"203.0.113.{host}", login_failures=2)
    with pytest.raises(LoginLocked):
        await enter("famous", address="192.0.2.200", login_failures=2)
    assert (await enter("famous", address="192.0.2.10", login_failures=2)).token


async def test_one_network_cannot_try_one_password_on_every_name(enter):
    for n in range(80):
        await fail(enter, f"spray-{n}", 1, address="203.0.113.200", login_failures=2)
    with pytest.raises(LoginLocked):
        await enter("spray-next", address="203.0.113.200", login_failures=2)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:0DB8:0001:0002:ffff::1", "2001:db8:1:2::"),
        ("local", "local"),
    ],
)
def test_addresses_of_one_customer_are_one_network(address, network):
    assert network_of(address) == network


async def test_a_hash_with_old_parameters_is_replaced_at_the_next_login(db, hire, enter):
    import argon2

    old = argon2.PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(PASSWORD)
    staff_id = await hire("veteran", password_hash=old)
    await enter("veteran")
    async with db.transaction() as session:
        kept = await session.scalar(select(Staff.password_hash).where(Staff.id == staff_id))
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await enter("veteran")


async def test_a_changed_role_takes_effect_within_the_session(db, settings, hire, enter):
    staff_id = await hire("mover", Role.HANDLER, unit_code="U1")
    token_hash = hash_of((await enter("mover")).token)
    async with db.transaction() as session:
        await session.execute(
            update(Staff).where(Staff.id == staff_id).values(role=Role.UNIT_LEADER, unit_code="U2")
        )
    actor = (await Sessions(db, settings.sessions).read(token_hash, NOW)).actor
    assert (actor.role, actor.unit_code) == (Role.UNIT_LEADER, "U2")


async def test_nobody_waits_for_ever_when_everybody_logs_in(password_hash):
    pool = PasswordPool()
    try:
        outcomes = await asyncio.gather(
            *(pool.verify("wrong", password_hash) for _ in range(60)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert len(refused) == 8
        assert {error.code for error in refused} == {"overloaded"}
        assert all(error.retry_after_s for error in refused)
    finally:
        pool.close()


async def test_what_is_long_over_is_forgotten(db, enter_resident, enter):
    await enter_resident("o-old", now=NOW - timedelta(days=60))
    await enter_resident("o-young")
    await fail(enter, "old-failure", 1, now=NOW - timedelta(days=1))
    async with db.transaction() as session:
        assert await service.forget_old_logins(session, now=NOW) >= 2
    async with db.transaction() as session:
        old = LoginSession.expires_at < NOW - timedelta(days=30)
        assert await session.scalar(select(func.count()).where(old)) == 0
        assert await session.scalar(select(func.count()).where(LoginFailure.ends_at < NOW)) == 0
        assert await service.forget_old_logins(session, now=NOW) == 0
