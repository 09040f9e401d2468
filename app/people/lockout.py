"""When wrong passwords close the door, and for whom.

Failures are counted in the database, shared by all workers, under three keys:

* the name typed and the network it came from: few (``limits.login_failures``). Whoever guesses
  from one network locks out that network and nobody else;
* the name alone: many, against guessing from many networks. It does not bind a network from which
  the owner of the account has logged in before;
* the network alone: many, against trying one password on many names.

A name that no account has is counted like any other.

That a door closed is told in the audit, in the account's own chain; where the name is nobody's, in
one of the name and the network, which are not told themselves.
"""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from uuid import UUID

from app.audit.heads import ADD_ENTRY, Head, columns, join_head
from app.domain.audit_chain import chain_of
from app.domain.errors import TooMany, Unauthenticated
from app.domain.identity import SYSTEM
from app.people.models import ADDRESS_PLACE
from app.settings import LimitSettings
from app.store.crypto import FieldCipher
from app.store.session import Statement

_NAME_FACTOR = 10
_NETWORK_FACTOR = 40
_KEY_PLACE = "login_failures.key"


class InvalidCredentials(Unauthenticated):
    """用户名或密码不正确。"""

    code = "invalid_credentials"


class LoginLocked(TooMany):
    """密码错误次数过多，请稍后再试。"""

    code = "login_locked"


def network_of(address: str) -> str:
    """The network an address belongs to: itself, or the /64 that an IPv6 customer owns."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


@dataclass(frozen=True, slots=True)
class Keys:
    """Under which keys an attempt is counted, and how many failures each bears."""

    pair: bytes
    name: bytes
    network: bytes
    network_index: bytes
    limits: LimitSettings

    @classmethod
    def of(cls, username: str, address: str, cipher: FieldCipher, limits: LimitSettings) -> "Keys":
        network = network_of(address)

        def key(*parts: str) -> bytes:
            return cipher.blind_index("\0".join(parts), place=_KEY_PLACE)

        return cls(
            pair=key("pair", username, network),
            name=key("name", username),
            network=key("network", network),
            network_index=cipher.blind_index(network, place=ADDRESS_PLACE),
            limits=limits,
        )

    def values(self) -> dict[str, object]:
        """The parameters that the statements below share."""
        most = self.limits.login_failures
        return {
            "pair": self.pair,
            "name": self.name,
            "network": self.network,
            "pair_most": most,
            "name_most": most * _NAME_FACTOR,
            "network_most": most * _NETWORK_FACTOR,
        }

    @property
    def stranger(self) -> UUID:
        """The chain of the audit for a name that nobody has."""
        return chain_of(f"login:{self.pair.hex()}")


# Which of the three doors closed, as the audit says it; NOTE_FAILURE counts in these steps.
_DOORS = ("name_and_network", "name", "network")


def closing(head: Head, *, ends_at: datetime, now: datetime) -> dict[str, object]:
    """The parameters of NOTE_FAILURE that tell of a lock: which doors closed, only the statement
    itself finds out, so that it is given an entry for every answer."""
    entries = [
        head.next_entry(
            actor=SYSTEM,
            action="login_locked",
            facts={
                "doors": [door for place, door in enumerate(_DOORS) if closed >> place & 1],
                "until": ends_at.isoformat(),
            },
            now=now,
        )
        for closed in range(1, 1 << len(_DOORS))
    ]
    told = columns(entries[0])
    del told["entry_facts"], told["entry_hash"]
    return {
        **told,
        "facts_if_closed": [entry.facts for entry in entries],
        "hash_if_closed": [entry.hash for entry in entries],
    }


# One row whether the account exists or not.
KNOCK = Statement(
    f"""
    SELECT w.id, w.username, w.display_name, w.role, w.unit_code, w.grid_code,
           w.password_hash, w.active, w.session_epoch,
           head_seq, head_at, head_hash, sealed_day, (
        SELECT max(f.ends_at) FROM login_failures f
        WHERE f.ends_at > :now
          AND (f.key = :pair AND f.failures >= :pair_most
            OR f.key = :network AND f.failures >= :network_most
            OR f.key = :name AND f.failures >= :name_most AND NOT EXISTS (
                SELECT FROM login_sessions s
                WHERE s.account_id = w.id AND s.address_index = :network_index))
    ) AS locked_until
    FROM (VALUES (true)) AS always(row)
    LEFT JOIN staff w ON w.username = :username
    {join_head("coalesce(w.id, :stranger::uuid)")}
    """  # noqa: S608 - our own words
)
# A count starts anew when its window is over; a full one stays full for the whole lock time. In
# key order, so that two attempts never wait for each other. The failure that fills a count is told.
NOTE_FAILURE = Statement(
    """
    WITH counted AS (
        INSERT INTO login_failures AS f (key, failures, ends_at)
        SELECT k.key, 1, :ends_at::timestamptz
        FROM (VALUES (:pair::bytea), (:name::bytea), (:network::bytea)) AS k(key) ORDER BY k.key
        ON CONFLICT (key) DO UPDATE SET
            failures = CASE WHEN f.ends_at <= :now THEN 1 ELSE f.failures + 1 END,
            ends_at = CASE
                WHEN f.ends_at <= :now THEN excluded.ends_at
                WHEN f.failures + 1 = CASE f.key
                    WHEN :pair THEN :pair_most::int
                    WHEN :name THEN :name_most::int ELSE :network_most::int END
                THEN excluded.ends_at
                ELSE f.ends_at END
        RETURNING key, failures, ends_at
    ), closed AS (
        SELECT sum(CASE WHEN key = :pair AND failures = :pair_most THEN 1
                        WHEN key = :name AND failures = :name_most THEN 2
                        WHEN key = :network AND failures = :network_most THEN 4
                        ELSE 0 END)::int AS doors
        FROM counted
    ), told AS (
        INSERT INTO audit_entries (chain, seq, at, actor_id, actor_role, action, facts, hash)
        SELECT :entry_chain::uuid, :entry_seq::int, :entry_at::timestamptz, :entry_actor_id::uuid,
               :entry_actor_role::text, :entry_action::text,
               ((:facts_if_closed::text[])[doors])::jsonb, (:hash_if_closed::bytea[])[doors]
        FROM closed WHERE doors > 0
    )
    SELECT max(ends_at) AS locked_until FROM counted
    WHERE key = :pair AND failures > :pair_most
    """
)
# Nothing opens if, while we were hashing, others used up the failures or the password changed.
OPEN = Statement(
    f"""
    WITH locked AS (
        SELECT ends_at FROM login_failures
        WHERE key = :pair AND failures >= :pair_most AND ends_at > :now
    ), account AS (
        SELECT id FROM staff
        WHERE id = :account_id AND active AND session_epoch = :epoch
          AND NOT EXISTS (SELECT FROM locked)
    ), opened AS (
        INSERT INTO login_sessions (token_hash, kind, account_id, epoch, address_index,
                                    created_at, expires_at, last_seen_at)
        SELECT :token_hash, 'staff', id, :epoch, :network_index, :now, :expires_at, :now
        FROM account RETURNING account_id
    ), cleared AS (
        DELETE FROM login_failures WHERE key = :pair AND EXISTS (SELECT FROM opened)
    ), rehashed AS (
        UPDATE staff SET password_hash = :new_hash::text
        WHERE id = (SELECT account_id FROM opened) AND :new_hash::text IS NOT NULL
    ), told AS (
        {ADD_ENTRY} FROM opened
    )
    SELECT EXISTS (SELECT FROM opened) AS opened, (SELECT ends_at FROM locked) AS locked_until
    """  # noqa: S608 - our own words
)
