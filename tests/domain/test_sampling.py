"""The draw is fair to small units, the same for ever, and κ is what the books say."""

import random
from collections import Counter
from hashlib import sha256
from uuid import UUID

import pytest

from app.domain.sampling import SampleTooSmall, agreement, allocate, draw, frame_digest

SEED = bytes(range(16))
MEMBERS = [UUID(int=n) for n in range(1, 101)]


@pytest.mark.parametrize(
    ("sizes", "total", "minimum", "counts"),
    [
        ({"a": 60, "b": 30, "c": 10}, 10, 0, {"a": 6, "b": 3, "c": 1}),  # plain proportion
        ({"a": 90, "b": 9, "c": 1}, 10, 1, {"a": 8, "b": 1, "c": 1}),  # the small one has its one
        ({"a": 90, "b": 8, "c": 2}, 20, 5, {"a": 13, "b": 5, "c": 2}),  # or all it has
        ({"a": 50, "b": 50}, 5, 0, {"a": 3, "b": 2}),  # equal remainders: the code that sorts first
        ({"a": 1, "b": 1, "c": 1}, 2, 0, {"a": 1, "b": 1, "c": 0}),
        ({"a": 7, "b": 3}, 10, 2, {"a": 7, "b": 3}),  # everybody
        ({"a": 7, "b": 3}, 99, 2, {"a": 7, "b": 3}),  # more than everybody
        ({"a": 1000, "b": 1, "c": 1}, 3, 1, {"a": 1, "b": 1, "c": 1}),
        ({"": 10, "a": 10}, 4, 0, {"": 2, "a": 2}),
        ({"a": 5}, 3, 1, {"a": 3}),
        ({}, 3, 1, {}),
    ],
)
def test_a_sample_is_shared_out(sizes, total, minimum, counts):
    assert allocate(sizes, total, minimum) == counts


def test_a_sample_that_cannot_hold_every_minimum_is_refused_with_what_it_needs():
    with pytest.raises(SampleTooSmall) as refused:
        allocate({"a": 90, "b": 8, "c": 2}, 11, 5)
    assert refused.value.facts == {"needed": 12}


def test_whatever_the_sizes_the_numbers_add_up_and_nobody_gives_more_than_they_have():
    chance = random.Random(7)
    for _ in range(500):
        sizes = {f"u{n}": chance.randint(1, 400) for n in range(chance.randint(1, 30))}
        minimum = chance.randint(0, 5)
        least = sum(min(minimum, size) for size in sizes.values())
        total = chance.randint(max(1, least), sum(sizes.values()) + 10)
        counts = allocate(sizes, total, minimum)
        assert sum(counts.values()) == min(total, sum(sizes.values()))
        assert all(min(minimum, sizes[it]) <= counts[it] <= sizes[it] for it in sizes)


def test_a_draw_is_the_same_for_ever_and_does_not_depend_on_the_order_of_the_frame():
    drawn = draw(SEED, MEMBERS, 5)
    assert drawn == [UUID(int=n) for n in (8, 59, 56, 43, 48)]
    shuffled = random.Random(1).sample(MEMBERS, len(MEMBERS))
    assert draw(SEED, shuffled, 5) == drawn == draw(SEED, iter(MEMBERS), 7)[:5]
    by_hand = sorted(MEMBERS, key=lambda it: sha256(SEED + it.bytes).hexdigest())
    assert draw(SEED, MEMBERS, 100) == by_hand == draw(SEED, MEMBERS, 1_000)


def test_another_seed_draws_others_and_everybody_is_drawn_about_equally_often():
    often: Counter[UUID] = Counter()
    for number in range(2_000):
        often.update(draw(sha256(number.to_bytes(4)).digest()[:16], MEMBERS, 10))
    assert len(often) == 100
    assert 140 < min(often.values()) <= max(often.values()) < 260  # 200, four deviations


def test_a_frame_has_one_fingerprint_that_any_change_changes():
    frame = {"a": MEMBERS[:3], "b": MEMBERS[3:5]}
    digest = frame_digest(frame)
    assert digest == frame_digest({"b": MEMBERS[4:2:-1], "a": MEMBERS[2::-1]})
    others = [
        {"a": MEMBERS[:2], "b": MEMBERS[3:5]},
        {"a": MEMBERS[:4], "b": MEMBERS[4:5]},
        {"a": MEMBERS[:5]},
        {"a": MEMBERS[:3], "c": MEMBERS[3:5]},
        {"a": MEMBERS[:3], "b": MEMBERS[3:5], "c": []},
    ]
    assert len({digest, *map(frame_digest, others)}) == 6


@pytest.mark.parametrize(
    ("pairs", "n", "agree", "share", "kappa"),
    [
        # The example of the books: 20 both yes, 15 both no, 5 and 10 apart.
        ({("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}, 50, 35, 0.7, 0.4),
        ({("y", "y"): 10, ("n", "n"): 10}, 20, 20, 1.0, 1.0),
        ({("y", "n"): 10, ("n", "y"): 10}, 20, 0, 0.0, -1.0),
        ({("y", "y"): 1, ("y", "n"): 1, ("n", "y"): 1, ("n", "n"): 1}, 4, 2, 0.5, 0.0),
        ({("y", "y"): 9}, 9, 9, 1.0, None),  # everybody says the same: chance explains it
        ({}, 0, 0, None, None),
    ],
)
def test_agreement_beyond_chance(pairs, n, agree, share, kappa):
    found = agreement(pairs)
    assert (found.n, found.agree, found.share) == (n, agree, share)
    assert found.kappa == (None if kappa is None else pytest.approx(kappa))
