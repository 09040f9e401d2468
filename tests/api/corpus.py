"""The shared corpus of bad inputs, in the words of this API.

``../shared/data/bad_inputs.jsonl`` was written for a service with the same purpose and other
names. Here its cases are read, their ``py:`` expressions evaluated, its fields and codes adapted.
Every case of the targets below is either run (``runnable``), written out as a test of its own
(``WRITTEN_OUT``), or left out for a reason (``LEFT_OUT``).
"""

import base64
import gzip
import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[3] / "shared" / "data" / "bad_inputs.jsonl"
TARGETS = frozenset({"create_request", "list", "login", "rate", "http", "workflow"})

# --- what the README of the corpus promises its expressions ---------------------------------------


def jwt_(header: object, payload: object, signature: bytes = b"") -> str:
    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    return ".".join(
        part(raw) for raw in (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    )


_NAMES = {
    "jwt_": jwt_,
    "gzip": gzip,
    "zlib": zlib,
    "json": json,
    "hashlib": hashlib,
    "struct": struct,
    "base64": base64,
}

# --- codes ------------------------------------------------------------

# Dots become underscores; these have another word in this house.
_CODES: dict[str, set[str]] = {
    "auth.forbidden": {"forbidden", "step_forbidden"},
    "auth.invalid_credentials": {"invalid_credentials", "username_invalid", "text_control_char"},
    "auth.invalid_token": {"invalid_token", "unauthenticated"},
    "auth.revoked": {"invalid_token"},
    "auth.token_expired": {"session_expired"},
    "auth.wechat_code_used": {"wechat_code_used"},
    "coord.not_finite": {"coord_not_finite", "number_not_finite"},
    "department.unknown": {"unit_unknown"},
    "http.uri_too_long": {"http_uri_too_long", "http_malformed"},
    "idempotency.in_progress": {"idempotency_in_progress"},
    "path.invalid": {"path_invalid", "request_not_found"},
    "rate.limited": {"rate_limited", "login_locked"},
    "rating.already_rated": {"already_rated"},
    "rating.out_of_range": {"number_out_of_range"},
    "rating.window_closed": {"step_blocked"},
    "state.conflict": {"illegal_step", "stale_version"},
    "state.not_allowed": {"illegal_step"},
    "state.precondition_required": {"precondition_required"},
}
# Cases whose field does not exist here, or is of another type: what is right for them instead.
_UNKNOWN_FIELD, _UNKNOWN_PARAMETER = {"field_unknown"}, {"query_unknown"}
_CODES_OF_CASE: dict[str, set[str]] = {
    **dict.fromkeys(("CR-069", "CR-071", "CR-072"), _UNKNOWN_FIELD),  # id_number
    **dict.fromkeys(("CR-089", "CR-091", "CR-092", "CR-093", "CR-097"), _UNKNOWN_FIELD),  # when
    "CR-087": _UNKNOWN_FIELD,  # photo_ids
    "CR-018": {"json_too_many_keys", "body_too_large"},
    "CR-078": {"type_string"},  # category_code is text
    "CR-080": {"number_too_large"},
    "CR-083": {"category_unknown"},
    "AU-031": {"http_header_too_large"},
    "LS-005": _UNKNOWN_PARAMETER,  # offset: there are only cursors
    "LS-011": _UNKNOWN_PARAMETER,  # q: there is no search yet
    "LS-016": _UNKNOWN_PARAMETER | {"http_uri_too_long"},
    "LS-018": _UNKNOWN_PARAMETER,  # sort
    "LS-024": _UNKNOWN_PARAMETER,  # bbox
}

# --- which cases are not run from the file --------------------------------------------------------

WRITTEN_OUT: dict[str, str] = {
    "AU-003": "test_bad_logins.py::test_a_stranger_cannot_lock_the_owner_out",
    "AU-013": "test_bad_logins.py::test_a_wechat_code_is_good_once",
    "AU-017": "test_bad_logins.py::test_a_forged_forwarding_header_dodges_no_limit",
    "AU-021": "test_bad_logins.py::test_a_damaged_token_opens_nothing",
    "AU-028": "test_bad_logins.py::test_a_token_ends_when_its_time_is_over",
    "AU-033": "test_bad_logins.py::test_a_token_is_worthless_after_logging_out",
    "CR-032": "test_bad_sequences.py::test_a_point_on_a_border_always_has_the_same_grid",
    "CR-033": "test_bad_sequences.py::test_a_point_may_have_thirty_decimals",
    "CR-105": "test_bad_races.py::test_fifty_calls_with_one_key_make_one_request",
    "CR-106": "test_bad_sequences.py::test_the_same_key_of_two_people_is_two_keys",
    "CR-121": "test_bad_sequences.py::test_the_eleventh_request_of_an_hour_has_to_wait",
    "CR-122": "test_bad_sequences.py::test_the_same_words_with_another_key_are_another_request",
    "HT-001": "test_bad_http.py::test_a_method_that_a_path_does_not_take_is_refused",
    "HT-005": "test_bad_http.py::test_an_endless_url_is_refused",
    "HT-006": "test_bad_http.py::test_too_many_or_too_long_headers_are_refused",
    "HT-008": "test_bad_http.py::test_a_crooked_length_is_refused",
    "HT-010": "test_bad_http.py::test_a_strange_host_is_refused",
    "HT-011": "test_bad_http.py::test_no_other_origin_is_let_in",
    "HT-012": "test_bad_http.py::test_production_shows_nothing_of_itself",
    "HT-013": "test_bad_http.py::test_a_fault_of_the_program_tells_nothing",
    "HT-017": "test_bad_http.py::test_a_write_that_is_cut_off_happens_whole_or_not_at_all",
    "LS-013": "test_bad_http.py::test_a_crooked_escape_in_a_query_is_refused",
    "LS-035": "test_auditor.py::test_what_another_unit_has_does_not_exist",
    "LS-037": "test_auditor.py::test_nothing_an_auditor_reads_is_about_a_person",
    "RA-013": "test_bad_sequences.py::test_an_unanswered_request_cannot_be_rated",
    "RA-015": "test_bad_races.py::test_of_fifty_ratings_one_counts",
    "RA-018": "test_bad_sequences.py::test_staff_cannot_rate",
    "RA-019": "test_bad_sequences.py::test_a_rating_after_its_time_is_too_late",
    "RA-020": "test_bad_sequences.py::test_a_withdrawn_request_cannot_be_rated",
    "WF-002": "test_bad_races.py::test_of_two_handlers_one_signs",
    "WF-011": "test_bad_sequences.py::test_four_awkward_moments_have_due_times",
    "WF-012": "test_bad_sequences.py::test_a_clock_that_jumps_fires_nothing_twice",
    "WF-017": "test_auditor.py::test_an_auditor_changes_nothing",
}
LEFT_OUT: dict[str, str] = {
    "AU-016": "the phone number is not taken from WeChat's encrypted payload",
    "AU-035": "sessions are opaque and slide; there are no refresh tokens",
    "AU-038": "there is no console and no cookie; test_bad_logins.py shows that none is read",
    "HT-015": "overload is measured by the load runs, not in a test",
    "LS-014": "lists have no search yet",
    "LS-017": "lists have no search yet",
    "LS-038": "nobody reads contact data unmasked yet",
    "WF-009": "extensions come later",
    "WF-018": "subscription messages come later",
    "WF-019": "subscription messages come later",
}

# --- reading ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the corpus, adapted."""

    id: str
    target: str
    how: str
    description: str
    build: str
    kind: str
    statuses: frozenset[int]
    codes: frozenset[str]

    def built(self) -> Any:
        """What the expression says: a patch, bytes, pairs or a path."""
        if self.build.startswith("py:"):
            return eval(self.build[3:], dict(_NAMES))  # noqa: S307 - our own corpus
        return self.build.removeprefix("literal:")

    def __str__(self) -> str:
        return f"{self.id} {self.description}"


def _case(line: str) -> Case:
    raw = json.loads(line)
    code, name = raw["expect_code"], raw["id"]
    codes = _CODES_OF_CASE.get(name)
    if codes is None and code is not None:
        codes = _CODES.get(code, {code.replace(".", "_")})
    return Case(
        id=name,
        target=raw["target"],
        how=raw["how"],
        description=raw["description"],
        build=raw["build"],
        kind=raw["kind"],
        statuses=frozenset(raw["expect_status"]),
        codes=frozenset(codes or ()),
    )


def all_cases() -> list[Case]:
    """Every case of the corpus; none where the shared folder is missing."""
    if not FILE.is_file():
        return []
    return [_case(line) for line in FILE.read_text("utf-8").split("\n") if line.strip()]


def runnable(target: str, *hows: str) -> list[Case]:
    """The cases of a target that are run as they are built."""
    return [
        case
        for case in all_cases()
        if case.target == target
        and case.how in hows
        and case.id not in WRITTEN_OUT
        and case.id not in LEFT_OUT
    ]


def parameters(target: str, *hows: str) -> list[Any]:
    """``runnable`` as parameters of a test; without the corpus a single one that is skipped."""
    marks = [pytest.mark.shared]
    found = [pytest.param(case, id=case.id, marks=marks) for case in runnable(target, *hows)]
    return found or [pytest.param(None, id="no corpus", marks=marks)]


def need(case: Case | None) -> Case:
    """The case; without the corpus the test is skipped, and fails where it must be there."""
    if case is None:
        need_corpus()
    assert case is not None
    return case


def need_corpus() -> None:
    if FILE.is_file():
        return
    message = f"the shared reference data is not beside the checkout: {FILE.name}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


# --- fields ------------------------------------------------------------

# Where the corpus' flat fields stand in ours.
_PLACES: dict[str, tuple[str, ...]] = {
    "lng": ("location", "longitude"),
    "lat": ("location", "latitude"),
    "crs": ("location", "coord_sys"),
    "contact_name": ("contact", "name"),
    "phone": ("contact", "phone"),
    "category_id": ("category_code",),
    "stars": ("satisfaction",),
    "reply": ("public_reply",),
    "department_id": ("unit_code",),
}
PARAMETERS = {"status": "state"}
_THEIR_LIMIT, _OUR_LIMIT = 2_000, 4_000


def patched(body: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """``body`` with the corpus' fields put where ours are; its parts are copied."""
    result = {name: dict(v) if isinstance(v, dict) else v for name, v in body.items()}
    for name, value in patch.items():
        *above, last = _PLACES.get(name, (name,))
        inner = result
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = _at_our_limit(value) if name == "text" else value
    return result


def _at_our_limit(value: Any) -> Any:
    """A text at or just over the corpus' limit becomes one at or just over ours."""
    if isinstance(value, str) and len(value) in (_THEIR_LIMIT, _THEIR_LIMIT + 1):
        return value + value[0] * (_OUR_LIMIT - _THEIR_LIMIT)
    return value


def department(value: object) -> object:
    """Units have codes in letters: a number stays the same unknown unit as text."""
    return str(value) if isinstance(value, int) else value


_FLAT_POINT = re.compile(rb'"lng":([^,}]+),"lat":([^,}]+)')


def raw_body(body: bytes) -> bytes:
    """The corpus' bytes with the flat point put where ours is, everything else as it stands."""
    nested = rb'"location":{"longitude":\1,"latitude":\2,"coord_sys":"wgs84"}'
    return _FLAT_POINT.sub(nested, body).replace(b'"category_id":', b'"category_code":')


def strings_in(value: Any) -> Iterator[str]:
    """Every text in a payload, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from strings_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from strings_in(member)


def unaccounted(cases: Collection[Case]) -> list[str]:
    """Cases of our targets that nothing runs and nothing excuses."""
    run = {
        case.id
        for target in TARGETS
        for case in runnable(target, "patch", "raw", "query", "header", "path")
    }
    return [
        case.id
        for case in cases
        if case.target in TARGETS and case.id not in run | set(WRITTEN_OUT) | set(LEFT_OUT)
    ]
