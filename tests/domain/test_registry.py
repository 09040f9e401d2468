"""What a record that comes in means, who is a minor, which numbers are numbers."""

from datetime import date

import pytest

from app.domain.privacy import plain_id_number, plain_phone
from app.domain.registry import (
    KIND_TEXT,
    OUTCOME_TEXT,
    Kept,
    Kind,
    Outcome,
    Source,
    Tag,
    decide,
    decide_imported,
    differences,
    is_minor,
)

A, B = {"name": "甲", "tags": ()}, {"name": "乙", "tags": ()}


@pytest.mark.parametrize(
    ("kept", "incoming", "base", "outcome"),
    [
        (None, A, None, Outcome.CREATED),
        (None, A, 3, Outcome.INVALID),  # a change of nothing
        (Kept(3, A), B, 3, Outcome.UPDATED),
        (Kept(3, A), B, 2, Outcome.CONFLICT),  # somebody wrote meanwhile
        (Kept(3, A), B, None, Outcome.CONFLICT),  # "new", but there is one
        (Kept(3, A), A, 3, Outcome.UNCHANGED),
        (Kept(3, A), A, 1, Outcome.UNCHANGED),  # both have seen the same
        (Kept(3, A), A, None, Outcome.UNCHANGED),
        (Kept(3, A), B, 4, Outcome.CONFLICT),  # a version that never was
    ],
)
def test_what_a_collected_record_means(
    kept: Kept | None, incoming: dict[str, object], base: int | None, outcome: Outcome
) -> None:
    assert decide(kept, incoming, base_version=base) is outcome


@pytest.mark.parametrize(
    ("kept", "source", "outcome"),
    [
        (None, None, Outcome.CREATED),
        (B, Source.IMPORTED, Outcome.UPDATED),
        (B, Source.DEMO, Outcome.UPDATED),
        (B, Source.COLLECTED, Outcome.CONFLICT),  # a file does not overrule eyes
        (A, Source.COLLECTED, Outcome.UNCHANGED),
    ],
)
def test_what_a_row_of_a_file_means(
    kept: dict[str, object] | None, source: Source | None, outcome: Outcome
) -> None:
    assert decide_imported(kept, source, A) is outcome


def test_a_field_that_one_side_lacks_is_nothing_there() -> None:
    assert differences({"a": 1, "b": None}, {"a": 1}) == []
    assert differences({"a": 1}, {"a": 2, "c": 3}) == ["a", "c"]


@pytest.mark.parametrize(
    ("born", "minor"),
    [("20081122", False), ("20081123", True), ("20150601", True), ("19491231", False)],
)
def test_eighteen_years_to_the_day(born: str, minor: bool) -> None:
    assert is_minor(f"110105{born}0000", date(2026, 11, 22)) is minor


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("11010519491231002X", "11010519491231002X"),
        ("11010519491231002x", "11010519491231002X"),
        (" 110105 1949 1231 002X", "11010519491231002X"),
        ("４４０５２４１８８００１０１００１４", "440524188001010014"),
        ("110105194912310020", None),  # the check character
        ("110105194913310020", None),  # month 13
        ("1101051949123100", None),
        ("1" * 5_000, None),
        ("", None),
    ],
)
def test_identity_numbers(written: str, kept: str | None) -> None:
    assert plain_id_number(written) == kept


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("138-0013-8000", "13800138000"),
        ("+86 138 0013 8000", "13800138000"),
        ("0532-88881234", "053288881234"),
        ("12345", None),
        ("12800138000", None),
    ],
)
def test_telephone_numbers(written: str, kept: str | None) -> None:
    assert plain_phone(written) == kept


def test_what_is_sensitive_has_no_word() -> None:
    assert not any("残疾" in text or "宗教" in text for text in (*KIND_TEXT.values(), *Tag))
    assert KIND_TEXT.keys() == set(Kind)
    assert OUTCOME_TEXT.keys() == set(Outcome)
