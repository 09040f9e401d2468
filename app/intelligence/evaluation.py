"""How often a proposal is right, measured on cases it has not seen, beside the plain look-up."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.suggestion import LOOK_UP, BackOff, LinearModel
from app.intelligence.history_file import Case

SEED = 20_181_201  # of the fixed split
TRAIN_SHARE = 80  # of a hundred


@dataclass(slots=True)
class _Score:
    answered: int = 0
    first: int = 0
    among_three: int = 0

    def of(self, cases: int) -> dict[str, Any]:
        return {
            "top1": round(self.first / cases, 4),
            "top3": round(self.among_three / cases, 4),
            "coverage": round(self.answered / cases, 4),
        }

    def add(self, ranked: Sequence[str], answer: str) -> None:
        self.answered += bool(ranked)
        self.first += ranked[:1] == [answer]
        self.among_three += answer in ranked[:3]


def is_for_training(case_id: str, *, seed: int = SEED) -> bool:
    """Where the fixed split puts a case: by its id alone, whatever the order of the file."""
    digest = hashlib.sha256(f"{seed}:{case_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < TRAIN_SHARE


def counted(cases: Sequence[Case], *, by_name: bool = False) -> BackOff:
    """The cases by levels."""
    counts = BackOff()
    for case in cases:
        counts.add(case.fields, case.unit_name if by_name else case.unit)
    return counts


def judge(model: LinearModel, train: Sequence[Case], test: Sequence[Case]) -> dict[str, Any]:
    """Top-1 and top-3 accuracy and coverage of the model, of counts with back-off, and of the plain
    (town, sub-type) majority look-up, all on the same cases.

    Accuracy is of all test cases: one without an answer is a wrong one. ``look_up`` falls back on
    the unit that has most; ``look_up_by_name`` knows units by what they were called at the time,
    so that a unit renamed in between counts as another one.
    """
    counts, by_name = counted(train), counted(train, by_name=True)
    learned, backed_off = _Score(), _Score()
    hits = hits_by_name = found = 0
    for case in test:
        shares = model.shares(case.fields)
        ranked = sorted(range(len(shares)), key=lambda place: (-shares[place], place))[:3]
        learned.add([model.units[place] for place in ranked], case.unit)
        backed_off.add([it.unit for it in counts.propose(case.fields, 3)], case.unit)
        looked_up = counts.most(LOOK_UP, case.fields)
        found += looked_up is not None
        hits += (looked_up or counts.most_of_all()) == case.unit
        named = by_name.most(LOOK_UP, case.fields) or by_name.most_of_all()
        hits_by_name += named == case.unit_name
    cases = len(test)
    return {
        "train_cases": len(train),
        "test_cases": cases,
        "units": len(model.units),
        "learned": learned.of(cases),
        "back_off": backed_off.of(cases),
        "look_up": {"top1": round(hits / cases, 4), "coverage": round(found / cases, 4)},
        "look_up_by_name": {"top1": round(hits_by_name / cases, 4)},
    }
