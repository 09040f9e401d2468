"""Which place an address names: the names of towns, communities and grids, found in its text.

The longest name wins at each position. Of the places so named the one is meant whose way down from
the town is named best; where several are, what they have in common is meant, and that is less
certain. A name alone that many places have (第1网格) says nothing without one above it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_SUFFIXES = ("街道办事处", "街道", "镇", "社区居委会", "社区", "新村", "村委会", "村")
_SHORTEST = 2
_LONGEST_ADDRESS = 300
_MOST_OF_A_NAME = 40  # a name of more places is only believed beside another name


@dataclass(frozen=True, slots=True)
class Place:
    """``path``: codes from the town down to the place itself. ``names``: its own, with aliases."""

    path: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """``certain``: the address can mean no other place, and it is one of the deepest level."""

    code: str
    certain: bool


def names_of(name: str) -> tuple[str, ...]:
    """A name and what people make of it: 阜安街道 → 阜安街道, 阜安."""
    for suffix in _SUFFIXES:
        stem = name.removesuffix(suffix)
        if stem != name and len(stem) >= _SHORTEST:
            return (name, stem)
    return (name,)


class Gazetteer:
    """All places by their names. Immutable; looking up costs a few µs for an ordinary address."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._paths: dict[str, tuple[str, ...]] = {}
        by_name: dict[str, list[str]] = defaultdict(list)
        parents: set[str] = set()
        for place in places:
            code = place.path[-1]
            self._paths[code] = place.path
            parents.update(place.path[:-1])
            for name in place.names:
                if len(name) >= _SHORTEST:
                    by_name[name].append(code)
        self._leaves = self._paths.keys() - parents
        self._by_name: Mapping[str, Sequence[str]] = by_name
        self._lengths: dict[str, tuple[int, ...]] = {}
        for name in by_name:
            lengths = {*self._lengths.get(name[0], ()), len(name)}
            self._lengths[name[0]] = tuple(sorted(lengths, reverse=True))

    def find(self, address: str) -> Found | None:
        """Return the place that an address names, None if it names none."""
        named = self._named(address[:_LONGEST_ADDRESS])
        scores: dict[str, int] = {}
        for codes in named.values():
            for code in codes:
                if code not in scores:
                    scores[code] = self._score(code, named)
        if not scores:
            return None
        best = max(scores.values())
        meant = [code for code, score in scores.items() if score == best]
        if len(meant) == 1:
            return Found(meant[0], meant[0] in self._leaves)
        common = _common([self._paths[code] for code in meant])
        return Found(common, False) if common else None

    def _named(self, address: str) -> dict[str, Sequence[str]]:
        """The names in an address, each with the places that have it."""
        found: dict[str, Sequence[str]] = {}
        position = 0
        while position < len(address):
            step = 1
            for length in self._lengths.get(address[position], ()):
                name = address[position : position + length]
                if name in self._by_name:
                    found[name] = self._by_name[name]
                    step = length
                    break
            position += step
        if any(len(codes) > _MOST_OF_A_NAME for codes in found.values()):
            found = self._believed(found)
        return found

    def _believed(self, found: dict[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """Of a name that many have, only the places below another one that is named."""
        above = {
            code for codes in found.values() if len(codes) <= _MOST_OF_A_NAME for code in codes
        }
        return {
            name: codes
            if len(codes) <= _MOST_OF_A_NAME
            else [code for code in codes if not above.isdisjoint(self._paths[code])]
            for name, codes in found.items()
        }

    def _score(self, code: str, named: Mapping[str, Sequence[str]]) -> int:
        """How many characters of the address speak of the place or of one above it."""
        path = self._paths[code]
        return sum(len(name) for name, codes in named.items() if not set(path).isdisjoint(codes))


def _common(paths: Sequence[Sequence[str]]) -> str | None:
    """The deepest code that all paths share."""
    shared: str | None = None
    for codes in zip(*paths, strict=False):
        if len(set(codes)) > 1:
            break
        shared = codes[0]
    return shared
