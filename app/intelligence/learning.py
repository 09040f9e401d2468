"""Fitting the weights of a ``LinearModel``: multinomial logistic regression, by L-BFGS.

The only module that needs the training libraries (the extra ``training``); everything else that
learns or proposes is plain Python. Deterministic: the same cases give the same weights.
"""

from array import array
from collections import deque
from collections.abc import Callable, Sequence

import numpy
from numpy.typing import NDArray

from app.domain.suggestion import Fields, LinearModel, features

STRENGTH = 0.35  # how far the cases are trusted against the wish for small weights
_ROUNDS = 120
_MEMORY = 8
_SHORTEST = 1e-4  # of a step
_ENOUGH = 2e-4  # the gradient, relative to where it began

Matrix = NDArray[numpy.float32]


def fit(cases: Sequence[tuple[Fields, str]], *, strength: float = STRENGTH) -> LinearModel:
    """The model of these cases: (fields, the unit that had it).

    Raises: ValueError: there is nothing to tell apart.
    """
    units = sorted({unit for _, unit in cases})
    if len(units) < 2:
        raise ValueError("there must be cases of two units at least")
    rows, table = _table(cases)
    column = {unit: place for place, unit in enumerate(units)}
    answers = numpy.array([column[unit] for _, unit in cases])
    problem = _Problem(table, answers, len(rows), len(units), strength)
    weights = _minimise(problem, numpy.zeros((len(rows), len(units)), numpy.float32))
    starts = {feature: place * len(units) for feature, place in rows.items()}
    return LinearModel(tuple(units), starts, array("f", weights.tobytes()))


def _table(
    cases: Sequence[tuple[Fields, str]],
) -> tuple[dict[int, int], list[NDArray[numpy.int64]]]:
    """Features by their rows, and of each case the rows of its features."""
    rows: dict[int, int] = {}
    table = []
    for fields, _ in cases:
        table.append(
            numpy.array([rows.setdefault(feature, len(rows)) for feature in features(fields)])
        )
    return rows, table


class _Problem:
    """The loss and its slope. A case has few features, so no matrix of all of them is made."""

    def __init__(
        self,
        table: Sequence[NDArray[numpy.int64]],
        answers: NDArray[numpy.int64],
        rows: int,
        columns: int,
        strength: float,
    ) -> None:
        lengths = numpy.array([len(found) for found in table])
        flat = numpy.concatenate(table)
        self._begins = numpy.concatenate([[0], numpy.cumsum(lengths)[:-1]])
        self._flat = flat
        order = numpy.argsort(flat, kind="stable")
        self._case_of = numpy.repeat(numpy.arange(len(table)), lengths)[order]
        self._row_begins = numpy.searchsorted(flat[order], numpy.arange(rows))
        self._answers = answers
        self._here = numpy.arange(len(table))
        self._shape = (rows, columns)
        self._decay = numpy.float32(1 / (strength * len(table)))

    def __call__(self, weights: Matrix) -> tuple[float, Matrix]:
        """The mean loss of the cases plus the price of large weights, and the slope."""
        scores = numpy.add.reduceat(weights[self._flat], self._begins)
        scores -= scores.max(1, keepdims=True)
        raised = numpy.exp(scores)
        total = raised.sum(1, keepdims=True)
        loss = float((numpy.log(total[:, 0]) - scores[self._here, self._answers]).mean())
        shares = raised / total
        shares[self._here, self._answers] -= 1
        shares /= len(self._here)
        slope = numpy.add.reduceat(shares[self._case_of], self._row_begins)
        slope += self._decay * weights
        price = float(self._decay) / 2 * float((weights.astype(numpy.float64) ** 2).sum())
        return loss + price, slope


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
