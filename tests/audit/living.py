"""A city in which everything that can be written is written at least once."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.coverage import LoadRule
from app.domain.geometry import CoordSys
from app.domain.identity import SYSTEM
from app.domain.registry import Kind
from app.domain.satisfaction import is_sampled
from app.grids import conventions, demo, legacy
from app.grids import service as grids
from app.grids.kinds import GridLevel
from app.intelligence import service as intelligence
from app.intelligence.history_file import Case
from app.intelligence.learning import fit
from app.people import service as people
from app.people.passwords import PasswordPool
from app.registry import columns
from app.registry.importing import Importer
from app.registry.sheets import Row
from tests.city import GRID, REQUESTS, Caller, CityHall
from tests.grids.shapes import document, feature, square
from tests.registry.world import record, send, taken
from tests.requests.doing import BAD, GOOD, REPLY, rejected, seen, working
from tests.statistics.world import figures_live
from tests.teams.world import a_team_lives

CALENDARS = "/api/v1/calendars"
OK = {"decision": "approve", "note": "同意"}
NEW_YEAR = {
    "year": 2027,
    "papers": ["https://example.org/2027"],
    "days": [{"name": "元旦", "date": f"2027-01-0{day}", "isOffDay": True} for day in (1, 2, 3)],
}


async def live(hall: CityHall) -> None:
    """Drive all of it through its own doors."""
    await _accounts(hall)
    await _requests(hall)
    await _joined(hall)
    await _registers(hall)
    await _routing(hall)
    await figures_live(hall)
    await a_team_lives(await hall.as_staff("admin"), await hall.as_staff("grid_leader"))
    await _calendar(hall)
    await _places(hall)


async def _accounts(hall: CityHall) -> None:
    caller = await hall.as_staff("auditor")
    resident = await hall.as_resident()
    wrong = {**caller.login_form(), "password": "not this one"}
    for _ in range(6):
        await hall.client.post("/api/v1/auth/staff", json=wrong)
        await hall.client.post("/api/v1/auth/staff", json={**wrong, "username": "nobody.here"})
    for one in (await hall.as_staff("auditor", number=2), resident):
        answer = await one.post("/api/v1/auth/logout", key=None)
        assert answer.status_code == 204
    passwords = PasswordPool()
    async with hall.db.transaction() as session:
        await people.set_password(
            session, caller.id, "another good phrase", passwords=passwords, now=hall.clock.now
        )
        await people.deactivate(session, caller.id, now=hall.clock.now)
    passwords.close()
    hall.clock.forward(hours=2)
    await (await hall.as_resident("甲")).get("/api/v1/me")  # its session slides


async def _places(hall: CityHall) -> None:
    for name in ("新镇", "新新镇"):
        async with hall.db.transaction() as session:
            await grids.import_geojson(
                session,
                document(feature("110101999", square(116.4, 39.9), name=name)),
                coord_sys=CoordSys.WGS84,
                level=GridLevel.TOWN,
                now=hall.clock.now,
            )
    async with hall.db.transaction() as session:
        await demo.seed(session, now=hall.clock.now)
    async with hall.db.transaction() as session:
        await _reorganise(session, hall.clock.now)


async def _reorganise(session: AsyncSession, now: datetime) -> None:
    """A town that gives its ground to another, inside an outline; and everything besides."""
    outline = feature("110101", square(116.3, 39.8, 0.3), name="某区")
    ground = square(116.4, 39.9)
    heir = feature("110101998", ground, name="后镇", predecessors=["110101999"])
    content = document(outline, heir)
    await grids.import_geojson(
        session, content, coord_sys=CoordSys.WGS84, level=GridLevel.TOWN, now=now
    )
    last = await grids.last_applied(session)
    assert last is not None
    await grids.roll_back(session, last.id, version=last.version, actor=SYSTEM, now=now)
    await conventions.name_levels(session, "370281", {GridLevel.COMMUNITY: "新村"}, now=now)
    await conventions.rule_load(session, LoadRule(GridLevel.GRID, 30, 60), now=now)
    listed = "kind,code,name,grid_code\nparty,D1,支部,110101999\n"
    await legacy.import_list(session, listed.encode(), now=now)


async def _requests(hall: CityHall) -> None:
    handler, leader = await hall.as_staff("handler"), await hall.as_staff("unit_leader")
    desk, boss = await hall.as_staff("dispatcher"), await hall.as_staff("supervisor")
    other = await hall.as_staff("handler", unit="water")
    first = await hall.as_resident("甲")

    request = await working(hall, handler, first, contact={"name": "张三", "phone": "13800138000"})
    await handler.post(f"{REQUESTS}/{request['id']}/reveal", {"reason": "约时间"}, key=None)
    await (await hall.as_staff("auditor", number=3)).get(f"{REQUESTS}/{request['id']}/audit")
    request = await hall.act(
        handler, request, "request_extension", working_days=2, reason_code="survey", note="核实"
    )
    request = await hall.act(desk, request, "decide_extension", **OK)
    request = await hall.act(leader, request, "co_assign", unit_code="water", task="抽水")
    [part] = (await seen(leader, request))["co_tasks"]
    request = await hall.act(
        other, request, "co_feedback", co_task_id=part["id"], step="decline", note="管不了"
    )
    request = await hall.act(handler, request, "ask_info", note="哪一盏？")
    request = await hall.act(first, request, "supply", text="东边那盏")
    until = "2026-03-16"
    request = await hall.act(
        leader, request, "suspend", reason_code="weather", until=until, note="汛期"
    )
    request = await hall.act(desk, request, "suspend", decision="approve", note="同意")
    request = await hall.act(leader, request, "resume", text="可以了")
    request = await hall.act(boss, request, "supervise", level=1, note="请加快")
    request = await hall.act(leader, request, "supervise", note="明日完工")
    request = await hall.act(handler, request, "reply", **REPLY)
    request = await hall.act(first, request, "rate", **BAD)
    request = await hall.act(boss, request, "decide_reopen", decision="reopen", note="重办")
    await rejected(hall)
    await hall.act(first, await hall.submit(first), "withdraw")
    happy = await hall.replied(first)
    await hall.act(first, happy, "rate", **GOOD)
    await _sampled(hall, boss, happy["id"])
    await _called_back(hall, boss)
    await hall.work()


async def _sampled(hall: CityHall, boss: Caller, request_id: str) -> None:
    leader, url = await hall.as_staff("unit_leader"), "/api/v1/satisfaction"
    hall.clock.forward(seconds=1)  # what is answered now is in the past
    form = {"title": "三月", "replied_from": "2026-03-01", "replied_to": "2026-03-31"}
    answer = await boss.post(f"{url}/campaigns", {**form, "sample_size": 5})
    assert answer.status_code == 201, answer.text
    form = {"ground": "malicious", "evidence": "录音证实", "measures": ["satisfied"]}
    answer = await leader.post(f"{url}/exclusions", {**form, "request_id": request_id})
    assert answer.status_code == 201, answer.text
    path = f"{url}/exclusions/{answer.json()['id']}"
    answer = await boss.post(f"{path}/decide", {"decision": "approve", "note": "属实"}, version=1)
    assert answer.status_code == 200, answer.text
    third = await hall.as_staff("supervisor", number=3)
    answer = await third.post(f"{path}/revoke", {"note": "复核不属实"}, version=2)
    assert answer.status_code == 200, answer.text


async def _called_back(hall: CityHall, boss: Caller) -> None:
    for _ in range(200):
        request = await hall.submit()
        if is_sampled(UUID(request["id"]), 1):
            handler = await hall.as_staff("handler")
            request = await hall.act(handler, request, "sign")
            request = await hall.act(handler, request, "contact", method="phone", result="reached")
            request = await hall.act(handler, request, "reply", **REPLY)
            said = {"reached": True, "solved": "solved", "satisfaction": 4}
            await hall.act(boss, request, "call_back", **said)
            return


async def _joined(hall: CityHall) -> None:
    handler, desk = await hall.as_staff("handler"), await hall.as_staff("dispatcher")
    follower, master = await hall.submit(), await hall.submit()
    await hall.act(desk, follower, "merge", master_id=master["id"], note="同一盏灯")
    master = await seen(handler, master)
    master = await hall.act(handler, master, "sign")
    await hall.act(handler, master, "contact", method="phone", result="reached")
    follower = await seen(desk, follower)
    await hall.act(desk, follower, "unmerge", note="不是同一盏")


async def _registers(hall: CityHall) -> None:
    leader, house = await hall.as_staff("grid_leader"), str(uuid4())
    lives = {"residences": [{"house_id": house}]}
    made = await taken(
        leader,
        record("plot"),
        record("building"),
        record("house", id=house),
        record("household", lives),
        record("person", lives),
    )
    confirmed = record("house", id=house, collected_at=hall.clock.now.isoformat())
    changed = record("person", {"phone": ...}, id=made[4]["id"], base_version=1)
    await send(leader, confirmed, changed)
    sheet = [("code", "name", "grid_code"), ("P1", "张三", GRID)]
    layout = columns.layout_of(Kind.PERSON, sheet[0])
    async with hall.db.transaction() as session:
        importer = Importer(
            session, hall.app.state.cipher, Kind.PERSON, layout, apply=True, now=hall.clock.now
        )
        await importer.open()
        await importer.take(importer.read([Row(2, list(sheet[1]), [])]))
        await importer.close("0" * 64)


async def _routing(hall: CityHall) -> None:
    """Another set of rules, and a history that something is learned from."""
    admin, url = await hall.as_staff("admin"), "/api/v1/routing/versions"
    draft = (await admin.post(url, {})).json()
    path = f"{url}/{draft['set_version']}"
    rule = {"unit_code": "water", "category_code": "road.lamp", "priority": -1}
    draft = (await admin.post(f"{path}/rules", {"add": [rule]}, version=1)).json()
    answer = await admin.post(f"{path}/activate", version=draft["version"])
    assert answer.status_code == 200, answer.text
    cases = [Case(str(n), {"town": "甲"}, f"u{n}", f"u{n}", None) for n in range(2)]
    model = fit([(case.fields, case.unit) for case in cases])
    async with hall.db.transaction() as session:
        await intelligence.import_cases(session, cases, origin="x", now=hall.clock.now)
        await intelligence.keep_model(session, model, cases=2, metrics={}, now=hall.clock.now)


async def _calendar(hall: CityHall) -> None:
    """Published, so that some due times move; then the clocks run on until nothing is open."""
    admin = await hall.as_staff("admin")
    hall.clock.set("2026-12-28T10:00:00")
    await hall.submit()
    draft = {"years": [NEW_YEAR]}
    preview = (await admin.post(f"{CALENDARS}/preview", {"draft": draft}, key=None)).json()
    form = {name: preview[name] for name in ("draft_hash", "base_version")}
    answer = await admin.post(CALENDARS, {**form, "draft": draft})
    assert answer.status_code == 201, answer.text
    await hall.app.state.reference.refresh(hall.db)
    for _ in range(3):
        await hall.work("recalculate_promises")
    for _ in range(6):
        hall.clock.forward(days=3)
        await hall.work()
