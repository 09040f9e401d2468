"""What two told cells leave of each other is nobody, or at least five people."""

from functools import cache
from itertools import combinations
from random import Random

import numpy
import pytest

from app.domain import suppression
from app.domain.suppression import LEAST, Cell, Paths, Table
from tests.domain import plain_suppression

UNITS = (("city", "water"), ("city", "housing"), ("town", "east"), ("town", "west"), (None, None))
PLACES = (("1", "11"), ("1", "12"), ("2", "21"), ("2", None), (None, None))
MONTHS = ("2026-01", "2026-02", "2026-03")


Row = tuple[Cell, str, int]


def laid_out(rows: list[Row]) -> tuple[Table, list[str], numpy.ndarray]:
    """Rows as a table, its atoms, and its people."""
    cells = sorted({cell for cell, _, _ in rows}, key=str)
    atoms = sorted({atom for _, atom, _ in rows})
    paths = [sorted(set(them), key=str) for them in zip(*cells, strict=True)]
    bits = numpy.zeros((len(cells), len(atoms)), dtype=numpy.uint64)
    for of, atom, bit in rows:
        bits[cells.index(of), atoms.index(atom)] |= numpy.uint64(bit)
    places = [numpy.array([them.index(of[at]) for of in cells]) for at, them in enumerate(paths)]
    return Table([Paths(them) for them in paths], places), atoms, bits


def hidden(rows: list[Row]) -> frozenset[Cell]:
    table, _, bits = laid_out(rows)
    return table.cells(table.hidden(bits))


def rows_of(people: list[tuple[Cell, str, int]]):
    return [(cell, atom, 1 << (person % 64)) for cell, atom, person in people]


def cell(*paths: tuple[str | None, ...]) -> Cell:
    return paths


def test_a_small_cell_is_hidden_together_with_the_smallest_that_covers_it():
    rows = [
        (cell(("a",)), "m", 0b11),  # two people
        (cell(("b",)), "m", 0b111111),
        (cell(("c",)), "m", 0b11111111),
    ]
    assert hidden(rows) == {cell(("a",)), cell(("b",))}


def test_two_small_ones_that_cover_each_other_hide_nobody_else():
    rows = [
        (cell(("a",)), "m", 0b11),
        (cell(("b",)), "m", 0b111100),
        (cell(("c",)), "m", 0b11111111),
    ]
    assert hidden(rows) == {cell(("a",)), cell(("b",))}


def test_what_is_small_in_one_month_is_hidden_in_all():
    rows = [
        (cell(("a",)), "m1", 0b11111111),
        (cell(("a",)), "m2", 0b1),
        (cell(("b",)), "m1", 0b11111111),
        (cell(("b",)), "m2", 0b11111111),
    ]
    assert hidden(rows) == {cell(("a",)), cell(("b",))}


def test_nothing_is_hidden_where_everybody_is_many():
    assert hidden([(cell(("a",)), "m", 0b11111), (cell(("b",)), "m", 0b11111)]) == frozenset()


def test_where_there_are_too_few_altogether_nothing_is_told():
    assert hidden([(cell(("a",)), "m", 0b1)]) == {cell(()), cell(("a",))}


def test_one_person_with_many_requests_is_one_person():
    rows = [(cell(("a",)), "m", 0b1)] * 50 + [(cell(("b",)), "m", 0b111111110)]
    assert cell(("a",)) in hidden(rows)


def within(inner: Cell, outer: Cell) -> bool:
    return all(a[: len(b)] == b for a, b in zip(inner, outer, strict=True))


@pytest.mark.parametrize("seed", range(16))
def test_no_two_told_cells_can_be_subtracted_to_find_somebody(seed):
    """Over all pairs of nested cells and of nested periods, and of tables against their sums."""
    dice = Random(seed)
    size = (30, 80, 150, 300)[seed % 4]
    people = [
        (cell(dice.choice(UNITS), dice.choice(PLACES)), dice.choice(MONTHS), dice.randrange(16))
        for _ in range(size)
    ]
    away = hidden(rows_of(people))
    told = {
        tuple(path[:depth] for path, depth in zip(it, shape, strict=True))
        for it, _, _ in people
        for shape in ((a, b) for a in range(3) for b in range(3))
    } - away
    periods = [MONTHS[i:j] for i, j in combinations(range(len(MONTHS) + 1), 2)]

    @cache
    def inside(of: Cell, period) -> frozenset[tuple[int, int]]:
        return frozenset(
            (number, person)
            for number, (it, atom, person) in enumerate(people)
            if atom in period and within(it, of)
        )

    for outer in told:
        for inner in told:
            if not within(inner, outer):
                continue
            for longer in periods:
                for shorter in periods:
                    if not set(shorter) <= set(longer):
                        continue
                    rest = inside(outer, longer) - inside(inner, shorter)
                    found = {person for _, person in rest}
                    assert not found or len(found) >= LEAST, (outer, inner, longer, shorter)
    for outer in told:  # a table with holes against its sum
        for place in range(2):
            family = [
                it
                for it in told
                if it[place][:-1] == outer[place]
                and len(it[place]) == len(outer[place]) + 1
                and it[1 - place] == outer[1 - place]
            ]
            for period in periods:
                rest = set(inside(outer, period))
                for it in family:
                    rest -= inside(it, period)
                found = {person for _, person in rest}
                assert not found or len(found) >= LEAST, (outer, place, period)


def test_the_same_rows_in_another_order_hide_the_same():
    dice = Random(7)
    people = [
        (cell(dice.choice(UNITS), dice.choice(PLACES)), dice.choice(MONTHS), dice.randrange(16))
        for _ in range(150)
    ]
    rows = rows_of(people)
    first = hidden(rows)
    dice.shuffle(rows)
    assert hidden(rows) == first
    assert first


def test_a_bit_stands_for_at_least_one_person_and_the_highest_is_one_too():
    bits = numpy.array([0, 1 << 63, 2**64 - 1], dtype=numpy.uint64)
    assert suppression.people(bits).tolist() == [0, 1, 64]


def random_rows(dice: Random) -> list[Row]:
    """Of one table: up to two hierarchies of up to three levels, some keys undetermined."""
    pools = []
    for _ in range(dice.choice((0, 1, 1, 2, 2))):
        depth = dice.randint(1, 3)
        pools.append([
            tuple(None if dice.random() < 0.1 else dice.choice("abcd") for _ in range(depth))
            for _ in range(dice.randint(1, 9))
        ])  # fmt: skip
    return [
        (tuple(map(dice.choice, pools)), dice.choice("xyz"), 1 << dice.randrange(64))
        for _ in range(dice.choice((5, 30, 100, 300)))
    ]


@pytest.mark.parametrize("seed", range(8))
def test_it_hides_what_the_rule_hides_as_one_would_write_it_down(seed):
    """Step by step too: first some atoms, then all on top of what these hide."""
    dice, chosen = Random(seed), 0
    for _ in range(40):
        rows = random_rows(dice)
        table, atoms, bits = laid_out(rows)
        some = [row for row in rows if row[1] != atoms[-1]]
        before = plain_suppression.hidden(some)
        first = table.hidden(bits * numpy.array([atom != atoms[-1] for atom in atoms]))
        assert table.cells(first) == before
        alone = plain_suppression.hidden(rows)
        assert table.cells(table.hidden(bits)) == alone
        after = plain_suppression.hidden(rows, start=before)
        assert table.cells(table.hidden(bits, start=first)) == after
        back = plain_suppression.hidden(some, start=after)
        then = bits * numpy.array([atom != atoms[-1] for atom in atoms])
        assert table.cells(table.hidden(then, start=table.hidden(bits, start=first))) == back
        chosen += len(alone)
    assert chosen > 200
