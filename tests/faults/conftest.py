"""The rig for this folder, and one line for each scenario at the end of the run."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.rig import Rig, Sizes, Tell

_LINES = pytest.StashKey[list[str]]()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def rig() -> AsyncIterator[Rig]:
    async with Rig() as rig:
        yield rig


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    return Sizes()


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> Tell:
    """Say a line at the end of the run, passed or not."""
    return pytestconfig.stash.setdefault(_LINES, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)
