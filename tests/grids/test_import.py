"""Importing boundaries: what is refused and why, what is taken, and who hears of it."""

import copy
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import AuditEntry
from app.domain.geometry import CoordSys, distance_m, to_bd09, to_gcj02
from app.grids import service
from app.grids.boundary_file import BoundaryFileRefused
from app.grids.kinds import GridLevel
from app.grids.models import GridRow
from app.grids.service import ImportCounts
from app.store.session import Database
from tests.grids.shapes import COMMUNITY, GRID, TOWN, document, feature, square

SHARED = Path(__file__).parents[3] / "shared" / "data" / "boundaries"
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
NAN, INFINITY = float("nan"), float("inf")


def shared(name: str) -> dict:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the reference data folder is not here: {name}")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
async def session(db: Database) -> AsyncIterator[AsyncSession]:
    async with db.sessions() as session:
        yield session
        await session.rollback()


async def towns(session: AsyncSession, content: object, **changes: object) -> ImportCounts:
    options = {"coord_sys": CoordSys.WGS84, "level": GridLevel.TOWN, "now": NOW, **changes}
    return await service.import_geojson(session, content, **options)


BOW_TIE = [[[120.0, 36.2], [120.01, 36.21], [120.01, 36.2], [120.0, 36.21], [120.0, 36.2]]]
TWICE_THE_SAME = [square(), square()]


def moved(longitude: object, latitude: object) -> list:
    """A square with one spoilt corner."""
    rings = copy.deepcopy(square())
    rings[0][2] = [longitude, latitude]
    return rings


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (feature(coordinates=BOW_TIE), "geojson_self_crossing"),
        (feature(coordinates=TWICE_THE_SAME, kind="MultiPolygon"), "geojson_self_crossing"),
        (feature(coordinates=[]), "geojson_empty"),
        (feature(coordinates=[[]]), "geojson_empty"),
        (feature(coordinates=[], kind="MultiPolygon"), "geojson_empty"),
        (feature(coordinates="36.2,120.0"), "geojson_empty"),
        (feature(coordinates=[[[120.0, 36.2]] * 4]), "geojson_self_crossing"),
        (feature(coordinates=[square()[0][:3]]), "geojson_ring_short"),
        (feature(coordinates=[square()[0][:4]]), "geojson_ring_open"),
        (feature(coordinates=moved(NAN, 36.21)), "geojson_not_finite"),
        (feature(coordinates=moved(120.0, INFINITY)), "geojson_not_finite"),
        (feature(coordinates=moved(10**400, 36.21)), "geojson_not_finite"),
        (feature(coordinates=moved("120.0", 36.21)), "geojson_position"),
        (feature(coordinates=moved(True, 36.21)), "geojson_position"),
        (feature(coordinates=[[[120.0], *square()[0][1:]]]), "geojson_position"),
        (feature(coordinates=[[None, *square()[0][1:]]]), "geojson_position"),
        (feature(coordinates=moved(36.21, 120.01)), "geojson_swapped"),
        (feature(coordinates=square(west=-0.13, south=51.5)), "geojson_outside_china"),
        (feature(coordinates=square(west=13_361_000.0)), "geojson_not_finite"),
        (feature(coordinates=[120.0, 36.2], kind="Point"), "geojson_geometry_type"),
        (feature(kind="GeometryCollection"), "geojson_geometry_type"),
        ({**feature(), "geometry": None}, "geojson_geometry_missing"),
        ({**feature(), "properties": None}, "geojson_properties"),
        ({"type": "Polygon", "coordinates": square()}, "geojson_not_a_feature"),
        (None, "geojson_not_a_feature"),
        (feature(code=""), "geojson_code_missing"),
        (feature(code=370281001), "geojson_code"),  # type: ignore[arg-type]
        (feature(code="３７０２８１００１"), "geojson_code"),
        (feature(code=COMMUNITY), "geojson_code"),
        (feature(code="3702"), "geojson_code"),
        (feature(name=" "), "geojson_name"),
        (feature(name="阜安\n街道"), "geojson_name"),
        (feature(name="街" * 61), "geojson_name"),
        (feature(code="370281000"), "geojson_code"),
        (feature(parent="370211"), "geojson_parent"),
        (feature(coordinates=[[[*spot, NAN] for spot in square()[0]]]), "geojson_not_finite"),
        (feature(coordinates=[[[*spot, "5"] for spot in square()[0]]]), "geojson_position"),
        (feature(coordinates=[[[*spot, 5, 6] for spot in square()[0]]]), "geojson_position"),
        (feature(kind="LineString"), "geojson_geometry_type"),
        (feature(predecessors="370281"), "geojson_predecessors"),
        (feature(predecessors=[370281002]), "geojson_predecessors"),
        (feature(predecessors=["370281009"]), "geojson_predecessor_unknown"),
    ],
)
async def test_a_wrong_feature_is_named_and_nothing_is_imported(session, wrong, code):
    good = feature(code="370281002", name="中云街道", coordinates=square(west=120.1))
    with pytest.raises(BoundaryFileRefused) as refusal:
        await towns(session, document(good, wrong))
    (error,) = refusal.value.errors
    assert (error.code, error.pointer) == (code, "/features/1")
    assert error.message.startswith("第2个要素")
    assert error.message in (refusal.value.detail or "")
    assert await session.scalar(select(GridRow.code)) is None


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "FeatureCollection",
        feature(),
        {"type": "FeatureCollection"},
        {"type": "FeatureCollection", "features": {}},
        document(),
        document({**feature(code="370281"), "geometry": None}),
        document(feature(), crs={"type": "name", "properties": {"name": "EPSG:3857"}}),
        document(feature(), crs="EPSG:4326"),
    ],
)
async def test_a_document_that_is_none_is_refused(session, content):
    with pytest.raises(BoundaryFileRefused):
        await towns(session, content)


async def test_a_document_in_wgs84_is_not_taken_for_gcj02(session):
    content = document(feature(), crs={"properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}})
    with pytest.raises(BoundaryFileRefused, match="不一致"):
        await towns(session, content, coord_sys=CoordSys.GCJ02)
    assert await towns(session, content, coord_sys=CoordSys.CGCS2000)


async def test_all_faults_are_told_at_once(session):
    content = document(feature(), feature(), feature(code="370281002", coordinates=BOW_TIE))
    with pytest.raises(BoundaryFileRefused) as refusal:
        await towns(session, content)
    assert [error.code for error in refusal.value.errors] == [
        "geojson_code_twice",
        "geojson_self_crossing",
    ]
    assert "第2个要素（370281001 阜安街道）：编码与第1个要素重复" in str(refusal.value.detail)


async def test_a_parent_must_be_there(session):
    content = document(feature(code=COMMUNITY, name="福安新村"))
    with pytest.raises(BoundaryFileRefused, match=r"福安新村）：上级 370281001 不存在"):
        await towns(session, content, level=GridLevel.COMMUNITY)
    await towns(session, document(feature()))
    await towns(session, content, level=GridLevel.COMMUNITY)
    assert (
        await session.scalar(select(GridRow.parent_code).where(GridRow.code == COMMUNITY)) == TOWN
    )
    grid = document(feature(code=GRID, name="第1网格", parent_code=COMMUNITY))
    assert (await towns(session, grid, level=GridLevel.GRID)).created == 1


async def test_a_cycle_of_parents_is_told_by_its_codes(session):
    one, two = feature(parent="370281002"), feature(code="370281002", parent=TOWN)
    with pytest.raises(BoundaryFileRefused, match="形成循环：370281001 → 370281002 → 370281001"):
        await towns(session, document(one, two))
    with pytest.raises(BoundaryFileRefused, match="形成循环：370281001 → 370281001"):
        await towns(session, document(feature(parent=TOWN)))


async def test_nothing_is_put_below_a_closed_place(session):
    await towns(session, document(feature()))
    (await session.get_one(GridRow, TOWN)).active = False
    content = document(feature(code=COMMUNITY, name="福安新村"))
    with pytest.raises(BoundaryFileRefused, match="已关闭"):
        await towns(session, content, level=GridLevel.COMMUNITY)


async def test_importing_again_changes_only_what_differs(session):
    both = [feature(), feature(code="370281002", name="中云街道", coordinates=square(west=120.1))]
    assert await towns(session, document(*both)) == ImportCounts(2, 0, 0, 0)
    assert await towns(session, document(*both), now=LATER) == ImportCounts(0, 0, 2, 0)
    both[1]["properties"]["name"] = "中云新街道"
    assert await towns(session, document(*both), now=LATER) == ImportCounts(0, 1, 1, 0)
    first, second = (await session.scalars(select(GridRow).order_by(GridRow.code))).all()
    assert (first.updated_at, first.created_at) == (NOW, NOW)
    assert (second.updated_at, second.created_at) == (LATER, NOW)
    assert second.name == "中云新街道"


async def test_a_closed_place_that_comes_again_is_open(session):
    await towns(session, document(feature()))
    town = await session.get_one(GridRow, TOWN)
    town.active = False
    assert (await towns(session, document(feature()))).updated == 1
    await session.refresh(town)
    assert town.active


@pytest.mark.parametrize(
    ("coord_sys", "shift"), [(CoordSys.GCJ02, to_gcj02), (CoordSys.BD09, to_bd09)]
)
async def test_coordinates_are_converted_at_the_door(session, coord_sys, shift):
    ring = [list(shift(latitude, longitude)[::-1]) for longitude, latitude in square()[0]]
    await towns(session, document(feature(coordinates=[ring])), coord_sys=coord_sys)
    boundary = await session.scalar(select(GridRow.boundary))
    assert boundary is not None
    kept = shapely.get_coordinates(shapely.from_wkb(boundary))
    for (longitude, latitude), (east, north) in zip(kept, square()[0], strict=True):
        assert distance_m(latitude, longitude, north, east) < 0.001


async def test_heights_are_left_out_and_several_parts_are_kept(session):
    parts = [square(), square(west=120.1)]
    parts[0][0] = [[*position, 12.5] for position in parts[0][0]]
    await towns(session, document(feature(coordinates=parts, kind="MultiPolygon")))
    shape = shapely.from_wkb(await session.scalar(select(GridRow.boundary)))
    assert len(shape.geoms) == 2
    assert not shape.has_z


# --- the audit -----------------------------------------------------------------------------------


async def test_an_import_is_told_once_with_the_codes_and_a_digest(session: AsyncSession) -> None:
    async def told() -> list[tuple[str, dict]]:
        rows = await session.execute(
            select(AuditEntry.action, AuditEntry.facts)
            .where(AuditEntry.chain == service.CHAIN)
            .order_by(AuditEntry.seq)
        )
        return [tuple(row) for row in rows]

    content = document(feature("370281001"), feature("370281002", square(120.1)))
    await towns(session, content)
    await towns(session, content)  # changes nothing, so nothing is told
    await towns(session, document(feature("370281002", name="新名")))
    with pytest.raises(BoundaryFileRefused):
        await towns(session, document(feature("37")))
    (action, first), (_, second) = await told()
    assert action == "import_grids"
    assert (first["created"], first["updated"]) == (["370281001", "370281002"], [])
    assert (second["created"], second["updated"]) == ([], ["370281002"])
    assert len(first["digest"]) == 64
    assert first["digest"] != second["digest"]
