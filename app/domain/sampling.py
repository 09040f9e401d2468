"""Whom to call back (回访), and how far what they say agrees with what they wrote.

A sample is drawn at random inside each unit. Everything that decides it is kept: the frame, the
numbers, the seed. Whoever has them draws the same sample again, with this module or in SQL:
the first ``count`` ids of a unit in the order of ``sha256(seed || id)``.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from uuid import UUID

from app.domain.errors import Invalid

SEED_BYTES = 16
BY_THE_GRID = ""  # the stratum of what the grid settled by itself: no unit answered


class SampleTooSmall(Invalid):
    """样本总数少于各单位最低数之和。"""

    code = "sample_too_small"


def allocate(sizes: Mapping[str, int], total: int, minimum: int) -> dict[str, int]:
    """Return how many to draw from each stratum: proportional to its size, but no fewer than
    ``minimum``, or all of a stratum that has no more.

    The sum is ``total``, or everything where the frame is not larger. What small strata get
    beyond their share is taken from the others in proportion. Fractions go to the largest
    remainders; of equal ones to the code that sorts first.

    Raises:
        SampleTooSmall: the minimums alone are more than ``total``; ``needed`` says how many.
    """
    if sum(sizes.values()) <= total:
        return dict(sizes)
    least = {code: min(minimum, size) for code, size in sizes.items()}
    needed = sum(least.values())
    if needed > total:
        raise SampleTooSmall(f"按每个单位的最低数，至少需要 {needed} 件。", needed=needed)
    shares = _shares(sizes, total, least)
    counts = {code: int(share) for code, share in shares.items()}
    by_remainder = sorted(shares, key=lambda code: (counts[code] - shares[code], code))
    for code in by_remainder[: total - sum(counts.values())]:
        counts[code] += 1
    return counts


def _shares(
    sizes: Mapping[str, int], total: int, least: Mapping[str, int]
) -> dict[str, Fraction | int]:
    """The exact share of each stratum, once those below their least have exactly that."""
    fixed: dict[str, int] = {}
    while True:
        free = {code: size for code, size in sizes.items() if code not in fixed}
        rate = Fraction(total - sum(fixed.values()), sum(free.values()) or 1)
        below = {code: least[code] for code, size in free.items() if rate * size < least[code]}
        if not below:
            return {**fixed, **{code: rate * size for code, size in free.items()}}
        fixed |= below


def draw(seed: bytes, members: Iterable[UUID], count: int) -> list[UUID]:
    """Return ``count`` of ``members`` (or all, if they are fewer), in the order of the draw.

    The order is that of ``sha256(seed || id)``: as good as chance, the same for ever, and
    independent of the order in which the members come.
    """
    return heapq.nsmallest(count, members, key=lambda member: _lot(seed, member))


def _lot(seed: bytes, member: UUID) -> bytes:
    return sha256(seed + member.bytes).digest()


def frame_digest(strata: Mapping[str, Iterable[UUID]]) -> str:
    """One fingerprint (hex) of a whole frame: who is in it, and in which stratum."""
    digest = sha256()
    for code in sorted(strata):
        members = sorted(member.bytes for member in strata[code])
        name = code.encode()
        digest.update(len(name).to_bytes(4, "big") + name + len(members).to_bytes(8, "big"))
        digest.update(b"".join(members))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two answers of the same person say the same.

    Attributes:
        n: pairs of answers; agree: those that say the same.
        share: ``agree / n``; None of nothing.
        kappa: Cohen's κ, the share beyond what chance alone would give: 1 always, 0 no more than
            chance. None where chance alone agrees always (everybody says the same thing).
    """

    n: int
    agree: int
    share: float | None
    kappa: float | None


def agreement(pairs: Mapping[tuple[object, object], int]) -> Agreement:
    """Compare answers, given how often each pair (the one, the other) occurred.

    Source of κ: J. Cohen, Educational and Psychological Measurement 20 (1960).
    """
    n = sum(pairs.values())
    if n == 0:
        return Agreement(0, 0, None, None)
    agree = sum(count for (one, other), count in pairs.items() if one == other)
    ones: dict[object, int] = {}
    others: dict[object, int] = {}
    for (one, other), count in pairs.items():
        ones[one] = ones.get(one, 0) + count
        others[other] = others.get(other, 0) + count
    by_chance = Fraction(sum(ones[it] * others.get(it, 0) for it in ones), n * n)
    share = Fraction(agree, n)
    kappa = None if by_chance == 1 else float((share - by_chance) / (1 - by_chance))
    return Agreement(n, agree, float(share), kappa)
