"""The houses of the register, as the audit of the grids sees them."""

from uuid import UUID, uuid4

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.registry import HouseUse, Source, Tenure
from app.registry import dwellings
from app.registry.models import House, Household, Residence
from app.store.session import Database
from tests.grids.town import GRIDS, NOW, days


async def add(session: AsyncSession, model: type, **columns: object) -> UUID:
    id_ = uuid4()
    common = {"grid_code": GRIDS[0], "source": next(iter(Source)), "updated_by": uuid4()}
    values = {"id": id_, **common, "updated_at": NOW, **columns}
    await session.execute(insert(model), values)
    return id_


async def house(session: AsyncSession, latitude: float | None, **columns: object) -> UUID:
    place = {"latitude": latitude, "longitude": 120.001, "address": "一号"}
    return await add(session, House, use=next(iter(HouseUse)), **place, **columns)


async def test_houses_with_a_point_come_with_the_households_that_live_there_now(db: Database):
    async with db.sessions() as session:
        here = await house(session, 36.205)
        await house(session, None)
        await house(session, 36.207, active=False)
        await house(session, 36.206, grid_code="370281002601001")
        for until in (None, None, days(-1).date()):
            household = await add(session, Household)
            await session.execute(
                insert(Residence),
                {
                    "id": uuid4(),
                    "house_id": here,
                    "household_id": household,
                    "tenure": next(iter(Tenure)),
                    "until": until,
                },
            )
        every = await dwellings.below(session, None)
        (found,) = await dwellings.below(session, GRIDS[0][:9])
        await session.rollback()
    assert {it.latitude: it.households for it in every} == {36.205: 2, 36.206: 0}
    assert (found.id, found.latitude, found.longitude) == (str(here), 36.205, 120.001)
