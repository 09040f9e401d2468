"""Places that share borders are written once and come back as they were."""

from typing import Any

import pytest
import shapely
from shapely.geometry import MultiPolygon, Polygon

from app.domain.topology import STEP_DEGREES, Point, pack


def square(west: float, south: float, side: float = 1.0) -> list[list[list[Point]]]:
    return [[[(west, south), (west + side, south), (west + side, south + side),
              (west, south + side), (west, south)]]]  # fmt: skip


DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def numbers_of(word: str) -> list[int]:
    found, value, shift = [], 0, 0
    for digit in map(DIGITS.index, word):
        value |= (digit & 31) << shift
        shift += 5
        if digit < 32:
            found.append(~(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    assert shift == 0
    return found


def read(written: dict[str, Any]) -> dict[str, shapely.Geometry]:
    """A reader of the form, as clients have one."""
    lines: list[list[Point]] = []
    x = y = 0
    for word in written["arcs"].split():
        line = []
        numbers = numbers_of(word)
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            step = written["step"]
            line.append((x * step + written["west"], y * step + written["south"]))
        lines.append(line)
    used = 0

    def ring(said: list[int]) -> list[Point]:
        nonlocal used
        points: list[Point] = []
        for k in said:
            line = lines[used - abs(k)]
            if k == 0:
                used += 1
            elif k < 0:
                line = line[::-1]
            assert not points or points[-1] == line[0]
            points += line[1:] if points else line
        return points

    found = {}
    for code, polygons in written["places"].items():
        parts = [[ring(said) for said in rings] for rings in polygons]
        found[code] = MultiPolygon([Polygon(shell, holes) for shell, *holes in parts])
    assert used == len(lines)
    return found


def test_two_neighbours_share_one_arc() -> None:
    written = pack({"a": square(0, 0), "b": square(1, 0)}, step=0.5)
    assert len(written["arcs"].split()) == 3
    assert written["places"] == {"a": [[[0, 0]]], "b": [[[0, -3]]]}


@pytest.mark.parametrize(
    "places",
    [
        {"a": square(120, 36)},
        {"a": square(120, 36, 0.02), "b": square(120.02, 36, 0.02), "c": square(120, 36.02, 0.04)},
        {"hole": [[*square(0, 0, 3)[0], *square(1, 1)[0]]], "in it": square(1, 1)},
        {"two": [*square(0, 0), *square(5, 5)], "between": square(1, 0)},
        {"an island": square(7, 7), "and again": square(7, 7)},
    ],
)
def test_what_is_written_is_read_back(places: dict[str, Any]) -> None:
    found = read(pack(places))
    assert found.keys() == places.keys()
    for code, polygons in places.items():
        meant = shapely.unary_union([Polygon(rings[0], rings[1:]) for rings in polygons])
        assert found[code].symmetric_difference(meant).area < 10 * STEP_DEGREES
        assert found[code].is_valid


def test_every_arc_is_used_and_all_ends_meet() -> None:
    written = pack({f"{x}.{y}": square(x, y) for x in range(4) for y in range(4)})
    assert shapely.unary_union(list(read(written).values())).area == pytest.approx(16)
    steps = [len(numbers_of(word)) // 2 - 1 for word in written["arcs"].split()]
    assert sum(steps) == 40  # the lines of a net of 4 by 4


@pytest.mark.parametrize("steps", [1, 15, 16, 31, 32, 33, 511, 512, 1023, 1024, 10**6])
def test_numbers_of_any_size_come_back(steps: int) -> None:
    far = STEP_DEGREES * steps
    ring = [(0.0, 0.0), (far, 0.0), (0.0, far)]
    for said in (ring, ring[::-1]):
        (found,) = read(pack({"a": [[said]]})).values()
        assert found.symmetric_difference(Polygon(ring)).area == pytest.approx(0, abs=1e-9)


def test_a_place_smaller_than_the_net_is_left_out() -> None:
    written = pack({"a": square(0, 0), "dust": square(0.5, 0.5, STEP_DEGREES / 10)})
    assert list(read(written)) == ["a"]


def test_no_places_is_no_fault() -> None:
    assert pack({})["arcs"] == ""
