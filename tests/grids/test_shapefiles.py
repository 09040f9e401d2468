"""Shapefiles: zipped and in parts, in two encodings, and everything that can be wrong with one."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import shapefile
import shapely

from app.domain.geometry import CoordSys, distance_m, to_gcj02
from app.grids import shapefiles
from app.grids.boundary_file import FILE_LIMIT_BYTES, BoundaryFileRefused, BoundaryFileTooLarge
from app.grids.kinds import GridLevel
from app.grids.uploads import Asked, read_file
from tests.grids.shapes import TOWN, square

WGS84 = (
    'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'
)
CGCS2000 = WGS84.replace("GCS_WGS_1984", "GCS_China_Geodetic_Coordinate_System_2000").replace(
    "D_WGS_1984", "D_China_2000"
)
GAUSS = f'PROJCS["CGCS2000_3_Degree_GK_CM_120E",{CGCS2000},PROJECTION["Gauss_Kruger"]]'
XIAN = 'GEOGCS["GCS_Xian_1980",DATUM["D_Xian_1980",SPHEROID["Xian_1980",6378140.0,298.257]]]'


def made(
    *records: tuple[Any, str, Any],
    kind: int = shapefile.POLYGON,
    encoding: str = "utf-8",
    prj: str | None = WGS84,
    numeric: bool = False,
) -> dict[str, bytes]:
    """The parts of a Shapefile. ``records``: code, name, rings."""
    shp, shx, dbf = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with shapefile.Writer(shp=shp, shx=shx, dbf=dbf, shapeType=kind, encoding=encoding) as writer:
        writer.field("CODE", "N" if numeric else "C", size=17)
        writer.field("NAME", "C", size=60)
        for code, name, rings in records:
            if rings is None:
                writer.null()
            elif kind == shapefile.POLYGONZ:
                writer.polyz([[[*spot, 12.5] for spot in ring] for ring in rings])
            elif kind == shapefile.POLYLINE:
                writer.line(rings)
            else:
                writer.poly(rings)
            writer.record(code, name)
    parts = {"shp": shp.getvalue(), "shx": shx.getvalue(), "dbf": dbf.getvalue()}
    return parts if prj is None else {**parts, "prj": prj.encode()}


def ring(west: float = 120.0, south: float = 36.2, side: float = 0.01) -> list[list[list[float]]]:
    """Clockwise, as the format wants outlines."""
    return [[*reversed(square(west, south, side)[0])]]


def zipped(parts: dict[str, bytes], stem: str = "网格/towns") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(f"{stem}.{part}", content)
        archive.writestr("__MACOSX/._towns.shp", b"x")
    return out.getvalue()


def read(parts, coord_sys=CoordSys.WGS84):
    return shapefiles.read(parts, coord_sys=coord_sys, level=GridLevel.TOWN)


ONE = (TOWN, "阜安街道", ring())


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("prj", [WGS84, CGCS2000])
def test_a_zipped_shapefile_is_read_in_either_encoding(encoding, prj):
    reading = read(shapefiles.unzip(zipped(made(ONE, encoding=encoding, prj=prj))))
    (town,) = reading.boundaries
    assert (town.code, town.name, town.parent_code) == (TOWN, "阜安街道", None)
    assert shapely.from_wkb(town.wkb).equals(shapely.Polygon(square()[0]))
    assert reading.warnings == ()


def test_its_parts_lie_side_by_side_on_a_disk(tmp_path: Path):
    for part, content in made(ONE).items():
        (tmp_path / f"towns.{part.upper()}").write_bytes(content)
    (tmp_path / "towns.SHP").rename(tmp_path / "towns.shp")
    reading = read_file(tmp_path / "towns.shp", Asked(CoordSys.WGS84, GridLevel.TOWN))
    assert [town.code for town in reading.boundaries] == [TOWN]


def test_holes_parts_heights_and_numeric_codes():
    hole = square(120.004, 36.204, 0.002)[0]
    both = made(
        (TOWN, "甲", [*ring(), hole]),
        ("370281002", "乙", [*ring(120.1), *ring(120.2)]),
    )
    first, second = (shapely.from_wkb(it.wkb) for it in read(both).boundaries)
    assert len(first.interiors) == 1
    assert len(second.geoms) == 2
    high = made((int(TOWN), "甲", ring()), kind=shapefile.POLYGONZ, numeric=True)
    (town,) = read(high).boundaries
    assert town.code == TOWN
    assert not shapely.from_wkb(town.wkb).has_z


def test_without_a_prj_the_word_of_whoever_brings_it_counts():
    shifted = [[list(to_gcj02(y, x)[::-1]) for x, y in ring()[0]]]
    reading = read(made((TOWN, "甲", shifted), prj=None), CoordSys.GCJ02)
    (longitude, latitude), *_ = shapely.get_coordinates(
        shapely.from_wkb(reading.boundaries[0].wkb)
    ).tolist()
    assert distance_m(latitude, longitude, 36.2, 120.0) < 0.01
    assert [told.code for told in reading.warnings] == ["shapefile_prj_missing"]


@pytest.mark.parametrize(
    ("prj", "coord_sys", "said"),
    [
        (GAUSS, CoordSys.CGCS2000, "投影坐标"),
        (XIAN, CoordSys.WGS84, "不是 WGS-84 或 CGCS2000"),
        (WGS84, CoordSys.GCJ02, "与所填坐标系 gcj02 不一致"),
    ],
)
def test_another_coordinate_system_is_refused(prj, coord_sys, said):
    with pytest.raises(BoundaryFileRefused, match=said):
        read(made(ONE, prj=prj), coord_sys)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (made((TOWN, "甲", None)), "geojson_geometry_missing"),
        (made((TOWN, "甲", ring()), kind=shapefile.POLYLINE), "geojson_geometry_type"),
        (made(("37", "甲", ring())), "geojson_code"),
        (made((TOWN, "", ring())), "geojson_name"),
        (
            made((TOWN, "甲", [[[y, x] for x, y in ring()[0]]])),
            "geojson_swapped",
        ),
        (
            made((TOWN, "甲", [[[120, 36.2], [120.01, 36.21], [120.01, 36.2], [120, 36.21],
                               [120, 36.2]]])),
            "geojson_self_crossing",
        ),
        (made((TOWN, "甲", [[[13_358_338, 4_327_692], [13_358_339, 4_327_692],
                            [13_358_339, 4_327_693], [13_358_338, 4_327_692]]])),
         "geojson_not_finite"),
    ],
)  # fmt: skip
def test_a_wrong_record_is_named(parts, code):
    good = made(("370281002", "乙", ring(120.1)))
    assert read(good)
    with pytest.raises(BoundaryFileRefused) as refusal:
        read(parts)
    (error,) = refusal.value.errors
    assert (error.code, error.pointer) == (code, "/features/0")
    assert error.message.startswith("第1个要素")


def test_a_damaged_file_is_refused_wherever_it_is_cut():
    whole = made(ONE, ("370281002", "乙", ring(120.1)))
    for part in ("shp", "dbf"):
        content = whole[part]
        for cut in range(0, len(content) - 1, 7):
            with pytest.raises(BoundaryFileRefused):
                read({**whole, part: content[:cut]})
        with pytest.raises(BoundaryFileRefused):
            read({**whole, part: bytes(len(content))})


@pytest.mark.parametrize("missing", ["shp", "dbf"])
def test_a_missing_part_is_named(missing):
    parts = made(ONE)
    del parts[missing]
    with pytest.raises(BoundaryFileRefused, match=f"缺少 .{missing}|恰有一个 .shp"):
        read(shapefiles.unzip(zipped(parts)))


def test_an_archive_that_is_none_is_refused():
    whole = zipped(made(ONE))
    for content in (b"", b"PK\x03\x04", whole[: len(whole) // 2], b"x" * 1_000):
        with pytest.raises(BoundaryFileRefused, match="ZIP"):
            shapefiles.unzip(content)
    two = io.BytesIO()
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("a.shp", b"")
        archive.writestr("b.shp", b"")
    with pytest.raises(BoundaryFileRefused, match="实有2个"):
        shapefiles.unzip(two.getvalue())


def test_an_archive_that_swells_is_not_unpacked():
    swelling = {**made(ONE), "dbf": bytes(FILE_LIMIT_BYTES)}
    content = zipped(swelling)
    assert len(content) < 100_000
    with pytest.raises(BoundaryFileTooLarge, match="解压后超过32MB"):
        shapefiles.unzip(content)
