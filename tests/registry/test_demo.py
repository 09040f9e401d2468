"""The demo city's registers: always the same, nobody real, in the size that was asked for."""

from typing import Any

import pytest
from sqlalchemy import text

from app.domain.privacy import is_id_number
from app.domain.registry import Kind
from app.grids import demo as demo_city
from app.registry import contents, demo
from app.registry.demo import RegistersNotEmpty
from app.registry.kinds import SPECS
from tests.city import NOW


@pytest.fixture(scope="module")
async def made(hall: Any) -> dict[Kind, int]:
    async with hall.db.transaction() as session:
        return await demo.fill(
            session, hall.app.state.cipher, demo_city.demo_point, share=0.002, now=NOW
        )


async def rows(hall: Any, sql: str) -> list[Any]:
    async with hall.db.transaction() as session:
        return list(await session.execute(text(sql)))


async def test_it_has_the_proportions_of_the_city(hall: Any, made: dict[Kind, int]) -> None:
    assert made == {kind: round(count * 0.002) for kind, count in demo.FULL.items()}
    for kind, count in made.items():
        assert (await rows(hall, f"SELECT count(*) FROM {SPECS[kind].table}"))[0][0] == count
    assert demo.FULL[Kind.HOUSE] == 210_000
    assert demo.FULL[Kind.PERSON] == 430_000
    assert demo.FULL[Kind.HOUSEHOLD] == 150_000


async def test_nobody_in_it_is_real_and_everybody_has_good_numbers(
    hall: Any, made: dict[Kind, int]
) -> None:
    spec, numbers = SPECS[Kind.PERSON], set()
    for row in await rows(hall, "SELECT id, personal FROM registry_persons"):
        said = contents.unseal(hall.app.state.cipher, spec, row.id, row.personal)
        number = said["id_number"] or ""
        assert is_id_number(number)
        assert number.startswith("370299")
        assert int(number[6:10]) < 2003
        assert (said["phone"] or "").startswith("154")
        numbers.add(number)
    assert len(numbers) == made[Kind.PERSON]


async def test_everybody_lives_somewhere_and_every_household_has_one_head(
    hall: Any, made: dict[Kind, int]
) -> None:
    homeless = """SELECT 1 FROM registry_persons AS person WHERE NOT EXISTS (
      SELECT FROM registry_residences AS lives
      WHERE lives.person_id = person.id OR lives.household_id = person.household_id)"""
    assert not await rows(hall, homeless)
    heads = """SELECT household_id FROM registry_persons WHERE relation = 'head'
      GROUP BY 1 HAVING count(*) > 1"""
    assert not await rows(hall, heads)


async def test_it_is_told_once_and_made_once(hall: Any, made: dict[Kind, int]) -> None:
    [entry] = await rows(hall, "SELECT facts FROM audit_entries WHERE action = 'seed_registry'")
    assert entry.facts["person"] == made[Kind.PERSON]
    with pytest.raises(RegistersNotEmpty):
        async with hall.db.transaction() as session:
            await demo.fill(session, hall.app.state.cipher, demo_city.demo_point, now=NOW)
    first = demo._Maker(demo.random.Random(1), ["1"], lambda _: (0, 0), dict(made), NOW.date())
    second = demo._Maker(demo.random.Random(1), ["1"], lambda _: (0, 0), dict(made), NOW.date())
    assert list(first.contents(Kind.PERSON)) == list(second.contents(Kind.PERSON))
