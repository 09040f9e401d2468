"""Chains that hold, chains that do not, the tree, and the days."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest

from app.domain.audit_chain import (
    GENESIS,
    Break,
    DayFault,
    Entry,
    FactsUnfit,
    Fault,
    SealedDay,
    canonical,
    chain_of,
    day_begins,
    digest,
    instant,
    link,
    local_day,
    merkle_root,
    microseconds,
    seal,
    verify_chain,
    verify_days,
)

CHAIN = UUID("01900000-0000-7000-8000-000000000001")
ACTOR = UUID("01900000-0000-7000-8000-0000000000aa")
NOW = datetime(2026, 3, 2, 1, 30, 0, 123456, tzinfo=UTC)
NOTHING = sha256().digest()


def chain(length: int) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(1, length + 1):
        entries.append(
            link(
                entries[-1] if entries else None,
                CHAIN,
                actor_id=ACTOR,
                actor_role="handler",
                action="contact",
                facts={"version": number, "note": "路灯"},
                at=NOW + timedelta(minutes=number),
            )
        )
    return entries


# --- facts ---------------------------------------------------------------------------------------


def test_one_content_has_one_text() -> None:
    one = {"b": [1, {"z": None, "a": True}], "a": "诉求\n“二”"}
    assert canonical(one) == '{"a":"诉求\\n“二”","b":[1,{"a":true,"z":null}]}'
    assert canonical(dict(reversed(one.items()))) == canonical(one)


@pytest.mark.parametrize(
    "facts",
    [
        {"x": 1.0},  # the database would write it its own way
        {"x": float("nan")},
        {"x": "a\0b"},  # jsonb cannot hold it
        {"x": "\ud83d"},
        {"x\0": 1},
        {1: "x"},
        {"x": NOW},
        {"x": [ACTOR]},
        {"x": b"bytes"},
    ],
    ids=repr,
)
def test_facts_that_do_not_come_back_as_they_were_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(FactsUnfit):
        canonical(facts)


# --- the hash ------------------------------------------------------------------------------------


def test_the_hash_is_what_the_documents_say() -> None:
    """Put together by hand: whoever checks with another program must come to the same bytes."""
    said = b"".join(
        (
            b"lianxin audit entry 1\0",
            bytes(32),
            CHAIN.bytes,
            (1).to_bytes(8, "big"),
            (1_772_415_060_123_456).to_bytes(8, "big"),
            ACTOR.bytes,
            b"\0\0\0\x07handler",
            b"\0\0\0\x07contact",
            b"\0\0\0\x1d" + '{"note":"路灯","version":1}'.encode(),
        )
    )
    assert chain(1)[0].hash == sha256(said).digest()


def test_each_column_is_part_of_the_hash() -> None:
    [entry] = chain(1)
    said = {
        "chain": CHAIN,
        "seq": 1,
        "at": entry.at,
        "actor_id": ACTOR,
        "actor_role": "handler",
        "action": "contact",
        "facts": entry.facts,
    }
    others = {
        "chain": ACTOR,
        "seq": 2,
        "at": entry.at + timedelta(microseconds=1),
        "actor_id": CHAIN,
        "actor_role": "handle",
        "action": "rcontact",  # the letter that the role lost
        "facts": "{}",
    }
    hashes = {digest(GENESIS, **said), digest(entry.hash, **said)}  # type: ignore[arg-type]
    for name, other in others.items():
        hashes.add(digest(GENESIS, **(said | {name: other})))  # type: ignore[arg-type]
    moved = said | {"actor_role": "handle", "action": "rcontact"}
    hashes.add(digest(GENESIS, **moved))  # type: ignore[arg-type]
    assert len(hashes) == 2 + len(others) + 1


def test_an_instant_survives_as_microseconds() -> None:
    for at in (NOW, datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 12, 31, 23, 59, tzinfo=UTC)):
        assert instant(microseconds(at)) == at


def test_an_entry_is_never_earlier_than_the_one_before_it() -> None:
    first = chain(1)[0]
    second = link(
        first,
        CHAIN,
        actor_id=ACTOR,
        actor_role="handler",
        action="reply",
        facts={},
        at=first.at - timedelta(seconds=5),
    )
    assert second.at == first.at
    assert verify_chain([first, second]) is None


def test_a_name_has_a_chain_of_its_own() -> None:
    assert chain_of("calendar") == chain_of("calendar") != chain_of("calendars")


# --- verifying a chain ---------------------------------------------------------------------------


def test_a_whole_chain_holds() -> None:
    assert verify_chain([]) is None
    assert verify_chain(chain(1)) is None
    assert verify_chain(chain(50)) is None


def altered(entries: Sequence[Entry], seq: int, **changes: object) -> list[Entry]:
    return [replace(e, **changes) if e.seq == seq else e for e in entries]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        (altered(chain(5), 3, facts="{}"), Break(3, Fault.ALTERED)),
        (altered(chain(5), 3, at=NOW + timedelta(minutes=4)), Break(3, Fault.ALTERED)),
        (altered(chain(5), 5, actor_id=CHAIN), Break(5, Fault.ALTERED)),
        (altered(chain(5), 1, actor_role="admin"), Break(1, Fault.ALTERED)),
        (altered(chain(5), 2, hash=GENESIS), Break(2, Fault.ALTERED)),
        (chain(5)[1:], Break(1, Fault.MISSING)),
        (chain(5)[:2] + chain(5)[3:], Break(3, Fault.MISSING)),
        (chain(2) + chain(2)[1:], Break(2, Fault.REPEATED)),
        # exchanged: 2 and 3 change places
        (
            [
                chain(4)[0],
                replace(chain(4)[2], seq=2),
                replace(chain(4)[1], seq=3),
                chain(4)[3],
            ],
            Break(2, Fault.ALTERED),
        ),
    ],
)  # fmt: skip
def test_a_break_is_found_where_it_is(entries: list[Entry], found: Break) -> None:
    assert verify_chain(entries) == found


def test_time_that_runs_backwards_is_found_though_the_hashes_fit() -> None:
    first, second = chain(2)
    said = {
        "chain": CHAIN,
        "seq": 2,
        "at": first.at - timedelta(microseconds=1),
        "actor_id": ACTOR,
        "actor_role": "handler",
        "action": "contact",
        "facts": second.facts,
    }
    back = Entry(**said, hash=digest(first.hash, **said))  # type: ignore[arg-type]
    assert verify_chain([first, back]) == Break(2, Fault.BACKWARDS)


def test_a_chain_that_lost_its_end_still_holds_by_itself() -> None:
    """Why there are days, and why the history is compared."""
    assert verify_chain(chain(5)[:3]) is None


# --- the tree ------------------------------------------------------------------------------------


def plain_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not leaves:
        return NOTHING
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\1" + plain_root(leaves[:half]) + plain_root(leaves[half:])).digest()


@pytest.mark.parametrize("count", [*range(20), 63, 64, 65, 1000])
def test_the_root_is_that_of_rfc_6962(count: int) -> None:
    leaves = [number.to_bytes(32, "big") for number in range(count)]
    assert merkle_root(iter(leaves)) == plain_root(leaves)


def test_the_root_of_rfc_6962s_own_examples() -> None:
    """Source: the test vectors of certificate-transparency, merkle_tree_test."""
    leaves = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243")]
    assert merkle_root(leaves[:1]).hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert merkle_root(leaves[:3]).hex() == (
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    )


def test_every_leaf_and_its_place_matter() -> None:
    rng = random.Random(7)
    leaves = [rng.randbytes(32) for _ in range(37)]
    root = merkle_root(leaves)
    for place in range(37):
        assert merkle_root([*leaves[:place], *leaves[place + 1 :]]) != root
        swapped = list(leaves)
        swapped[place - 1], swapped[place] = swapped[place], swapped[place - 1]
        assert merkle_root(swapped) != root


def test_an_inner_node_is_not_a_leaf() -> None:
    """The second preimage that trees without prefixes have."""
    one, two = b"a" * 32, b"b" * 32
    inner = sha256(b"\0" + one).digest() + sha256(b"\0" + two).digest()
    assert merkle_root([inner]) != merkle_root([one, two])


# --- days ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-03-01T15:59:59.999999+00:00", date(2026, 3, 1)),
        ("2026-03-01T16:00:00+00:00", date(2026, 3, 2)),  # midnight in Shanghai
        ("2026-03-02T00:00:00+08:00", date(2026, 3, 2)),
    ],
)
def test_a_day_is_a_local_day(at: str, day: date) -> None:
    assert local_day(datetime.fromisoformat(at)) == day
    assert day_begins(day) <= datetime.fromisoformat(at) < day_begins(day + timedelta(days=1))


def days(count: int) -> list[SealedDay]:
    sealed: list[SealedDay] = []
    for number in range(count):
        sealed.append(
            seal(
                sealed[-1] if sealed else None,
                date(2026, 3, 2) + timedelta(days=number),
                entries=number,
                root=merkle_root([bytes([number])]),
                sealed_at=NOW + timedelta(days=number + 1),
            )
        )
    return sealed


def test_sealed_days_hold() -> None:
    assert verify_days([]) is None
    assert verify_days(days(30)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"entries": 99},
        {"root": GENESIS},
        {"sealed_at": NOW},
        {"hash": GENESIS},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_altered_day_is_found(change: dict[str, object]) -> None:
    sealed = days(5)
    sealed[2] = replace(sealed[2], **change)  # type: ignore[arg-type]
    assert verify_days(sealed) == (sealed[2].day, DayFault.ALTERED)


def test_a_day_that_is_gone_is_found() -> None:
    sealed = days(5)
    assert verify_days(sealed[:2] + sealed[3:]) == (sealed[2].day, DayFault.MISSING)
    assert verify_days(sealed[1:]) == (sealed[1].day, DayFault.UNCHAINED)


def test_a_day_sealed_anew_breaks_the_next() -> None:
    sealed = days(5)
    sealed[2] = seal(
        sealed[1], sealed[2].day, entries=7, root=GENESIS, sealed_at=sealed[2].sealed_at
    )
    assert verify_days(sealed) == (sealed[3].day, DayFault.UNCHAINED)
