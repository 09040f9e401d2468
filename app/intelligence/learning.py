"""Fitting the weights of a ``LinearModel``: multinomial logistic regression, by L-BFGS.

Units that are called alike but for a place, such as the cleaning office of each town, learn from
one another: the weight of a feature is the unit's own plus one that it shares with its like. A unit
that works for one place is expected to go on so, however few its cases. Only fitting knows of both;
the model has the sum.

The only module that needs the training libraries (the extra ``training``); everything else that
learns or proposes is plain Python. Deterministic: the same cases give the same weights.
"""

import re
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

import numpy
from numpy.typing import NDArray

from app.domain.suggestion import Fields, LinearModel, feature, features

STRENGTH = 0.1  # how far the cases are trusted against the wish for small weights
HOME_WEIGHS = 1.2  # what the place of a unit is expected to weigh for it
_AT_HOME = 0.85  # the share of its cases that makes a place the unit's own
_FEWEST = 3  # cases that tell
_ROUNDS = 120
_MEMORY = 8
_SHORTEST = 1e-4  # of a step
_ENOUGH = 1e-3  # the gradient, relative to where it began
_IN_BRACKETS = r"[（(].*?[）)]"
_OFFICES = ("街道", "办事处")
_PLACE_ENDS = re.compile("(街道|镇|乡|社区|村)$")

Matrix = NDArray[numpy.float32]


def fit(
    cases: Sequence[tuple[Fields, str]],
    names: Mapping[str, str] | None = None,
    *,
    strength: float = STRENGTH,
) -> LinearModel:
    """The model of these cases: (fields, the unit that had it). Args: ``names`` of the units.

    Raises: ValueError: there is nothing to tell apart.
    """
    units = sorted({unit for _, unit in cases})
    if len(units) < 2:
        raise ValueError("there must be cases of two units at least")
    rows, counts, table = _table(cases)
    column = {unit: place for place, unit in enumerate(units)}
    answers = numpy.array([column[unit] for _, unit in cases])
    likes = _likes(units, callings(names or {}, [fields for fields, _ in cases]))
    expected = numpy.zeros((len(rows), sum(likes.shape)), numpy.float32)
    for unit, home in homes(cases).items():
        expected[rows[feature(home)], column[unit]] = HOME_WEIGHS
        expected[rows[feature("")], column[unit]] = -HOME_WEIGHS
    problem = _Problem(table, answers, counts, likes, expected, strength)
    weights = problem.summed(_minimise(problem, expected))
    starts = {key: place * len(units) for key, place in rows.items()}
    return LinearModel(tuple(units), starts, array("f", weights.tobytes()))


def callings(names: Mapping[str, str], places: Sequence[Fields]) -> dict[str, str]:
    """Units → what they are called once the names of the places, and brackets, are taken out."""
    towns = {fields.get(name, "") for fields in places for name in ("town", "community")}
    bare = {_PLACE_ENDS.sub("", town) for town in towns} - {""}
    words = [re.escape(word) for word in (*sorted(bare, key=lambda it: (-len(it), it)), *_OFFICES)]
    taken_out = re.compile("|".join([_IN_BRACKETS, *words]))
    return {unit: taken_out.sub("", name) for unit, name in names.items()}


def homes(cases: Sequence[tuple[Fields, str]]) -> dict[str, str]:
    """Units that work for one place → that place, ``community=`` or ``town=`` and its name."""
    total = Counter(unit for _, unit in cases)
    found: dict[str, str] = {}
    for name in ("town", "community"):
        places: dict[str, Counter[str]] = defaultdict(Counter)
        for fields, unit in cases:
            if fields.get(name):
                places[unit][fields[name]] += 1
        for unit, counted in places.items():
            [(place, most)] = counted.most_common(1)
            if total[unit] >= _FEWEST and most >= _AT_HOME * total[unit]:
                found[unit] = f"{name}={place}"
    return found


def _likes(units: Sequence[str], called: Mapping[str, str]) -> Matrix:
    """A row for each calling that several units have: 1 where a unit has it."""
    several = Counter(called[unit] for unit in units if called.get(unit))
    rows = [[called.get(unit) == calling for unit in units]
            for calling in sorted(several) if several[calling] > 1]  # fmt: skip
    return numpy.array(rows, numpy.float32).reshape(len(rows), len(units))


def _table(
    cases: Sequence[tuple[Fields, str]],
) -> tuple[dict[int, int], Matrix, list[NDArray[numpy.int64]]]:
    """Features by their rows, how much each counts, and of each case the rows of its features."""
    rows: dict[int, int] = {}
    counts: dict[int, float] = {}
    table = []
    for fields, _ in cases:
        found = features(fields)
        counts.update(found)
        table.append(numpy.array([rows.setdefault(feature, len(rows)) for feature in found]))
    return rows, numpy.array([[counts[it]] for it in rows], numpy.float32), table


class _Problem:
    """The loss and its slope. A case has few features, so no matrix of all of them is made.

    The weights have a column for each unit, then one for each calling that units share; what they
    are expected to be costs nothing.
    """

    def __init__(
        self,
        table: Sequence[NDArray[numpy.int64]],
        answers: NDArray[numpy.int64],
        counts: Matrix,
        likes: Matrix,
        expected: Matrix,
        strength: float,
    ) -> None:
        self._table = table
        flat = numpy.concatenate(table)
        order = numpy.argsort(flat, kind="stable")
        case_of = numpy.repeat(numpy.arange(len(table)), [len(found) for found in table])[order]
        self._cases_of = numpy.split(case_of, numpy.cumsum(numpy.bincount(flat))[:-1])
        self._answers = answers
        self._here = numpy.arange(len(table))
        self._counts = counts
        self._likes = likes
        self._expected = expected
        self._decay = numpy.float32(1 / (strength * len(table)))

    def summed(self, weights: Matrix) -> Matrix:
        """What a unit weighs with its like, a column for each unit."""
        units = self._likes.shape[1]
        return weights[:, :units] + weights[:, units:] @ self._likes

    def __call__(self, weights: Matrix) -> tuple[float, Matrix]:
        """The mean loss of the cases plus the price of strange weights, and the slope."""
        counting = self._counts * self.summed(weights)
        scores = _sums(counting, self._table)
        scores -= scores.max(1, keepdims=True)
        raised = numpy.exp(scores)
        total = raised.sum(1, keepdims=True)
        loss = float((numpy.log(total[:, 0]) - scores[self._here, self._answers]).mean())
        shares = raised / total
        shares[self._here, self._answers] -= 1
        shares /= len(self._here)
        own = self._counts * _sums(shares, self._cases_of)
        off = weights - self._expected
        slope = numpy.hstack([own, own @ self._likes.T]) + self._decay * off
        price = float(self._decay) / 2 * float((off.astype(numpy.float64) ** 2).sum())
        return loss + price, slope


def _sums(rows: Matrix, groups: Sequence[NDArray[numpy.int64]]) -> Matrix:
    """The sum of the rows of each group. One by one: what is gathered stays in the cache."""
    made = numpy.empty((len(groups), rows.shape[1]), numpy.float32)
    for place, group in enumerate(groups):
        rows[group].sum(0, out=made[place])
    return made


def _minimise(problem: Callable[[Matrix], tuple[float, Matrix]], weights: Matrix) -> Matrix:
    """L-BFGS with a halving step. Source: Nocedal and Wright, Numerical Optimization, 7.4-7.5."""
    steps: deque[tuple[Matrix, Matrix, float]] = deque(maxlen=_MEMORY)
    value, slope = problem(weights)
    began = float(numpy.linalg.norm(slope)) or 1.0
    for _ in range(_ROUNDS):
        if float(numpy.linalg.norm(slope)) <= _ENOUGH * began:
            break
        way = _way_down(slope, steps)
        down = float((way * slope).sum())
        length = 1.0 if steps else min(1.0, 1.0 / began)
        while length > _SHORTEST:
            tried = weights + numpy.float32(length) * way
            tried_value, tried_slope = problem(tried)
            if tried_value <= value + 1e-4 * length * down:
                break
            length /= 2
        else:
            break  # as low as single precision can see
        moved, turned = tried - weights, tried_slope - slope
        bend = float((moved * turned).sum())
        if bend > 1e-12:
            steps.append((moved, turned, 1 / bend))
        weights, value, slope = tried, tried_value, tried_slope
    return weights


def _way_down(slope: Matrix, steps: Sequence[tuple[Matrix, Matrix, float]]) -> Matrix:
    way = -slope
    shares = []
    for moved, turned, weight in reversed(steps):
        share = weight * float((moved * way).sum())
        shares.append(share)
        way = way - numpy.float32(share) * turned
    if steps:
        _, turned, weight = steps[-1]
        way = way * numpy.float32(1 / (weight * float((turned * turned).sum())))
    for (moved, turned, weight), share in zip(steps, reversed(shares), strict=True):
        back = weight * float((turned * way).sum())
        way = way + numpy.float32(share - back) * moved
    return way
