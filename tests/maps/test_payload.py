"""The borders of a whole city are small enough to be sent to a phone."""

import gzip

import orjson
import shapely

from app.domain.geometry import CoordSys
from app.grids import demo
from app.grids.kinds import GridLevel
from app.maps.atlas import Atlas
from tests.domain.test_topology import read

MOST_BYTES = 100_000


async def test_2635_grids_are_at_most_100_kb_packed_and_come_back_whole() -> None:
    meant = {record.code: record.boundary for record in demo.records() if record.boundary}
    atlas = Atlas(list(meant), list(meant.values()))
    assert atlas.levels()[GridLevel.GRID] == 2_635
    for coord_sys in (CoordSys.WGS84, CoordSys.GCJ02):
        sheet = await atlas.sheet(GridLevel.GRID, coord_sys)
        assert len(sheet.zipped) <= MOST_BYTES, len(sheet.zipped)
    sheet = await atlas.sheet(GridLevel.GRID, CoordSys.WGS84)
    assert gzip.decompress(sheet.zipped) == sheet.body
    for code, found in read(orjson.loads(sheet.body)).items():
        grid = shapely.from_wkb(meant[code])
        assert found.symmetric_difference(grid).area < 0.01 * grid.area
