"""Who usually answers for such a thing: a proposal learned from what was done before.

Two views of the same history. ``LinearModel`` weighs the fields of a request, their pairs, and the
letters of what it is about; its features are hashed, so it needs no vocabulary. ``BackOff`` counts
who had the like: the same fields first, then fewer of them, until there is enough to count. Neither
decides anything.

Plain Python: fitting the weights needs other libraries (``app.intelligence.learning``), using them
does not.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from math import exp
from zlib import crc32

# What is known of a request when somebody has to answer for it, from the place to the matter.
FIELDS = ("town", "community", "source", "kind", "type", "main_type", "sub_type")
MATTER = ("type", "main_type", "sub_type")
FIELD_COUNTS = 3.0  # as much as so many pairs, of which there are so many more
# From the closest look to the widest.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("community", "sub_type"),
    ("town", "sub_type"),
    ("community", "main_type"),
    ("town", "main_type"),
    ("sub_type",),
    ("main_type",),
    ("town", "type"),
    ("type",),
)
LOOK_UP = ("town", "sub_type")  # the plain look-up that a model must beat
ENOUGH = 3  # cases that a level needs before it speaks

Fields = Mapping[str, str]  # what is not known is missing


@dataclass(frozen=True, slots=True)
class Proposal:
    """A unit, how sure the proposal is (0 … 1), and the cases behind it.

    Attributes:
        level: the fields that those cases share with the request.
        cases, of: so many of the cases of that level went to this unit.
    """

    unit: str
    confidence: float
    level: tuple[str, ...] = ()
    cases: int = 0
    of: int = 0


def features(fields: Fields) -> dict[int, float]:
    """The features of a request, hashed, and how much each counts: the fields that are known, each
    pair of them, and every two letters that follow each other in a name of the matter.

    By its letters a matter that is new, or was rare, is akin to those called alike.
    """
    known = [f"{name}={fields[name]}" for name in FIELDS if fields.get(name)]
    pairs = [f"{first}&{second}" for first, second in combinations(known, 2)]
    called = [f"^{fields[name]}$" for name in MATTER if fields.get(name)]
    letters = ["~" + first + second for name in called for first, second in pairwise(name)]
    found = {feature(word): 1.0 for word in ("", *pairs, *letters)}
    return found | {feature(word): FIELD_COUNTS for word in known}


def feature(word: str) -> int:
    """Where a word stands; "" is the ground that every request has, a field is ``name=value``."""
    return crc32(word.encode())


@dataclass(slots=True)
class BackOff:
    """How often each unit had what, by level and values."""

    levels: Sequence[tuple[str, ...]] = LEVELS
    _counts: dict[tuple[str, ...], Counter[str]] = field(default_factory=dict)
    _all: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, fields: Fields, counts: Mapping[tuple[str, ...], Counter[str]]) -> "BackOff":
        """The counts of one request, as somebody else has counted them."""
        made = cls(tuple(counts))
        for level, counted in counts.items():
            key = _key(level, fields)
            if key is not None and counted:
                made._counts[key] = counted
                made._all |= counted
        return made

    def add(self, fields: Fields, unit: str, count: int = 1) -> None:
        self._all[unit] += count
        for level in self.levels:
            key = _key(level, fields)
            if key is not None:
                self._counts.setdefault(key, Counter())[unit] += count

    @property
    def total(self) -> int:
        return self._all.total()

    def counts(self, level: tuple[str, ...], fields: Fields) -> Counter[str]:
        """Who had the cases that share these fields; empty if there are none."""
        key = _key(level, fields)
        return self._counts.get(key, Counter()) if key is not None else Counter()

    def most(self, level: tuple[str, ...], fields: Fields) -> str | None:
        """Who had most of them; of equals the first by name. None: nobody had any."""
        found = self.counts(level, fields)
        return min(found, key=lambda unit: (-found[unit], unit)) if found else None

    def most_of_all(self) -> str | None:
        return min(self._all, key=lambda unit: (-self._all[unit], unit)) if self._all else None

    def closest(self, fields: Fields) -> tuple[tuple[str, ...], Counter[str]] | None:
        """The closest level with enough cases, else the closest with any."""
        first: tuple[tuple[str, ...], Counter[str]] | None = None
        for level in self.levels:
            found = self.counts(level, fields)
            if found.total() >= ENOUGH:
                return level, found
            if found and first is None:
                first = level, found
        return first

    def behind(self, fields: Fields, unit: str) -> tuple[tuple[str, ...], int, int]:
        """The closest level that knows the unit: the level, its cases, and of how many."""
        for level in self.levels:
            found = self.counts(level, fields)
            if found[unit]:
                return level, found[unit], found.total()
        return (), self._all[unit], self.total

    def propose(self, fields: Fields, most: int) -> list[Proposal]:
        """By counts alone: the share of the closest cases, less sure when they are few."""
        found = self.closest(fields)
        if found is None:
            return []
        level, counts = found
        of = counts.total()
        ranked = sorted(counts, key=lambda unit: (-counts[unit], unit))[:most]
        return [Proposal(unit, counts[unit] / (of + 1), level, counts[unit], of) for unit in ranked]


def _key(level: tuple[str, ...], fields: Fields) -> tuple[str, ...] | None:
    values = [fields.get(name, "") for name in level]
    return (*level, *values) if all(values) else None


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Weights of hashed features.

    Attributes:
        units: the columns, in the order of the weights.
        rows: feature → where its weights begin in ``weights``, one for each unit.
    """

    units: tuple[str, ...]
    rows: Mapping[int, int]
    weights: "array[float]"

    def shares(self, fields: Fields) -> list[float]:
        """How likely each unit is, in the order of ``units``; together 1."""
        width = len(self.units)
        scores = [0.0] * width
        for place, counts in features(fields).items():
            start = self.rows.get(place)
            if start is not None:
                row = zip(scores, self.weights[start : start + width], strict=True)
                scores = [score + counts * weight for score, weight in row]
        highest = max(scores, default=0.0)
        raised = [exp(score - highest) for score in scores]
        total = sum(raised)
        return [value / total for value in raised]

    def propose(
        self, fields: Fields, counted: BackOff, most: int, allowed: Iterable[str] | None = None
    ) -> list[Proposal]:
        """The likeliest units, with the cases behind each. Args: ``allowed`` None: any."""
        shares = self.shares(fields)
        wanted = None if allowed is None else set(allowed)
        ranked = sorted(range(len(shares)), key=lambda place: (-shares[place], place))
        proposals: list[Proposal] = []
        for place in ranked:
            unit = self.units[place]
            if wanted is None or unit in wanted:
                level, cases, of = counted.behind(fields, unit)
                proposals.append(Proposal(unit, shares[place], level, cases, of))
            if len(proposals) == most:
                break
        return proposals
