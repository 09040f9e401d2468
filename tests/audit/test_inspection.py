"""Whoever alters the audit is found: a thousand random tamperings, and the clever ones."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from app.audit import inspection
from app.domain.audit_chain import Entry, SealedDay, canonical, local_day, seal
from tests.audit.world import World, rechained, sealed_days, world

WHOLE = world()


def test_an_audit_that_nobody_touched_is_whole() -> None:
    found = WHOLE.inspected(WHOLE.kept())
    assert found.faults == 0
    assert found.findings == []
    assert found.chains == 12
    assert found.entries == len(WHOLE.entries) > 50
    assert len(WHOLE.days) >= 2
    assert found.unsealed == 0


# --- a thousand -----------------------------------------------------------------------------------


def edit_entry(rng: random.Random, made: World) -> str:
    place = rng.randrange(len(made.entries))
    entry = made.entries[place]
    column = rng.choice(["chain", "seq", "at", "actor_id", "actor_role", "action", "facts", "hash"])
    flipped = bytearray(entry.hash)
    flipped[rng.randrange(32)] ^= 1 << rng.randrange(8)
    facts = entry.said()
    facts[rng.choice(["version", "reason", "note"])] = rng.randint(100, 999)
    other = {
        "chain": UUID(int=entry.chain.int ^ (1 << rng.randrange(128))),
        "seq": entry.seq + rng.choice([-1, 1, 100]),
        "at": entry.at + timedelta(microseconds=rng.choice([-1, 1]) * rng.randint(1, 10**12)),
        "actor_id": UUID(int=entry.actor_id.int ^ (1 << rng.randrange(128))),
        "actor_role": entry.actor_role + "x",
        "action": rng.choice(["withdraw", "x", ""]),
        "facts": canonical(facts),
        "hash": bytes(flipped),
    }[column]
    made.entries[place] = replace(entry, **{column: other})
    return f"entry.{column}"


def delete_entry(rng: random.Random, made: World) -> str:
    del made.entries[rng.randrange(len(made.entries))]
    return "entry deleted"


def swap_entries(rng: random.Random, made: World) -> str:
    one, two = rng.sample(range(len(made.entries)), 2)
    a, b = made.entries[one], made.entries[two]
    made.entries[one] = replace(b, chain=a.chain, seq=a.seq)
    made.entries[two] = replace(a, chain=b.chain, seq=b.seq)
    return "entries swapped"


def truncate_chain(rng: random.Random, made: World) -> str:
    chain = rng.choice(made.entries).chain
    length = sum(e.chain == chain for e in made.entries)
    keep = rng.randrange(length)
    made.entries = [e for e in made.entries if e.chain != chain or e.seq <= keep]
    return "tail truncated"


def delete_chain(rng: random.Random, made: World) -> str:
    """The request and its history vanish too."""
    chain = rng.choice(made.entries).chain
    made.entries = [e for e in made.entries if e.chain != chain]
    if rng.random() < 0.5:
        made.steps = [s for s in made.steps if s.chain != chain]
    return "chain deleted"


def edit_history(rng: random.Random, made: World) -> str:
    place = rng.randrange(len(made.steps))
    step = made.steps[place]
    column = rng.choice(["version", "action", "actor_id", "actor_role", "gone"])
    if column == "gone":
        del made.steps[place]
    else:
        other = {
            "version": step.version + 100,
            "action": "withdraw",
            "actor_id": UUID(int=step.actor_id.int ^ 1),
            "actor_role": "admin",
        }[column]
        made.steps[place] = replace(step, **{column: other})
    return f"history.{column}"


def edit_day(rng: random.Random, made: World) -> str:
    place = rng.randrange(len(made.days))
    day = made.days[place]
    column = rng.choice(["day", "entries", "root", "previous_hash", "hash", "sealed_at", "gone"])
    if column == "gone":
        del made.days[place]
        return "day gone"
    made.days[place] = replace(
        day,
        **{
            column: {
                "day": day.day + timedelta(days=100),
                "entries": day.entries + 1,
                "root": bytes(32),
                "previous_hash": b"\1" * 32,
                "hash": bytes(32),
                "sealed_at": day.sealed_at + timedelta(seconds=1),
            }[column]
        },
    )
    return f"day.{column}"


def made_up_entry(rng: random.Random, made: World) -> str:
    """Added at the end of a chain, rightly chained, in a day that is long sealed."""
    made.entries.sort(key=lambda e: (e.chain, e.seq))
    chain = rng.choice(made.entries).chain
    of = [e for e in made.entries if e.chain == chain]
    made.entries = [e for e in made.entries if e.chain != chain]
    made.entries += rechained([*of, replace(of[-1], seq=len(of) + 1, action="contact")])
    return "entry made up"


def rehash_chain(rng: random.Random, made: World) -> str:
    """Edited, and all hashes of the chain made anew."""
    chain = rng.choice(made.entries).chain
    of = sorted((e for e in made.entries if e.chain == chain), key=lambda e: e.seq)
    place = rng.randrange(len(of))
    of[place] = replace(of[place], at=of[place].at + timedelta(microseconds=1))
    made.entries = [e for e in made.entries if e.chain != chain] + rechained(of)
    return "chain made anew"


TAMPERINGS: tuple[Callable[[random.Random, World], str], ...] = (
    edit_entry,
    edit_entry,
    edit_entry,
    delete_entry,
    swap_entries,
    truncate_chain,
    delete_chain,
    edit_history,
    edit_day,
    made_up_entry,
    rehash_chain,
)


@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_random_tamperings_are_all_found(seed: int) -> None:
    """4 times 250, on worlds of their own. The last sealed day may vanish: the kept list tells."""
    rng = random.Random(seed)
    whole = world(seed)
    kept = whole.kept()
    assert whole.inspected(kept).faults == 0
    missed = []
    for number in range(250):
        made = whole.copy()
        done = TAMPERINGS[number % len(TAMPERINGS)](rng, made)
        if made.inspected(kept).faults == 0:
            missed.append((number, done))
    assert not missed


# --- where ---------------------------------------------------------------------------------------


def chain_of_length(made: World, least: int) -> list[Entry]:
    chains = [entries for _, entries, _ in made.chains() if len(entries) >= least]
    return chains[0]


def test_a_finding_names_chain_and_entry() -> None:
    made = WHOLE.copy()
    entry = chain_of_length(made, 4)[2]
    made.entries[made.entries.index(entry)] = replace(entry, action="withdraw")
    [finding, *_] = made.inspected().findings
    assert (finding.chain, finding.seq) == (entry.chain, 3)
    assert finding.line() == f"链 {entry.chain} 第 3 条：内容与摘要不符，记录被改动或调换过"


def test_a_deleted_entry_is_named() -> None:
    made = WHOLE.copy()
    entry = chain_of_length(made, 4)[1]
    made.entries.remove(entry)
    [finding, *_] = made.inspected().findings
    assert (finding.chain, finding.seq) == (entry.chain, 2)
    assert "缺失" in finding.text


def test_a_truncated_chain_is_named_though_no_day_is_sealed() -> None:
    made = WHOLE.copy()
    made.days = []
    of, history = next((e, h) for _, e, h in made.chains() if len(h) >= 3 and len(e) == len(h))
    made.entries = [e for e in made.entries if e.chain != of[0].chain or e.seq <= 1]
    found = made.inspected()
    assert {(f.chain, f.seq) for f in found.findings} == {(of[0].chain, 2)}
    assert found.faults == len(history[1:4])


def test_a_chain_that_is_gone_is_named_though_no_day_is_sealed() -> None:
    made = WHOLE.copy()
    made.days = []
    chain = made.entries[0].chain
    made.entries = [e for e in made.entries if e.chain != chain]
    [finding] = made.inspected().findings
    assert (finding.chain, finding.seq) == (chain, None)


def test_an_entry_without_a_step_and_a_step_told_twice_are_named() -> None:
    made = WHOLE.copy()
    step = made.steps[3]
    made.steps.remove(step)
    [finding] = made.inspected().findings
    assert finding.chain == step.chain
    assert f"第 {step.version} 步" in finding.text


def test_a_look_that_is_taken_from_the_end_is_found_by_its_day() -> None:
    """No step tells of it; the day does."""
    made = WHOLE.copy()
    of = next(e for _, e, _ in made.chains() if e[-1].action == "reveal")
    made.entries.remove(of[-1])
    found = made.inspected()
    assert [f.day for f in found.findings] == [local_day(of[-1].at)]


def test_entries_older_than_the_first_seal_are_found() -> None:
    made = WHOLE.copy()
    kept = made.days
    made.days = []
    for day in kept[1:]:
        previous = made.days[-1] if made.days else None
        made.days.append(
            seal(previous, day.day, entries=day.entries, root=day.root, sealed_at=day.sealed_at)
        )
    assert [f.day for f in made.inspected().findings] == [kept[0].day]


# --- the owner of the database, who makes everything anew ----------------------------------------


def test_who_makes_all_hashes_and_roots_anew_is_found_by_the_kept_list_alone() -> None:
    made = WHOLE.copy()
    kept = made.kept()
    place = next(n for n, e in enumerate(made.entries) if e.action == "reveal")
    made.entries[place] = replace(made.entries[place], actor_id=UUID(int=1))
    made.entries = rechained(sorted(made.entries, key=lambda e: (e.chain, e.seq)))
    made.days = sealed_days(made.entries)
    assert made.inspected().faults == 0  # what no database can tell of itself
    found = made.inspected(kept)
    assert found.faults >= 1
    assert {f.text for f in found.findings} == {"封存记录与外存清单不一致"}


def test_a_last_day_that_vanished_is_found_by_the_kept_list() -> None:
    made = WHOLE.copy()
    gone: SealedDay = made.days.pop()
    assert made.inspected().faults == 0
    assert made.inspected().unsealed > 0
    [finding] = made.inspected(WHOLE.kept()).findings
    assert finding.day == gone.day


# --- the list ------------------------------------------------------------------------------------


def test_the_list_reads_as_it_was_written() -> None:
    lines = ["# 连心审计封存清单", "", *inspection.written(WHOLE.days)]
    assert inspection.read(lines) == WHOLE.kept()


@pytest.mark.parametrize("line", ["2026-03-02", "x 1 00 00", "2026-03-02 1 0g 00", "a\tb\tc\td"])
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        inspection.read(["# ok", line])


def test_findings_are_counted_and_the_first_are_kept() -> None:
    made = WHOLE.copy()
    made.days = []
    made.entries = [replace(e, hash=bytes(32)) for e in made.entries] * 100
    found = made.inspected()
    assert found.faults >= len(found.findings)
    assert len(found.findings) <= 1_000
