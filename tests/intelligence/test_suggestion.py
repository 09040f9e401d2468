"""History taken in, learned from, and proposed from; it never decides."""

import csv
import gzip
import io
import random
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.domain.suggestion import FIELD_COUNTS, BackOff, LinearModel, features
from app.intelligence import evaluation, history_file, learning, service
from app.intelligence.history_file import HistoryInvalid, Layout, Reading
from tests.city import GRID, NOW, OTHER_UNIT, UNIT, point_in

PLAIN = history_file.LAYOUTS["plain"]
HEADER = ["id", "at", "town", "community", "source", "kind", "type", "main_type", "sub_type",
          "unit", "unit_name"]  # fmt: skip


def written(path, rows, *, packed=False, header=HEADER):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


def row(number, unit, *, town="阜安街道", sub_type="说不清属于哪一类", name=""):
    return [str(number), "2026-01-05 08:00:00", town, "", "", "", "其他", sub_type, sub_type, unit,
            name]  # fmt: skip


# --- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_read_plain_or_packed_and_what_teaches_nothing_is_left_out(tmp_path, packed):
    rows = [row(1, "a"), row(2, "-"), row(3, "b", name="乙")]
    reading = Reading()
    cases = list(
        history_file.read(written(tmp_path / "x.csv", rows, packed=packed), PLAIN, reading)
    )
    assert [(it.id, it.unit, it.unit_name) for it in cases] == [("1", "a", "a"), ("3", "b", "乙")]
    assert (reading.rows, reading.left_out) == (3, [3])
    assert cases[0].at == datetime(2026, 1, 5, 0, 0, tzinfo=UTC)  # local time
    assert "community" not in cases[0].fields


@pytest.mark.parametrize(
    ("rows", "header", "says"),
    [
        ([], HEADER[:-2], "缺少列：unit、unit_name"),
        ([[*row(1, "a")[:1], "yesterday", *row(1, "a")[2:]]], HEADER, "第2行的时间"),
        ([row(1, "a", town="长" * 300)], HEADER, "第2行“town”列"),
    ],
)
def test_a_wrong_file_is_refused_by_its_line(tmp_path, rows, header, says):
    with pytest.raises(HistoryInvalid, match=says):
        list(history_file.read(written(tmp_path / "x.csv", rows, header=header), PLAIN, Reading()))


@pytest.mark.parametrize("content", [b"\x1f\x8bnot gzip at all", "id,编号".encode("gb18030")])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(HistoryInvalid):
        list(history_file.read(tmp_path / "x.csv", PLAIN, Reading()))


def test_columns_may_have_other_names(tmp_path):
    layout = history_file.layout_of("plain", {"unit": "department"})
    assert (layout.unit, layout.columns) == ("department", PLAIN.columns)
    with pytest.raises(HistoryInvalid):
        history_file.layout_of("plain", {"colour": "x"})
    with pytest.raises(HistoryInvalid):
        history_file.layout_of("unheard-of", {})
    assert isinstance(layout, Layout)


# --- counting and weighing -------------------------------------------------------------------


def test_counts_fall_back_to_fewer_fields_until_there_are_enough():
    counts = BackOff()
    near = {"town": "t1", "community": "c1", "main_type": "m", "sub_type": "s", "type": "x"}
    counts.add(near, "rare")
    for _ in range(4):
        counts.add({**near, "community": "c2"}, "usual")
    [first, second] = counts.propose(near, 3)
    assert (first.unit, first.level, first.cases, first.of) == ("usual", ("town", "sub_type"), 4, 5)
    assert first.confidence == pytest.approx(4 / 6)
    assert second.unit == "rare"
    assert counts.propose({"sub_type": "never seen"}, 3) == []


def test_features_are_the_known_fields_their_pairs_and_the_letters_of_the_matter():
    one = features({"town": "a"})
    two = features({"town": "a", "sub_type": "路灯"})
    assert one.items() < two.items()
    assert len(two) == 1 + 2 + 1 + 3  # the ground, two fields, one pair, and ^路 路灯 灯$
    assert sorted(one.values()) == [1, FIELD_COUNTS]
    assert features({"town": "a", "kind": ""}) == one


def cases(count, seed):
    chance = random.Random(seed)
    for _ in range(count):
        town, matter = chance.choice("AB"), chance.choice("xyz")
        unit = {"x": "water", "y": "road"}.get(matter) or f"town-{town}"
        yield {"town": town, "sub_type": matter}, unit


def test_the_model_learns_what_only_a_pair_tells_and_serving_needs_no_library():
    model = learning.fit(list(cases(300, 1)))
    for fields, unit in cases(50, 2):
        shares = model.shares(fields)
        assert sum(shares) == pytest.approx(1)
        assert model.units[shares.index(max(shares))] == unit
    again = learning.fit(list(cases(300, 1)))
    assert again.weights == model.weights  # the same cases, the same weights


def usual(model, fields):
    return max(zip(model.shares(fields), model.units, strict=True))[1]


def test_a_matter_not_seen_before_goes_where_those_called_alike_go():
    model = learning.fit(
        [({"sub_type": "雨水井盖"}, "water"), ({"sub_type": "污水井盖"}, "water")] * 20
        + [({"sub_type": "道路破损"}, "road"), ({"sub_type": "道路积尘"}, "road")] * 20
    )
    assert usual(model, {"sub_type": "电力井盖"}) == "water"


def test_units_called_alike_but_for_a_place_learn_from_one_another():
    """What the office of B does with litter is learned from the office of A, and the names."""
    names = {"1": "甲街道市政服务中心", "2": "市政服务中心（乙镇办事处）", "3": "水务局"}
    known = [({"town": "甲街道", "sub_type": "垃圾"}, "1")] * 20
    known += [({"town": "乙镇", "sub_type": "灯"}, "2")] * 8
    known += [({"town": town, "sub_type": "水"}, "3") for town in ("甲街道", "乙镇")] * 8
    asked = {"town": "乙镇", "sub_type": "垃圾"}
    places = [fields for fields, _ in known]
    assert learning.callings(names, places) == {
        "1": "市政服务中心", "2": "市政服务中心", "3": "水务局",
    }  # fmt: skip
    alone, akin = (learning.fit(known, given) for given in (None, names))
    office = akin.units.index("2")
    assert akin.shares(asked)[office] > alone.shares(asked)[office]


def test_a_place_is_a_units_own_when_nearly_all_its_cases_are_there():
    known = [({"town": "A", "community": "a1"}, "near")] * 6
    known += [({"town": "A", "community": name}, "town") for name in ("a1", "a2", "a3")]
    known += [({"town": name}, "city") for name in "AAAB"] + [({"town": "B"}, "seldom")] * 2
    assert learning.homes(known) == {"near": "community=a1", "town": "town=A"}


def test_a_model_comes_back_from_the_table_as_it_was():
    model = learning.fit(list(cases(100, 3)))
    back = service.unpacked(model.units, *service.packed(model))
    assert (back.units, dict(back.rows), back.weights) == (
        model.units,
        dict(model.rows),
        model.weights,
    )


def test_there_must_be_something_to_tell_apart():
    with pytest.raises(ValueError, match="two units"):
        learning.fit([({"town": "A"}, "one")])


def test_the_split_goes_by_the_id_alone():
    places = [evaluation.is_for_training(str(number)) for number in range(10_000)]
    assert 0.78 < sum(places) / len(places) < 0.82
    assert places == [evaluation.is_for_training(str(number)) for number in range(10_000)]


# --- in the service --------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def history(hall, tmp_path_factory):
    """Nine such matters went to one unit, three to another, one to nobody we know."""
    rows = [row(n, UNIT) for n in range(9)]
    rows += [row(n, "somewhere", name="市水务集团") for n in range(9, 9)]
    rows += [row(n, OTHER_UNIT) for n in range(9, 12)]
    rows += [row(12, "another city's")]
    file = written(tmp_path_factory.mktemp("h") / "h.csv", rows)
    async with hall.db.transaction() as session:
        counts = await service.import_cases(
            session, history_file.read(file, PLAIN, Reading()), origin="test", now=NOW
        )
    assert counts == (13, 13)
    return file


async def test_importing_again_adds_nothing_and_is_told_in_the_audit(hall, history):
    async with hall.db.transaction() as session:
        again = await service.import_cases(
            session, history_file.read(history, PLAIN, Reading()), origin="test", now=NOW
        )
        rows = await session.scalar(text("SELECT count(*) FROM routing_history"))
        told = await session.scalar(
            text("SELECT count(*) FROM audit_entries WHERE action = 'import_routing_history'")
        )
    assert (again, rows, told) == ((13, 0), 13, 2)


async def test_where_no_rule_names_a_unit_the_desk_gets_proposals_with_their_counts(
    hall, history, submit, as_staff
):
    request = await submit(location=point_in(GRID), category_code="other.unsorted")
    assert request["state"] == "triage"
    dispatcher = await as_staff("dispatcher")
    path = f"/api/v1/requests/{request['id']}/suggestions"
    found = (await dispatcher.get(path)).json()
    assert (found["needed"], found["model_version"]) == (True, 0)
    assert [it["unit"]["code"] for it in found["items"]] == [UNIT, OTHER_UNIT]
    first = found["items"][0]
    assert (first["cases"], first["of"]) == (9, 13)
    assert 0 < first["confidence"] < 1
    assert first["level_text"] == "镇街、小类"
    # It decides nothing.
    assert (await dispatcher.get(f"/api/v1/requests/{request['id']}")).json()["state"] == "triage"


async def test_what_a_rule_has_routed_needs_no_proposal(hall, history, submit, as_staff):
    request = await submit(location=point_in(GRID))
    dispatcher = await as_staff("dispatcher")
    found = (await dispatcher.get(f"/api/v1/requests/{request['id']}/suggestions")).json()
    assert (found["needed"], found["items"]) == (False, [])


async def test_whoever_may_not_see_the_request_finds_none(hall, history, submit, as_staff):
    request = await submit(location=point_in(GRID), category_code="other.unsorted")
    path = f"/api/v1/requests/{request['id']}/suggestions"
    elsewhere = await as_staff("dispatcher", grid="370281108")
    assert (await elsewhere.get(path)).status_code == 404
    assert (await (await as_staff("handler")).get(path)).status_code == 403


async def test_a_learned_model_is_used_from_then_on(hall, history, submit, as_staff):
    taught = [({"town": "阜安街道", "sub_type": "说不清属于哪一类"}, OTHER_UNIT)] * 20
    taught += [({"town": "别处", "sub_type": "别的"}, UNIT)] * 20
    model = learning.fit(taught)
    assert isinstance(model, LinearModel)
    async with hall.db.transaction() as session:
        kept = await service.keep_model(session, model, cases=40, metrics={"top1": 1}, now=NOW)
    request = await submit(location=point_in(GRID), category_code="other.unsorted")
    dispatcher = await as_staff("dispatcher")
    found = (await dispatcher.get(f"/api/v1/requests/{request['id']}/suggestions")).json()
    assert found["model_version"] == kept.version
    assert found["items"][0]["unit"]["code"] == OTHER_UNIT
    assert (found["items"][0]["cases"], found["items"][0]["of"]) == (3, 13)
