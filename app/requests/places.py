"""The places that an address can name: the present tree of grids as a gazetteer, made once."""

from app.domain.gazetteer import Gazetteer, Place, names_of
from app.grids.queries import GridIndex


class _Made:
    """The gazetteer of the tree it was last asked for."""

    index: GridIndex | None = None
    gazetteer: Gazetteer = Gazetteer(())


def named(grids: GridIndex, address: str) -> tuple[str, bool] | None:
    """Return the grid that the address names and whether it can be no other, or None."""
    if _Made.index is not grids:
        _Made.index, _Made.gazetteer = grids, _gazetteer(grids)
    found = _Made.gazetteer.find(address)
    return None if found is None else (found.code, found.certain)


def _gazetteer(grids: GridIndex) -> Gazetteer:
    return Gazetteer(
        Place(tuple(above.code for above in grids.path(node.code)), names_of(node.name))
        for node in grids.nodes.values()
        if node.active
    )
