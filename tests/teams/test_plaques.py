"""Plaques: what the page says and what not, what its code leads to, and when it leads nowhere."""

import base64
import re
from hashlib import sha256
from html.parser import HTMLParser

import pytest
import segno
import zxingcpp
from markupsafe import escape

from app.teams import doors, pages
from tests.city import GRID, MICRO_GRID
from tests.teams.world import SINCE, TEAMS, TODAY, change, leader, person, team


class Read(HTMLParser):
    """A page as a reader meets it: tags with their attributes, and the text outside the head."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.style = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "rect", "path", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        elif "body" in self.open and data.strip():
            self.texts.append(data.strip())

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def squares(read: Read) -> list[list[bool]]:
    """The QR code as it is drawn."""
    [svg] = [it for it in read.attributes("svg") if it["class"] == "code"]
    side = int(str(svg["viewbox"]).split()[2])
    drawn = [[False] * side for _ in range(side)]
    [path] = read.attributes("path")
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path["d"] or "")
    assert "".join(f"M{x} {y}h{w}v1h-{b}z" for x, y, w, b in runs) == path["d"]
    for x, y, wide, back in runs:
        assert wide == back
        for at in range(int(x), int(x) + int(wide)):
            drawn[int(y)][at] = True
    return drawn


def decoded(drawn: list[list[bool]], scale: int = 4) -> str:
    """What a reader of QR codes makes of it."""
    side = len(drawn) * scale
    grey = bytes(
        0 if drawn[y // scale][x // scale] else 255 for y in range(side) for x in range(side)
    )
    image = memoryview(grey).cast("B", (side, side))
    [found] = zxingcpp.read_barcodes(image)
    return str(found.text)


@pytest.fixture(scope="module")
async def admin(as_staff):
    return await as_staff("admin")


@pytest.fixture(scope="module")
async def plaque(admin):
    """A whole team, and its plaque."""
    duties = ["policy", "emergency"]
    first = await change(admin, "/members", leader(name="欧阳<b>明</b>", duties=duties))
    seats = [
        ("cadre", person(name="王二", phone="13900139000")),
        ("helper", person(name="赵六", published=True, phone="13900139001")),
        ("helper", person(name="孙七", phone="13900139002")),
    ]
    for seat, who in seats:
        await change(admin, "/members", {**who, "seat": seat, "since": SINCE})
    group = {"name": "第一党小组", "secretary_id": first["member_id"], "since": SINCE}
    await change(admin, "/party-group", {"group": group})
    return (await change(admin, "/plaque"))["plaque"]


async def test_an_id_says_nothing_of_the_place(plaque) -> None:
    assert re.fullmatch(r"[0-9A-Za-z]{10}", plaque["id"])
    assert plaque["url"] == f"http://127.0.0.1/plaques/{plaque['id']}"
    assert plaque["scene"] == f"p={plaque['id']}"
    assert len(plaque["scene"]) <= 32


@pytest.mark.parametrize("size", ["a4", "a5"])
async def test_the_sheet_is_a_page_to_print_that_loads_nothing(admin, plaque, size) -> None:
    answer = await admin.get(f"{TEAMS}/{GRID}/plaque/sheet", params={"size": size})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    read = Read(answer.text)
    assert read.open == []
    assert f"size: {size.upper()} portrait" in read.style
    assert {"script", "img", "link", "iframe", "form"}.isdisjoint({tag for tag, _ in read.tags})
    assert not any(name in ("style", "src", "onclick") for _, it in read.tags for name in it)
    assert re.search(r"url\(|@import", read.style) is None
    digest = base64.b64encode(sha256(read.style.encode()).digest()).decode()
    [policy] = answer.headers.get_list("content-security-policy")
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    said = " ".join(read.texts)
    for word in (
        "欧阳<b>明</b>",
        "13800138000",
        "照片粘贴处",
        "政策宣传",
        "应急处置",
        "网格服务牌",
    ):
        assert word in said


async def test_the_code_on_the_sheet_reads_as_the_address_and_nothing_else(admin, plaque) -> None:
    answer = await admin.get(f"{TEAMS}/{GRID}/plaque/sheet")
    drawn = squares(Read(answer.text))
    assert decoded(drawn) == plaque["url"]
    matrix = segno.make_qr(plaque["url"], error="m").matrix
    assert [row[4:-4] for row in drawn[4:-4]] == [[bool(it) for it in row] for row in matrix]
    assert not any(any(row) for row in drawn[:4] + drawn[-4:])


async def test_anybody_who_reads_the_code_sees_what_was_published_and_no_more(
    client, plaque
) -> None:
    answer = await client.get(plaque["url"])
    assert answer.status_code == 200, answer.text
    read = Read(answer.text)
    said = " ".join(read.texts)
    for word in ("欧阳<b>明</b>", "13800138000", "赵六", "第一党小组"):
        assert word in said
    for word in ("王二", "孙七", "13900139"):
        assert word not in answer.text
    assert "<b>" not in answer.text
    assert [it["href"] for it in read.attributes("a")] == ["tel:13800138000"]
    [policy] = answer.headers.get_list("content-security-policy")
    assert "default-src 'none'; style-src 'sha256-" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"


async def test_the_mini_program_is_told_the_same(client, plaque) -> None:
    answer = await client.get(f"{TEAMS}/plaques/{plaque['id']}")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["leader"] == {
        "title": "网格长",
        "name": "欧阳<b>明</b>",
        "phone": "13800138000",
    }
    assert shown["others"] == [
        {"title": "包联村干部", "names": [], "unnamed": 1},
        {"title": "党员中心户", "names": ["赵六"], "unnamed": 1},
    ]
    assert shown["duties"] == ["政策宣传", "应急处置"]
    assert "13900139" not in answer.text


async def test_what_is_no_longer_published_is_no_longer_shown(admin, client, plaque) -> None:
    first = (await team(admin))["members"][0]
    path = f"/members/{first['id']}/amend"
    await change(admin, path, {"published": False})
    page = (await client.get(plaque["url"])).text
    assert "13800138000" not in page
    assert "欧阳" not in page
    assert "（未公开）" in page
    await change(admin, path, {"published": True})


async def test_a_code_that_never_was_is_a_page_that_says_so(client) -> None:
    for strange in ("0000000000", "x", "' OR 1=1", "%E4%BD%A0", "a" * 500):
        answer = await client.get(f"/plaques/{strange}")
        assert answer.status_code == 404, strange
        assert "没有这块服务牌" in Read(answer.text).texts
    answer = await client.get(f"{TEAMS}/plaques/0000000000")
    assert (answer.status_code, answer.json()["code"]) == (404, "plaque_not_found")


async def test_nobody_can_try_out_ids(client, plaque, monkeypatch) -> None:
    monkeypatch.setattr(doors, "_LOOKS_PER_MINUTE", 1)
    for _ in range(2):
        answer = await client.get(plaque["url"])
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")


async def test_a_new_plaque_revokes_the_former_and_a_revoked_one_says_so(
    admin, client, plaque
) -> None:
    new = (await change(admin, "/plaque"))["plaque"]
    assert new["id"] != plaque["id"]
    gone = await client.get(plaque["url"])
    assert gone.status_code == 410
    assert "服务牌已停用" in Read(gone.text).texts
    assert "欧阳" not in gone.text
    assert (await client.get(new["url"])).status_code == 200
    await change(admin, "/plaque/revoke")
    assert (await client.get(new["url"])).status_code == 410
    answer = await client.get(f"{TEAMS}/plaques/{new['id']}")
    assert (answer.status_code, answer.json()["code"]) == (410, "plaque_revoked")
    answer = await admin.get(f"{TEAMS}/{GRID}/plaque/sheet")
    assert (answer.status_code, answer.json()["code"]) == (404, "plaque_missing")
    assert (await change(admin, "/plaque/revoke", status=404))["code"] == "plaque_missing"


async def test_a_plaque_follows_the_leader_who_is_there(admin, client) -> None:
    url = (await change(admin, "/plaque"))["plaque"]["url"]
    first = (await team(admin))["members"][0]
    heir = person(name="李四", phone="13500135000", published=True)
    form = {"until": TODAY, "successor": heir}
    await change(admin, f"/members/{first['id']}/end", form)
    page = (await client.get(url)).text
    assert "李四" in page
    assert "欧阳" not in page


async def test_without_a_published_leader_there_is_no_plaque(admin) -> None:
    refused = await change(admin, "/plaque", code=MICRO_GRID, status=409)
    assert refused["code"] == "plaque_leader_not_published"
    await change(admin, "/members", leader(published=False), code=MICRO_GRID)
    refused = await change(admin, "/plaque", code=MICRO_GRID, status=409)
    assert refused["code"] == "plaque_leader_not_published"


async def test_a_micro_grid_has_a_plaque_of_its_own(admin, client) -> None:
    first = (await team(admin, MICRO_GRID))["members"][0]
    await change(admin, f"/members/{first['id']}/amend", {"published": True}, code=MICRO_GRID)
    url = (await change(admin, "/plaque", code=MICRO_GRID))["plaque"]["url"]
    assert "微网格长" in (await client.get(url)).text
    sheet = await admin.get(f"{TEAMS}/{MICRO_GRID}/plaque/sheet")
    assert "微网格服务牌" in Read(sheet.text).texts


def test_style_sheets_hold_nothing_that_would_be_escaped() -> None:
    """Or else the browser would refuse them: the hash is that of the text as it stands here."""
    for style in pages._FOLDER.glob("*.css"):
        text = style.read_text("utf-8")
        assert str(escape(text)) == text, style.name
