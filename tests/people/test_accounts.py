import pytest
from sqlalchemy import select

from app.domain.identity import Role
from app.people import queries, service
from app.people.lockout import InvalidCredentials
from app.people.models import Staff
from app.people.passwords import PasswordTooWeak
from app.people.service import NewStaff
from app.people.sessions import Sessions, TokenInvalid, hash_of
from tests.people.clock import NOW


async def test_a_new_password_ends_every_session(db, settings, passwords, hire, enter):
    staff_id = await hire("changer")
    before = await enter("changer")
    async with db.transaction() as session:
        await service.set_password(
            session, staff_id, "another good phrase", passwords=passwords, now=NOW
        )
    with pytest.raises(TokenInvalid):
        await Sessions(db, settings.sessions).read(hash_of(before.token), NOW)
    with pytest.raises(InvalidCredentials):
        await enter("changer")
    assert (await enter("changer", "another good phrase")).token


async def test_a_deactivated_account_is_out_at_once(db, settings, hire, enter):
    staff_id = await hire("leaver")
    before = await enter("leaver")
    async with db.transaction() as session:
        await service.deactivate(session, staff_id, now=NOW)
    with pytest.raises(TokenInvalid):
        await Sessions(db, settings.sessions).read(hash_of(before.token), NOW)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "too_short"),
        ("密" * 400, "too_long"),
        ("Password123456", "too_common"),
        ("qingdao@2026!", "too_common"),
        ("1234567890", "too_common"),
        ("qwertyuiop", "too_common"),
        ("aaaaaaaaaaaa", "too_simple"),
        ("ab" * 8, "too_simple"),
        ("1121121121", "too_simple"),
        ("my clerk.zhao pw", "contains_username"),
    ],
)
async def test_a_weak_password_is_refused_with_its_reason(db, passwords, password, code):
    async with db.transaction() as session:
        found = await session.scalar(select(Staff.id).where(Staff.username == "clerk.zhao"))
        if found is None:
            new = NewStaff("clerk.zhao", "赵六", Role.ADMIN)
            found = await service.create_staff(session, new, now=NOW)
        with pytest.raises(PasswordTooWeak) as refusal:
            await service.set_password(session, found, password, passwords=passwords, now=NOW)
    assert [(wrong.pointer, wrong.code) for wrong in refusal.value.errors] == [("/password", code)]


@pytest.mark.parametrize(
    ("new", "error"),
    [
        (NewStaff("Admin", "某人", Role.ADMIN), service.UsernameInvalid),
        (NewStaff("аdmin", "某人", Role.ADMIN), service.UsernameInvalid),  # a Cyrillic а
        (NewStaff("ａｄｍｉｎ", "某人", Role.ADMIN), service.UsernameInvalid),
        (NewStaff("ab", "某人", Role.ADMIN), service.UsernameInvalid),
        (NewStaff("a" * 41, "某人", Role.ADMIN), service.UsernameInvalid),
        (NewStaff("admin\n", "某人", Role.ADMIN), service.UsernameInvalid),
        (NewStaff("clerk", "某人", Role.RESIDENT), service.StaffPostInvalid),
        (NewStaff("clerk", "某人", Role.SYSTEM), service.StaffPostInvalid),
        (NewStaff("clerk", "某人", Role.HANDLER), service.StaffPostInvalid),
        (NewStaff("clerk", "某人", Role.GRID_LEADER), service.StaffPostInvalid),
    ],
)
async def test_an_account_must_make_sense(db, new, error):
    async with db.transaction() as session:
        with pytest.raises(error):
            await service.create_staff(session, new, now=NOW)


async def test_a_username_is_given_once(db, hire):
    await hire("unique-one")
    with pytest.raises(service.UsernameTaken) as refusal:
        await hire("unique-one")
    assert refusal.value.detail == "用户名：unique-one"


async def test_a_whole_city_of_accounts_is_made_at_once(db, password_hash):
    many = [
        NewStaff(f"leader-{n:04}", f"网格长{n}", Role.GRID_LEADER, grid_code=f"G{n}",
                 password_hash=password_hash)
        for n in range(2_700)
    ]  # fmt: skip
    async with db.transaction() as session:
        ids = await service.create_staff_many(session, many, now=NOW)
        assert len(set(ids)) == 2_700
        found = await queries.staff_around(
            session, unit_codes=[], grid_codes=["G17", "G2699", "elsewhere"]
        )
    leaders = {member.id for member in found if member.role is Role.GRID_LEADER}
    assert leaders == {ids[17], ids[2_699]}


async def test_those_whom_a_request_concerns_are_found(db, hire):
    handler = await hire("find-handler", Role.HANDLER, unit_code="FIND")
    leader = await hire("find-leader", Role.UNIT_LEADER, unit_code="FIND")
    gone = await hire("find-gone", Role.HANDLER, unit_code="FIND")
    city = await hire("find-city", Role.DISPATCHER)
    town = await hire("find-town", Role.DISPATCHER, grid_code="370281001")
    micro = await hire("find-micro", Role.MICRO_GRID_LEADER, grid_code="370281001-M")
    supervisor = await hire("find-supervisor", Role.SUPERVISOR)
    async with db.transaction() as session:
        await service.deactivate(session, gone, now=NOW)

        def ids(members):
            return {member.id for member in members}

        assert ids(await queries.staff_of_unit(session, "FIND")) == {handler, leader}
        assert ids(await queries.staff_of_unit(session, "FIND", [Role.HANDLER])) == {handler}
        around = await queries.staff_around(
            session, unit_codes=["FIND"], grid_codes=["370281001", "370281001-M"]
        )
        assert {handler, leader, town, city, micro, supervisor} <= ids(around)
        assert gone not in ids(around)
        elsewhere = await queries.staff_around(session, unit_codes=[], grid_codes=["370281002"])
        assert ids(elsewhere) >= {city, supervisor}  # whom everything concerns
        assert ids(elsewhere).isdisjoint({handler, leader, town, micro, gone})
        assert ids(await queries.by_role(session, Role.SUPERVISOR)) == {supervisor}
