"""The leader's photograph: what is made of a file, where it is shown, and what is refused."""

import base64
import struct
import zlib
from io import BytesIO
from random import Random

import pytest
from PIL import Image
from sqlalchemy import text

from app.domain.audit_chain import chain_of
from app.domain.errors import Invalid
from app.teams import portraits
from app.teams.portraits import JPEG, MAX_BYTES, PNG, portrait_of
from tests.city import GRID, MICRO_GRID
from tests.teams.test_plaques import Read
from tests.teams.world import SINCE, TEAMS, TODAY, change, leader, person, photo, picture, team

NOBODY = "01980000-0000-7000-8000-000000000000"


def opened(jpeg: bytes) -> Image.Image:
    return Image.open(BytesIO(jpeg), formats=("JPEG",))


def near(colour, other) -> bool:
    return all(abs(a - b) <= 6 for a, b in zip(colour, other, strict=True))


# --- what is made of a file ----------------------------------------------------------------------


def test_nothing_but_the_picture_is_kept() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SECRETMAKER"
    exif.get_ifd(0x8825)[2] = (36.0, 22.0, 30.0)  # GPSLatitude
    told = {"exif": exif, "comment": b"SECRETCOMMENT", "icc_profile": b"SECRETPROFILE" * 9}
    sent = picture(**told, xmp=b"SECRETXMP")
    assert sent.count(b"SECRET") >= 4
    made = portrait_of(sent + b"SECRETTAIL", JPEG)
    assert b"SECRET" not in made
    assert b"Exif" not in made
    assert set(opened(made).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ((60, 80), (60, 80)),
        ((480, 640), (480, 640)),
        ((960, 1280), (480, 640)),
        ((3000, 2000), (480, 320)),
        ((3000, 1), (480, 1)),
        ((1, 3000), (1, 640)),
    ],
)
@pytest.mark.parametrize(("kind", "media_type"), [("JPEG", JPEG), ("PNG", PNG)])
def test_a_picture_gets_smaller_and_never_larger(sent, kept, kind, media_type) -> None:
    image = opened(portrait_of(picture(kind, sent), media_type))
    assert (image.size, image.mode) == (kept, "RGB")
    assert near(image.convert("RGB").getpixel((0, 0)), (0, 128, 0))


@pytest.mark.parametrize(
    ("mode", "colour", "shown"),
    [
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),  # transparent: the paper
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 100 * 257, (100, 100, 100)),
        ("P", 0, (0, 0, 0)),
    ],
)
def test_every_kind_of_png_becomes_a_picture_on_white(mode, colour, shown) -> None:
    made = portrait_of(picture("PNG", mode=mode, colour=colour), PNG)
    assert near(opened(made).getpixel((30, 40)), shown)


def test_a_jpeg_for_the_press_becomes_one_for_screens() -> None:
    made = portrait_of(picture(mode="CMYK", colour=(0, 0, 0, 0)), JPEG)
    assert near(opened(made).getpixel((30, 40)), (255, 255, 255))


@pytest.mark.parametrize(
    ("orientation", "corner"),
    [
        (1, (0, 0)), (2, (1, 0)), (3, (1, 1)), (4, (0, 1)),
        (5, (0, 0)), (6, (1, 0)), (7, (1, 1)), (8, (0, 1)),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("kind", "media_type"), [("JPEG", JPEG), ("PNG", PNG)])
def test_a_picture_stands_upright(orientation, corner, kind, media_type) -> None:
    """Red where the first row and column meet: the marked corner of each way to hold a camera."""
    image = Image.new("RGB", (80, 60), "blue")
    image.paste("red", (0, 0, 40, 30))
    exif = Image.Exif()
    exif[0x0112] = orientation
    sent = BytesIO()
    image.save(sent, kind, exif=exif)
    upright = opened(portrait_of(sent.getvalue(), media_type))
    wide, high = upright.size
    assert (wide, high) == ((80, 60) if orientation <= 4 else (60, 80))
    for x in (0, 1):
        for y in (0, 1):
            at = (wide // 4 + x * wide // 2, high // 4 + y * high // 2)
            assert near(
                upright.getpixel(at), (254, 0, 0) if (x, y) == corner else (0, 0, 254)
            ), at  # fmt: skip


def test_of_a_file_with_two_pictures_the_first_is_taken() -> None:
    sent = BytesIO()
    second = Image.new("RGB", (60, 80), "red")
    Image.new("RGB", (60, 80), "blue").save(sent, "MPO", save_all=True, append_images=[second])
    assert near(opened(portrait_of(sent.getvalue(), JPEG)).getpixel((30, 40)), (0, 0, 254))


# --- what is refused -----------------------------------------------------------------------------


def claims(width: int, height: int) -> bytes:
    """A PNG that says of itself to be so large, and is a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def moving() -> bytes:
    made = BytesIO()
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(made, "PNG", save_all=True, append_images=frames[1:])
    return made.getvalue()


def huge_jpeg() -> bytes:
    """A real one, whose head was made to say 65,500 by 65,500."""
    content = bytearray(picture())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", 65_500, 65_500)
    return bytes(content)


REFUSED = {
    "zero bytes": (b"", JPEG, "team_photo_empty"),
    "a text as PNG": ("这不是图片".encode(), PNG, "team_photo_unreadable"),
    "a page as JPEG": (b"<html><script>alert(1)</script>", JPEG, "team_photo_unreadable"),
    "a truncated JPEG": (picture()[:-60], JPEG, "team_photo_unreadable"),
    "only the head of a PNG": (picture("PNG")[:40], PNG, "team_photo_unreadable"),
    "a PNG cut within": (picture("PNG", (400, 400))[:-30], PNG, "team_photo_unreadable"),
    "a PNG as JPEG": (picture("PNG"), JPEG, "team_photo_unreadable"),
    "a JPEG as PNG": (picture(), PNG, "team_photo_unreadable"),
    "a GIF as PNG": (picture("GIF"), PNG, "team_photo_unreadable"),
    "a TIFF as JPEG": (picture("TIFF"), JPEG, "team_photo_unreadable"),
    "huge dimensions": (claims(50_000, 50_000), PNG, "team_photo_too_large"),
    "the largest dimensions": (claims(2**31 - 1, 2**31 - 1), PNG, "team_photo_too_large"),
    "no dimensions": (claims(0, 0), PNG, "team_photo_unreadable"),
    "a JPEG of huge dimensions": (huge_jpeg(), JPEG, "team_photo_too_large"),
    "a picture that moves": (moving(), PNG, "team_photo_animated"),
}
refused = pytest.mark.parametrize(("content", "kind", "code"), REFUSED.values(), ids=REFUSED)


@refused
def test_bad_files_are_refused_for_what_is_wrong(content, kind, code) -> None:
    with pytest.raises(Invalid) as error:
        portrait_of(content, kind)
    assert error.value.code == code


def test_a_picture_that_unpacks_to_more_than_it_may_is_never_unpacked(monkeypatch) -> None:
    bomb = picture("PNG", (5000, 5000))  # 75 MB in 75 kB
    assert len(bomb) < MAX_BYTES

    def unpack(*_: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(portraits.PngImageFile, "load", unpack)
    with pytest.raises(portraits.PhotoTooLarge):
        portrait_of(bomb, PNG)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")  # of EXIF that is damaged
@pytest.mark.parametrize(("kind", "media_type"), [("JPEG", JPEG), ("PNG", PNG)])
def test_whatever_is_damaged_is_made_something_of_or_refused(kind, media_type) -> None:
    chance = Random(7)
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = picture(kind, exif=exif)
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            made = portrait_of(bytes(content), media_type)
        except Invalid:
            continue
        assert opened(made).format == "JPEG"


# --- over HTTP -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def admin(as_staff):
    return await as_staff("admin")


@pytest.fixture(scope="module")
async def members(admin) -> dict[str, str]:
    """A team with a plaque: seat → the member's id."""
    ids = {"leader": (await change(admin, "/members", leader(name="欧阳<b>")))["member_id"]}
    cadre = {**person(name="王二", published=True), "seat": "cadre", "since": SINCE}
    ids["cadre"] = (await change(admin, "/members", cadre))["member_id"]
    await change(admin, "/plaque")
    return ids


async def put(admin, member_id: str, content: bytes | None = None, **asked):
    asked.setdefault("version", (await team(admin))["version"])
    return await photo(admin, member_id, picture() if content is None else content, **asked)


async def rows(db) -> list:
    async with db.transaction() as session:
        found = await session.execute(text("SELECT * FROM team_photos ORDER BY member_id"))
        return list(found)


async def told(db) -> list[tuple[str, dict]]:
    async with db.transaction() as session:
        found = await session.execute(
            text("SELECT action, facts FROM audit_entries WHERE chain = :chain ORDER BY seq"),
            {"chain": chain_of(f"team:{GRID}")},
        )
        return [(action, facts) for action, facts in found if "photo" in action]


async def pages(admin, client) -> list:
    plaque = (await team(admin))["plaque"]
    return [await admin.get(f"{TEAMS}/{GRID}/plaque/sheet"), await client.get(plaque["url"])]


async def test_a_photograph_stands_on_the_sheet_and_on_the_page(admin, client, members, db):
    for page in await pages(admin, client):
        assert "img-src" not in page.headers["content-security-policy"]
        assert Read(page.text).attributes("img") == []
    version = (await team(admin))["version"]
    answer = await put(admin, members["leader"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == version + 1
    assert answer.json()["member_id"] == members["leader"]
    shown = await admin.get(f"{TEAMS}/photos/{members['leader']}")
    assert (shown.status_code, shown.headers["content-type"]) == (200, JPEG)
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert opened(shown.content).size == (60, 80)
    for page in await pages(admin, client):
        read = Read(page.text)
        assert read.open == []
        [image] = read.attributes("img")
        assert image["alt"] == "网格长欧阳<b>的照片"
        begin, _, content = str(image["src"]).partition(",")
        assert begin == "data:image/jpeg;base64"
        assert base64.b64decode(content) == shown.content
        policy = page.headers["content-security-policy"]
        assert "; img-src data:;" in policy
        assert "'unsafe" not in policy
        assert "照片粘贴处" not in page.text
    [row] = await rows(db)
    assert row.grid_code == GRID
    assert shown.content not in row.jpeg
    assert b"JFIF" not in row.jpeg


async def test_a_new_one_replaces_the_former_and_each_is_told(admin, members, db):
    before = len(await told(db))
    content = picture("PNG", (300, 400), colour=(200, 0, 0))
    assert (await put(admin, members["leader"], content, kind=PNG)).status_code == 200
    shown = await admin.get(f"{TEAMS}/photos/{members['leader']}")
    assert opened(shown.content).size == (300, 400)
    assert len(await rows(db)) == 1
    [(action, facts)] = (await told(db))[before:]
    assert action == "set_photo"
    assert (facts["grid_code"], facts["member_id"]) == (GRID, members["leader"])
    assert len(facts) == 3  # and the version


async def test_the_same_call_twice_is_one_and_an_old_version_is_refused(admin, members):
    version = (await team(admin))["version"]
    first = await put(admin, members["leader"], version=version, key="once")
    again = await put(admin, members["leader"], version=version, key="once")
    assert (first.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    other = await put(admin, members["leader"], picture(size=(9, 9)), version=version, key="once")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    stale = await put(admin, members["leader"], version=version)
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_version")


@refused
async def test_a_refused_file_changes_nothing(admin, members, db, content, kind, code):
    before = (await rows(db), await told(db), (await team(admin))["version"])
    answer = await put(admin, members["leader"], content, kind=kind)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (await rows(db), await told(db), (await team(admin))["version"]) == before


@pytest.mark.parametrize("kind", ["image/gif", "image/svg+xml", "image/webp", "text/plain"])
async def test_other_media_types_stop_at_the_door(admin, members, kind):
    answer = await put(admin, members["leader"], kind=kind)
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    assert "image/jpeg、image/png" in answer.json()["detail"]


async def test_json_is_no_photograph_and_a_large_file_is_refused(admin, members):
    answer = await put(admin, members["leader"], b"{}", kind="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "team_photo_type")
    answer = await put(admin, members["leader"], b"\xff" * (MAX_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_only_leaders_in_office_have_one(admin, members, db):
    before = await rows(db)
    answer = await put(admin, members["cadre"])
    assert (answer.status_code, answer.json()["code"]) == (409, "team_photo_not_for_seat")
    for method in ("PUT", "DELETE"):
        answer = await put(admin, NOBODY, method=method)
        assert (answer.status_code, answer.json()["code"]) == (404, "team_member_not_found")
    answer = await photo(admin, members["cadre"], method="DELETE", version=99)
    assert (answer.status_code, answer.json()["code"]) == (412, "stale_version")
    assert await rows(db) == before


async def test_it_is_shown_only_while_the_member_is_published(admin, client, members, as_staff):
    path = f"{TEAMS}/photos/{members['leader']}"
    handler = await as_staff("handler")
    assert (await handler.get(path)).status_code == 200
    amend = f"/members/{members['leader']}/amend"
    await change(admin, amend, {"published": False})
    for page in await pages(admin, client):
        assert page.status_code == 200
        assert "<img" not in page.text
        assert "img-src" not in page.headers["content-security-policy"]
    hidden = await handler.get(path)
    nobody = await handler.get(f"{TEAMS}/photos/{NOBODY}")
    assert (hidden.status_code, hidden.json()["code"]) == (404, "team_photo_missing")
    assert nobody.json()["code"] == "team_photo_missing"
    assert (await admin.get(path)).status_code == 200  # who sets it can see what was set
    await change(admin, amend, {"published": True})
    assert all("<img" in page.text for page in await pages(admin, client))


async def test_a_photograph_can_be_taken_away(admin, client, members, db):
    answer = await put(admin, members["leader"], method="DELETE")
    assert answer.status_code == 200, answer.text
    assert await rows(db) == []
    assert (await told(db))[-1][0] == "remove_photo"
    assert (await admin.get(f"{TEAMS}/photos/{members['leader']}")).status_code == 404
    assert all("<img" not in page.text for page in await pages(admin, client))
    answer = await put(admin, members["leader"], method="DELETE")
    assert (answer.status_code, answer.json()["code"]) == (404, "team_photo_missing")


async def test_a_successor_does_not_inherit_it(admin, client, members, db):
    assert (await put(admin, members["leader"])).status_code == 200
    heir = person(name="李四", phone="13500135000", published=True)
    form = {"until": TODAY, "successor": heir}
    await change(admin, f"/members/{members['leader']}/end", form)
    for page in await pages(admin, client):
        assert "李四" in page.text
        assert "<img" not in page.text
    answer = await put(admin, members["leader"])
    assert (answer.status_code, answer.json()["code"]) == (409, "team_member_left")
    assert (await put(admin, members["leader"], method="DELETE")).status_code == 200
    assert await rows(db) == []


async def test_the_version_is_that_of_the_members_own_team(admin, members, db):
    other = await change(admin, "/members", leader(name="周八"), code=MICRO_GRID)
    answer = await photo(admin, other["member_id"], picture(), version=other["version"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["grid_code"] == MICRO_GRID
