"""``lianxin audit``: what an auditor runs, on what the whole application has written."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from app.audit import queries
from app.cli import cli
from app.domain.audit_chain import chain_of
from app.store.session import Database
from tests.audit.world import disarmed
from tests.city import REQUESTS, CityHall


@pytest.fixture(scope="module")
async def lived(hall: CityHall) -> CityHall:
    """A city in which a few requests went their way, and the days after it are sealed."""
    await hall.replied()
    request, resident = await hall.submit(), await hall.as_resident()
    handler = await hall.as_staff("handler")
    await handler.post(f"{REQUESTS}/{request['id']}/reveal", {"reason": "约时间"}, key=None)
    await hall.act(handler, request, "sign")
    mine = await hall.submit(resident, contact={"name": "张三", "phone": "13800000001"})
    await hall.act(resident, mine, "withdraw")
    await hall.submit(category_code=None, text="请问在哪里交水费")
    await (await hall.as_staff("auditor")).get(f"{REQUESTS}/{request['id']}/audit")
    hall.clock.set("2026-03-05T02:00:00")
    await hall.work()  # whatever the clocks do by themselves is told too
    hall.clock.set("2026-03-06T02:00:00")
    await hall.work("seal_audit")
    return hall


@pytest.fixture
async def intruder(lived: CityHall) -> AsyncIterator[asyncpg.Connection]:
    """A superuser. The audit is put back after the test."""
    connection = await disarmed(lived.db.url)
    for table in ("audit_entries", "audit_roots"):
        await connection.execute(f"CREATE TABLE saved_{table} AS TABLE {table}")
    yield connection
    for table in ("audit_entries", "audit_roots"):
        await connection.execute(f"TRUNCATE {table}")
        await connection.execute(f"INSERT INTO {table} TABLE saved_{table}")
        await connection.execute(f"DROP TABLE saved_{table}")
    await connection.close()


async def run(db: Database, *arguments: object) -> Result:
    """In a thread, because a command has a loop of its own."""
    words: Sequence[str] = ["audit", *map(str, arguments)]
    return await asyncio.to_thread(CliRunner().invoke, cli, words, env={"DATABASE_URL": db.url})


async def test_what_the_application_wrote_is_whole(lived: CityHall) -> None:
    done = await run(lived.db, "verify")
    assert done.exit_code == 0, done.output
    assert "结果：完整，没有发现改动。" in done.output
    assert "已封存 4 天：2026-03-02 至 2026-03-05。" in done.output


async def test_every_step_has_its_entry_and_says_the_same(lived: CityHall, db: Database) -> None:
    connection = await asyncpg.connect(db.url)
    try:
        steps = await connection.fetch("SELECT * FROM request_events")
    finally:
        await connection.close()
    assert len(steps) > 10
    for step in steps:
        entries = await queries.of_chain(db, UUID(str(step["request_id"])))
        [entry] = [e for e in entries if e.said().get("version") == step["version"]]
        assert (entry.action, entry.actor_role) == (step["action"], step["actor_role"])
        assert entry.said()["to"] == step["state"]


async def test_an_altered_entry_is_named_and_the_command_fails(
    lived: CityHall, intruder: asyncpg.Connection
) -> None:
    chain = await intruder.fetchval(
        "UPDATE audit_entries SET action = 'reply' WHERE action = 'withdraw' RETURNING chain"
    )
    done = await run(lived.db, "verify")
    assert done.exit_code == 1
    assert f"链 {chain} 第 3 条：内容与摘要不符，记录被改动或调换过" in done.output
    assert "结果：发现" in done.output


async def test_a_history_that_was_altered_is_named(
    lived: CityHall, intruder: asyncpg.Connection
) -> None:
    row = await intruder.fetchrow(
        "UPDATE request_events SET actor_id = gen_random_uuid() WHERE action = 'reply'"
        " RETURNING request_id, version"
    )
    done = await run(lived.db, "verify")
    assert done.exit_code == 1
    assert f"链 {row['request_id']}" in done.output
    assert f"办理记录第 {row['version']} 步与审计不符" in done.output
    entry = next(
        e for e in await queries.of_chain(lived.db, row["request_id"]) if e.action == "reply"
    )
    await intruder.execute(
        "UPDATE request_events SET actor_id = $1 WHERE action = 'reply'", entry.actor_id
    )


async def test_a_whole_chain_that_is_gone_is_named(
    lived: CityHall, intruder: asyncpg.Connection
) -> None:
    chain = await intruder.fetchval("SELECT chain FROM audit_entries WHERE action = 'withdraw'")
    await intruder.execute("DELETE FROM audit_entries WHERE chain = $1", chain)
    done = await run(lived.db, "verify")
    assert done.exit_code == 1
    assert f"链 {chain} 整链：办理记录有 3 步，审计链却不存在" in done.output


async def test_the_list_kept_elsewhere_tells_what_the_database_cannot(
    lived: CityHall, intruder: asyncpg.Connection, tmp_path: Path
) -> None:
    listed = await run(lived.db, "roots")
    assert listed.exit_code == 0
    assert len(listed.stdout.splitlines()) == 5
    kept = tmp_path / "roots.txt"
    kept.write_text(listed.stdout, encoding="utf-8")
    done = await run(lived.db, "verify", "--roots", kept)
    assert done.exit_code == 0, done.output
    assert "已与外存清单的 4 天逐一比对。" in done.output
    await intruder.execute("DELETE FROM audit_roots WHERE day = '2026-03-05'")
    done = await run(lived.db, "verify")
    assert done.exit_code == 0
    assert "2026-03-04 之后的日子没有封存" in done.output
    done = await run(lived.db, "verify", "--roots", kept)
    assert done.exit_code == 1
    assert "2026-03-05：外存清单中有这一天，数据库中没有" in done.output


async def test_the_list_begins_where_it_is_asked_to(lived: CityHall) -> None:
    listed = await run(lived.db, "roots", "--since", "2026-03-04")
    days = [line.split("\t")[0] for line in listed.stdout.splitlines()[1:]]
    assert days == ["2026-03-04", "2026-03-05"]


async def test_a_file_that_is_no_list_is_refused(lived: CityHall, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("hello\n", encoding="utf-8")
    done = await run(lived.db, "verify", "--roots", other)
    assert done.exit_code == 1
    assert "line 1 is not" in done.output


async def test_many_findings_are_counted(lived: CityHall, intruder: asyncpg.Connection) -> None:
    await intruder.execute("""
        INSERT INTO audit_entries
        SELECT lpad(to_hex(n), 32, '0')::uuid, 1, now(), gen_random_uuid(), 'system', 'x', '{}',
          sha256('')
        FROM generate_series(1, 60) AS n
    """)
    done = await run(lived.db, "verify")
    assert done.exit_code == 1
    assert "结果：发现 60 处问题。" in done.output
    assert "其余 10 处未列出。" in done.output


# --- chains of other things than requests --------------------------------------------------------


@pytest.fixture(scope="module")
async def account(lived: CityHall) -> UUID:
    """Made today, which is not sealed: create_staff, log_in, log_in, log_out, log_in."""
    caller = await lived.as_staff("auditor", number=9)
    await caller.log_in()
    assert (await caller.post("/api/v1/auth/logout", key=None)).status_code == 204
    await caller.log_in()
    return caller.id


SWAP = """
UPDATE audit_entries AS entry SET hash = other.hash, facts = other.facts, at = other.at
FROM audit_entries AS other
WHERE entry.chain = $1 AND other.chain = $1 AND (entry.seq, other.seq) IN ((2, 3), (3, 2))
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE audit_entries SET facts = '{}' WHERE chain = $1 AND seq = 1", "第 1 条：内容与"),
        (
            "UPDATE audit_entries SET at = at - interval '1 min' WHERE chain = $1 AND seq = 5",
            "5 条",
        ),
        ("DELETE FROM audit_entries WHERE chain = $1 AND seq = 3", "第 3 条：这一条缺失"),
        (SWAP, "第 2 条：内容与摘要不符"),
        ("DELETE FROM audit_entries WHERE chain = $1 AND seq = 5", "（log_in：session："),
        ("DELETE FROM audit_entries WHERE chain = $1 AND seq >= 4", "（log_out：session："),
        ("DELETE FROM audit_entries WHERE chain = $1", "（create_staff），链尾被截断"),
    ],
)
async def test_a_changed_chain_of_an_account_is_named_on_the_same_day(
    account: UUID, lived: CityHall, intruder: asyncpg.Connection, change: str, said: str
) -> None:
    assert (await run(lived.db, "verify")).exit_code == 0
    await intruder.execute(change, account)
    done = await run(lived.db, "verify")
    assert done.exit_code == 1
    assert f"链 {account}" in done.output
    assert said in done.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE staff SET active = false WHERE id = $1", "（deactivate）"),
        ("UPDATE staff SET session_epoch = 1 WHERE id = $1", "（epoch：1）"),
    ],
)
async def test_an_account_that_differs_from_its_chain_is_named(
    account: UUID, lived: CityHall, intruder: asyncpg.Connection, change: str, said: str
) -> None:
    await intruder.execute(change, account)
    done = await run(lived.db, "verify")
    await intruder.execute(
        "UPDATE staff SET active = true, session_epoch = 0 WHERE id = $1", account
    )
    assert done.exit_code == 1
    assert said in done.output


SEALED = ("units", "sla_policies", "categories", "routing_rules", "calendar")


@pytest.mark.parametrize("subject", SEALED)
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_entries SET facts = '{}' WHERE chain = $1 AND seq = 1",
        "UPDATE audit_entries SET actor_role = 'admin' WHERE chain = $1",
        "DELETE FROM audit_entries WHERE chain = $1 AND seq = 1",
        "UPDATE audit_entries SET seq = seq + 1 WHERE chain = $1",
    ],
)
async def test_a_changed_chain_of_reference_data_is_found_once_its_day_is_sealed(
    lived: CityHall, intruder: asyncpg.Connection, subject: str, change: str
) -> None:
    await intruder.execute(change, chain_of(subject))
    done = await run(lived.db, "verify")
    assert done.exit_code == 1
    assert str(chain_of(subject)) in done.output or "2026-03-02：封存时有" in done.output


async def test_a_calendar_that_nobody_published_is_named(
    lived: CityHall, intruder: asyncpg.Connection
) -> None:
    await intruder.execute(
        "INSERT INTO calendars SELECT 99, published_at, coverage_from, coverage_to, frames, sources"
        " FROM calendars"
    )
    done = await run(lived.db, "verify")
    await intruder.execute("DELETE FROM calendars WHERE version = 99")
    assert done.exit_code == 1
    assert "（publish_calendar：calendar_version：99）" in done.output


async def test_two_chains_that_change_places_are_found(
    account: UUID, lived: CityHall, intruder: asyncpg.Connection
) -> None:
    other = await lived.as_staff("auditor")
    spare = chain_of("nothing")
    for old, new in ((account, spare), (other.id, account), (spare, other.id)):
        await intruder.execute(
            "UPDATE audit_entries SET chain = $2 WHERE chain = $1 AND seq = 1", old, new
        )
    done = await run(lived.db, "verify")
    assert done.exit_code == 1
    assert f"链 {account} 第 1 条" in done.output
    assert f"链 {other.id} 第 1 条" in done.output
