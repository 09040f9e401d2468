"""The arithmetic of the audit: entries that hold each other, and days that hold the entries.

Every subject (a request, an account, a calendar) has a chain of its own. An entry's hash covers all
it says and the hash of the entry before it, so nothing inside a chain can be altered, taken out or
exchanged. The end of a chain is held by the day: its root is a Merkle tree over the hashes of all
entries of that day, and the days are chained in their turn. Source of the tree: RFC 6962 §2.1.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

HASH_BYTES = 32
GENESIS = bytes(HASH_BYTES)  # stands before the first entry of a chain, and before the first day
# A version of the form: what is hashed can never be taken for something else.
_ENTRY, _DAY = b"lianxin audit entry 1\0", b"lianxin audit day 1\0"
_LEAF, _NODE = b"\0", b"\1"
_SUBJECTS = UUID("5f2d9e0c-3f0e-5f5e-9c51-6c6961756469")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LOCAL = timezone(timedelta(hours=8))  # Asia/Shanghai, which has not changed its clocks since 1991


_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class FactsUnfit(ValueError):
    """Facts are null, booleans, whole numbers, text without NUL, and lists and objects of these.

    No fractions: the database writes them its own way, and the hash would no longer fit.
    """


def chain_of(subject: str) -> UUID:
    """The chain of something that has no UUID of its own: ``chain_of("calendar")``."""
    return uuid5(_SUBJECTS, subject)


def canonical(facts: Mapping[str, object]) -> str:
    """``facts`` as compact JSON with sorted keys: one text for one content. Raises: FactsUnfit."""
    _check(facts)
    text = _encode(facts)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        raise FactsUnfit(FactsUnfit.__doc__) from None
    return text


def _check(value: object) -> None:
    if value is None or isinstance(value, int):
        return
    if isinstance(value, str):
        if "\0" in value:
            raise FactsUnfit(FactsUnfit.__doc__)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str) or "\0" in name:
                raise FactsUnfit(FactsUnfit.__doc__)
            _check(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check(inner)
    else:
        raise FactsUnfit(FactsUnfit.__doc__)


# --- one entry and the one before it -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the audit. ``facts`` is ``canonical`` JSON and holds no personal data."""

    chain: UUID
    seq: int  # from 1, without gaps
    at: datetime
    actor_id: UUID
    actor_role: str
    action: str
    facts: str
    hash: bytes

    def said(self) -> dict[str, Any]:
        """The facts, read."""
        facts: dict[str, Any] = json.loads(self.facts)
        return facts


def digest(
    previous: bytes,
    *,
    chain: UUID,
    seq: int,
    at: datetime,
    actor_id: UUID,
    actor_role: str,
    action: str,
    facts: str,
) -> bytes:
    """The hash of an entry: SHA-256 over the entry before it and all that this one says.

    Numbers are big-endian, 8 bytes, times microseconds since 1970; texts UTF-8 after their length.
    """
    return sha256(
        b"".join(
            (
                _ENTRY,
                previous,
                chain.bytes,
                seq.to_bytes(8, "big", signed=True),
                microseconds(at).to_bytes(8, "big", signed=True),
                actor_id.bytes,
                *(part for text in (actor_role, action, facts) for part in _measured(text)),
            )
        )
    ).digest()


def _measured(text: str) -> tuple[bytes, bytes]:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big"), encoded


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 began in UTC."""
    return (at - _EPOCH) // _MICROSECOND


def instant(at_us: int) -> datetime:
    """The opposite of ``microseconds``."""
    return _EPOCH + timedelta(microseconds=at_us)


def link(
    previous: Entry | None,
    chain: UUID,
    *,
    actor_id: UUID,
    actor_role: str,
    action: str,
    facts: Mapping[str, object],
    at: datetime,
) -> Entry:
    """The entry that follows ``previous``, or begins the chain. It is never earlier than that one.

    Raises: FactsUnfit.
    """
    said: dict[str, Any] = {
        "chain": chain,
        "seq": previous.seq + 1 if previous else 1,
        "at": (max(at, previous.at) if previous else at).astimezone(UTC),
        "actor_id": actor_id,
        "actor_role": str(actor_role),
        "action": str(action),
        "facts": canonical(facts),
    }
    return Entry(**said, hash=digest(previous.hash if previous else GENESIS, **said))


class Fault(StrEnum):
    """What is wrong with an entry of a chain."""

    MISSING = "missing"
    REPEATED = "repeated"
    ALTERED = "altered"
    BACKWARDS = "backwards"


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain is broken first."""

    seq: int
    fault: Fault


def verify_chain(entries: Iterable[Entry]) -> Break | None:
    """The first place where a chain does not hold, its ``entries`` given by their number; None if
    it holds. That something is missing at the end, a chain cannot tell of itself."""
    previous, expected, at = GENESIS, 1, None
    for entry in entries:
        if entry.seq > expected:
            return Break(expected, Fault.MISSING)
        if entry.seq < expected:
            return Break(entry.seq, Fault.REPEATED)
        if entry.hash != _digest_of(previous, entry):
            return Break(entry.seq, Fault.ALTERED)
        if at is not None and entry.at < at:
            return Break(entry.seq, Fault.BACKWARDS)
        previous, expected, at = entry.hash, expected + 1, entry.at
    return None


def _digest_of(previous: bytes, entry: Entry) -> bytes:
    return digest(
        previous,
        chain=entry.chain,
        seq=entry.seq,
        at=entry.at,
        actor_id=entry.actor_id,
        actor_role=entry.actor_role,
        action=entry.action,
        facts=entry.facts,
    )


# --- the tree over many --------------------------------------------------------------------------


@dataclass(slots=True)
class MerkleTree:
    """The root of any number of leaves in a given order, in memory for log2(n) hashes."""

    leaves: int = 0
    _peaks: list[tuple[int, bytes]] = field(default_factory=list)  # (leaves below, hash)

    def add(self, leaf: bytes) -> None:
        self.leaves += 1
        size, peak = 1, sha256(_LEAF + leaf).digest()
        while self._peaks and self._peaks[-1][0] == size:
            _, left = self._peaks.pop()
            size, peak = size * 2, sha256(_NODE + left + peak).digest()
        self._peaks.append((size, peak))

    def root(self) -> bytes:
        """32 bytes; without leaves the hash of nothing."""
        if not self._peaks:
            return sha256().digest()
        (_, root), *others = reversed(self._peaks)
        for _, left in others:
            root = sha256(_NODE + left + root).digest()
        return root


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The root over ``leaves`` in their order."""
    tree = MerkleTree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


# --- days ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SealedDay:
    """What is kept of a finished day. ``root``: over its entries' hashes, by (chain, seq)."""

    day: date
    entries: int
    root: bytes
    previous_hash: bytes
    hash: bytes
    sealed_at: datetime


def local_day(at: datetime) -> date:
    """The day an instant belongs to, in Asia/Shanghai."""
    return at.astimezone(_LOCAL).date()


def day_begins(day: date) -> datetime:
    """The first instant of a local day."""
    return datetime(day.year, day.month, day.day, tzinfo=_LOCAL)


def seal(
    previous: SealedDay | None, day: date, *, entries: int, root: bytes, sealed_at: datetime
) -> SealedDay:
    """The seal of ``day``, chained to the day before it."""
    before = previous.hash if previous else GENESIS
    return SealedDay(
        day=day,
        entries=entries,
        root=root,
        previous_hash=before,
        hash=day_digest(before, day, entries, root, sealed_at),
        sealed_at=sealed_at.astimezone(UTC),
    )


def day_digest(previous: bytes, day: date, entries: int, root: bytes, sealed_at: datetime) -> bytes:
    """The hash of a sealed day: over the day before it and all that is kept of this one."""
    return sha256(
        b"".join(
            (
                _DAY,
                previous,
                day.isoformat().encode(),
                entries.to_bytes(8, "big", signed=True),
                microseconds(sealed_at).to_bytes(8, "big", signed=True),
                root,
            )
        )
    ).digest()


class DayFault(StrEnum):
    """What is wrong with a sealed day."""

    MISSING = "missing"
    ALTERED = "altered"
    UNCHAINED = "unchained"


def verify_days(days: Sequence[SealedDay]) -> tuple[date, DayFault] | None:
    """The first day, of ``days`` in their order, that does not follow from the one before it."""
    previous: SealedDay | None = None
    for sealed in days:
        if previous is not None and sealed.day != previous.day + timedelta(days=1):
            return previous.day + timedelta(days=1), DayFault.MISSING
        if sealed.previous_hash != (previous.hash if previous else GENESIS):
            return sealed.day, DayFault.UNCHAINED
        said = (sealed.previous_hash, sealed.day, sealed.entries, sealed.root, sealed.sealed_at)
        if sealed.hash != day_digest(*said):
            return sealed.day, DayFault.ALTERED
        previous = sealed
    return None
