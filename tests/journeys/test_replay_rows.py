"""The parts of ``lianxin replay`` that need no service: reading, deciding, comparing."""

import gzip
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.cli.replay_figures import MEASURES, Driven, Line, Tally, compare
from app.cli.replay_lives import DEMO_AREA, Dice, Life, Moment, Outcome, Reach, Return, Ruling
from app.cli.replay_rows import FileBroken, Row, count, read
from app.domain.measures import Measure
from app.requests.schemas import RequestMovedOut
from app.statistics.schemas import GroupBy

USUAL: dict[str, str | None] = {}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def rows(content: bytes, tmp_path: Path, **names: str | None) -> list[Row]:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    found = list(read(file, names))
    assert count(file) == len(found)
    return found


def test_columns_are_found_by_name_wherever_they_stand(tmp_path: Path):
    content = "\ufeffdetail,other,rid,time\r\n正文,x,a1,2019-11-10T18:59:24\r\n".encode()
    (row,) = rows(content, tmp_path)
    assert row == Row(1, "a1", "正文", time=datetime(2019, 11, 10, 18, 59, 24))


def test_a_packed_file_is_known_by_its_bytes_and_not_by_its_name(tmp_path: Path):
    content = gzip.compress('detail\n"一\n二"\n\n三\n'.encode())
    assert [row.text for row in rows(content, tmp_path)] == ["一\n二", "三"]


def test_short_and_long_lines_stay_rows(tmp_path: Path):
    short, long = rows(b"rid,detail,label\na\nb,text,label,surplus\n", tmp_path)
    assert (short.text, short.surplus) == ("", False)
    assert (long.text, long.surplus) == ("text", True)


def test_a_row_without_an_id_is_called_by_its_number(tmp_path: Path):
    assert [row.id for row in rows(b"detail\na\nb\n", tmp_path)] == ["row-1", "row-2"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"rid,label\na,b\n",
        b"detail,detail\na,b\n",
        b"detail\n\xff\xfe\n",
        b'detail\n"never closed\n',
        gzip.compress(b"detail\n" + b"text\n" * 9)[:-12],
    ],
)
def test_what_is_no_csv_file_is_refused(tmp_path: Path, content: bytes):
    file = tmp_path / "broken.csv"
    file.write_bytes(content)
    with pytest.raises(FileBroken):
        list(read(file, USUAL))


def test_a_column_that_was_named_must_be_there(tmp_path: Path):
    with pytest.raises(FileBroken, match="there is no column 'subject'"):
        rows(b"detail\na\n", tmp_path, title="subject")


def test_a_life_is_decided_by_the_rows_id_alone():
    lives = [Life(Dice(f"row-{n}")) for n in range(2_000)]
    again = [Life(Dice(f"row-{n}")) for n in reversed(range(2_000))]
    assert [life.outcome for life in lives] == [life.outcome for life in reversed(again)]
    assert {life.outcome for life in lives} == set(Outcome)
    assert {life.withdrawn for life in lives} == {None, *Moment}
    assert {life.returned for life in lives} == set(Return)
    assert {life.ruling for life in lives} == set(Ruling)
    assert {life.reach for life in lives} == set(Reach)
    places = [life.place(DEMO_AREA) for life in lives]
    assert {place and place["coord_sys"] for place in places} == {None, "wgs84", "gcj02"}
    assert all(0 < len(life.reasons()) <= 2 for life in lives)


def request(**columns: object) -> RequestMovedOut:
    content: dict[str, object] = {
        **dict.fromkeys(RequestMovedOut.model_fields),
        **dict.fromkeys(("id", "number", "state_text", "public_label"), "x"),
        **dict.fromkeys(("version", "cycle_no"), 1),
        **dict.fromkeys(("confidential", "public", "provisional"), False),
        **dict.fromkeys(("contact_overdue", "reply_overdue"), False),
        "state": "assigned",
        "channel": "mini_program",
        "submitted_at": NOON,
        "contact_due_at": NOON + timedelta(hours=6),
        "reply_due_at": NOON + timedelta(days=7),
        "grid": {"code": "370281001001001", "name": "", "path": "", "certain": True},
        "routing": {"rule": None, "reasons": []},
        "available_actions": [],
    }
    return RequestMovedOut.model_validate(content | columns)


def test_a_promise_that_was_broken_counts_as_soon_as_it_is():
    tally = Tally()
    tally.add(Driven(request()))
    tally.add(Driven(request(), cancelled=True))
    six = NOON + timedelta(hours=6)
    assert tally.as_of(six)[GroupBy.NONE][None][Measure.CONTACT_ON_TIME, "den"] == 0
    late = tally.as_of(six + timedelta(seconds=1))
    assert late[GroupBy.NONE][None][Measure.CONTACT_ON_TIME, "den"] == 1
    assert late[GroupBy.TOWN]["370281001"][Measure.RECEIVED, "num"] == 2
    assert late[GroupBy.MONTH]["2026-11"][Measure.CONTACT_ON_TIME, "num"] == 0


def test_what_was_done_late_is_done_but_not_in_time():
    tally = Tally()
    at = NOON + timedelta(days=8)
    tally.add(Driven(request(contacted_at=at, replied_at=at), reached=True, replied=True, score=2))
    figures = tally.as_of(at)[GroupBy.NONE][None]
    assert {
        measure: (figures[measure, "num"], figures[measure, "den"]) for measure in MEASURES
    } == {
        Measure.RECEIVED: (1, 1),
        Measure.CLOSED: (0, 1),
        Measure.RATED: (1, 1),
        Measure.SATISFIED: (0, 1),
        Measure.CONTACT_ON_TIME: (0, 1),
        Measure.DILIGENT: (0, 1),
        Measure.REPLY_ON_TIME: (0, 1),
    }


def test_answered_after_trying_in_time_is_counted_by_itself():
    tally = Tally()
    tally.add(Driven(request(replied_at=NOON), replied=True))
    tally.add(Driven(request(contacted_at=NOON), reached=True))
    tally.add(Driven(request()))
    figures = tally.as_of(NOON + timedelta(hours=7))[GroupBy.NONE][None]
    assert {part: figures[Measure.DILIGENT, part] for part in ("num", "den")} == {
        "num": 1,
        "den": 3,
    }
    assert {part: figures[Measure.CONTACT_ON_TIME, part] for part in ("num", "den")} == {
        "num": 1,
        "den": 2,
    }


def test_a_figure_that_is_not_what_was_driven_is_named_with_its_group():
    received = (Measure.RECEIVED, "num")
    before = {GroupBy.UNIT: {"water": Counter({received: 3})}}
    after = {GroupBy.UNIT: {"water": Counter({received: 5}), "fire": Counter({received: 1})}}
    driven = {GroupBy.UNIT: {"water": Counter({received: 2})}}
    compared = compare(before, after, driven)
    assert not compared.equal
    (units,) = (grouped for grouped in compared.grouped if grouped.group_by is GroupBy.UNIT)
    assert units.different == [Line("fire", "received", "num", 0, 1, 0)]
