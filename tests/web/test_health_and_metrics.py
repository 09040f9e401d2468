"""What the machinery around the service asks."""

import asyncio

import httpx
import pytest

from app.settings import Settings, WebSettings
from app.store.session import Database, Statement
from tests.web import small


async def test_ready_follows_the_database_and_the_shutdown(
    settings: Settings, db: Database
) -> None:
    app = small.build(settings, db)
    async with small.client(app) as client:
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        assert (await client.get("/health/ready")).status_code == 200
        app.state.ready = False
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert (await client.get("/health/live")).status_code == 200


async def test_a_database_that_hangs_is_not_ready(settings: Settings, db: Database) -> None:
    sleep = Statement("SELECT pg_sleep(3)")
    held = [
        asyncio.create_task(db.one_statement(sleep)) for _ in range(settings.database.pool_size)
    ]
    try:
        await asyncio.sleep(0.1)
        async with small.client(small.build(settings, db)) as client:
            answer = await client.get("/health/ready")
        assert answer.status_code == 503
    finally:
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def test_metrics_name_routes_and_not_paths() -> None:
    async with small.client(small.build()) as client:
        await client.get("/api/v1/notes/550e8400-e29b-41d4-a716-446655440000")
        await client.get("/api/v1/13800138000")
        text = (await client.get("/metrics")).text
    assert 'http_requests_total{method="GET",route="/api/v1/notes/{note_id}",status="2xx"}' in text
    assert 'http_request_seconds_bucket{le="0.005",' in text
    assert 'route="unmatched"' in text
    assert "550e8400" not in text
    assert "13800138000" not in text


@pytest.mark.parametrize(
    ("profile", "public", "peer", "status"),
    [
        ("demo", False, "9.9.9.9", 200),
        ("production", False, "127.0.0.1", 200),
        ("production", False, "9.9.9.9", 404),
        ("production", True, "9.9.9.9", 200),
    ],
)
async def test_in_production_metrics_are_for_this_machine(
    profile: str, public: bool, peer: str, status: int
) -> None:
    settings = Settings(profile=profile, web=WebSettings(metrics_public=public))  # type: ignore[arg-type]
    transport = httpx.ASGITransport(small.build(settings), client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/metrics")).status_code == status
