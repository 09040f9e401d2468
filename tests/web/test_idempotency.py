"""Doing a thing once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.settings import Settings
from app.store.session import Database, Statement
from app.web import idempotency
from app.web.idempotency import IdempotencyKeyReused
from tests.web import small

URL = "/api/v1/notes/once"


@pytest.fixture
async def app(settings: Settings, db: Database) -> FastAPI:
    async with db.transaction() as session:
        await session.execute(text("CREATE TABLE IF NOT EXISTS effects (times int)"))
        await session.execute(text("DELETE FROM effects"))
        await session.execute(text("INSERT INTO effects VALUES (0)"))
    return small.build(settings, db)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with small.client(app) as client:
        yield client


async def effects(db: Database) -> int:
    row = await db.one_statement(Statement("SELECT times FROM effects"))
    assert row is not None
    return int(row[0])


async def put(
    client: httpx.AsyncClient, key: str, note: str = "好", version: str = '"3"'
) -> httpx.Response:
    headers = {"Idempotency-Key": key, "If-Match": version}
    return await client.put(URL, json={"text": note}, headers=headers)


async def test_the_second_call_gets_the_bytes_of_the_first(
    client: httpx.AsyncClient, db: Database
) -> None:
    key = str(uuid4())
    first, second = await put(client, key), await put(client, key)
    assert (first.status_code, first.headers["etag"]) == (202, '"4"')
    assert first.json() == {"text": "好", "number": None, "at": None, "version": 4}
    assert "idempotent-replayed" not in first.headers
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert (second.headers["etag"], second.headers["idempotent-replayed"]) == ('"4"', "true")
    assert await effects(db) == 1


async def test_another_body_or_version_under_the_same_key_is_refused(
    client: httpx.AsyncClient, db: Database
) -> None:
    key = str(uuid4())
    await put(client, key)
    for answer in (await put(client, key, "坏"), await put(client, key, version='"4"')):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await effects(db) == 1


async def test_a_refusal_is_not_kept(client: httpx.AsyncClient, db: Database) -> None:
    key = str(uuid4())
    assert (await put(client, key, "refuse")).status_code == 412
    assert (await put(client, key, "好")).status_code == 202
    assert await effects(db) == 1


async def test_fifty_at_once_have_one_effect(client: httpx.AsyncClient, db: Database) -> None:
    key = str(uuid4())
    answers = await asyncio.gather(*(put(client, key) for _ in range(50)))
    assert {answer.status_code for answer in answers} <= {202, 409, 503}
    good = [answer for answer in answers if answer.status_code == 202]
    assert len({answer.content for answer in good}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in good) == 1
    assert await effects(db) == 1


async def test_who_waits_too_long_for_the_first_is_told_so(
    client: httpx.AsyncClient, db: Database
) -> None:
    key = str(uuid4())
    async with db.transaction() as session:
        await session.execute(
            idempotency._CLAIM,
            {
                "actor_id": small.ACTOR,
                "operation": "put",
                "key": key,
                "body_hash": b"",
                "now": datetime.now(UTC),
            },
        )
        answer = await put(client, key)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_progress")
    assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 400, "idempotency_missing"),
        ([("Idempotency-Key", "")], 400, "idempotency_invalid"),
        ([("Idempotency-Key", "x" * 201)], 400, "idempotency_invalid"),
        ([("Idempotency-Key", "a b")], 400, "idempotency_invalid"),
        ([("Idempotency-Key", "路")], 400, "idempotency_invalid"),
        ([("Idempotency-Key", "a"), ("Idempotency-Key", "b")], 400, "idempotency_invalid"),
        ([("Idempotency-Key", "a")], 428, "precondition_required"),
        ([("Idempotency-Key", "a"), ("If-Match", "3")], 400, "if_match_invalid"),
        ([("Idempotency-Key", "a"), ("If-Match", '"03"')], 400, "if_match_invalid"),
        ([("Idempotency-Key", "a"), ("If-Match", 'W/"3"')], 400, "if_match_invalid"),
        ([("Idempotency-Key", "a"), ("If-Match", "*")], 400, "if_match_invalid"),
        ([("Idempotency-Key", "a"), ("If-Match", '"' + "9" * 30 + '"')], 400, "if_match_invalid"),
        ([("Idempotency-Key", "a"), ("If-Match", '"1", "2"')], 400, "if_match_invalid"),
    ],
)
async def test_the_two_headers_are_read_strictly(
    client: httpx.AsyncClient, headers: list[tuple[str, str]], status: int, code: str
) -> None:
    encoded: Any = [(name.encode(), value.encode()) for name, value in headers]
    answer = await client.put(URL, json={"text": "好"}, headers=encoded)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_kept_answer_can_be_read_without_a_transaction(
    client: httpx.AsyncClient, db: Database
) -> None:
    key = str(uuid4())
    first = await put(client, key)
    names = {"actor_id": small.ACTOR, "operation": "put", "key": key}
    body_hash = idempotency.fingerprint("PUT", URL, first.request.content, b'"3"')
    again = await idempotency.replay(db, **names, body_hash=body_hash)
    assert again is not None
    assert (again.body, again.status_code) == (first.content, 202)
    with pytest.raises(IdempotencyKeyReused):
        await idempotency.replay(db, **names, body_hash=b"other")
    assert await idempotency.replay(db, **{**names, "key": "none"}, body_hash=b"") is None


async def test_old_answers_are_forgotten(client: httpx.AsyncClient, db: Database) -> None:
    key = str(uuid4())
    await put(client, key)
    now = datetime.now(UTC)
    async with db.transaction() as session:
        kept = await idempotency.purge(session, now=now, keep=timedelta(hours=96))
        gone = await idempotency.purge(
            session, now=now + timedelta(hours=97), keep=timedelta(hours=96)
        )
    assert kept == 0
    assert gone >= 1
    assert "idempotent-replayed" not in (await put(client, key)).headers
