"""The hashes of the audit computed once more, from the description of their form alone.

Nothing of the program that wrote them is used: ``lianxin audit verify`` could be wrong in the same
way as the writing. The form: SHA-256 over a name, the hash before, chain, number, microseconds
since 1970, actor; then role, action and facts (JSON, keys sorted), each after its length.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

ENTRIES = "SELECT * FROM audit_entries ORDER BY chain, seq"
# Every step has one entry, which says the same; no entry tells of a step that was not taken.
UNTOLD = """
SELECT coalesce(event.request_id, entry.chain)::text,
  concat_ws(' ', event.version, event.action, entry.seq, entry.action)
FROM request_events AS event
FULL JOIN (SELECT * FROM audit_entries WHERE facts ? 'version') AS entry
  ON entry.chain = event.request_id AND (entry.facts->>'version')::int = event.version
WHERE event.version IS NULL OR entry.seq IS NULL
  OR (entry.action, entry.actor_id, entry.actor_role, entry.facts->>'to')
     IS DISTINCT FROM (event.action, event.actor_id, event.actor_role, event.state)
  OR entry.at < event.at
"""


def broken(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """The entries that do not follow the one before them, chain by chain in order."""
    found: list[str] = []
    chain, seq, before = None, 0, b""
    for entry in entries:
        if entry["chain"] != chain:
            chain, seq, before = entry["chain"], 0, bytes(32)
        seq += 1
        if entry["seq"] != seq or entry["hash"] != _hash(before, entry):
            found.append(f"{chain} {entry['seq']} {entry['action']}")
            seq = entry["seq"]
        before = entry["hash"]
    return found


def _hash(before: bytes, entry: Mapping[str, Any]) -> bytes:
    since = entry["at"] - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    said = b"lianxin audit entry 1\0" + before + entry["chain"].bytes
    said += entry["seq"].to_bytes(8, "big") + micros.to_bytes(8, "big") + entry["actor_id"].bytes
    facts = json.loads(entry["facts"])
    told = json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    for words in (entry["actor_role"], entry["action"], told):
        encoded = words.encode()
        said += len(encoded).to_bytes(4, "big") + encoded
    return sha256(said).digest()
