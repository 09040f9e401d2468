"""Everybody calls often, and the clock stands still."""

from collections.abc import Mapping

import pytest


@pytest.fixture(scope="module")
def limits() -> Mapping[str, int]:
    return {"requests_per_hour": 1_000}
