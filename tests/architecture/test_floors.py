"""Arrows point down: the contracts of ``[tool.importlinter]``, checked on the real imports."""

import sys

import grimp
import pytest
from importlinter import api
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

from tests.architecture.sources import ROOT, app_sources, imported

CONFIGURATION = api.read_configuration(str(ROOT / "pyproject.toml"))
CONTRACTS = {options["name"]: options for options in CONFIGURATION["contracts_options"]}
_TYPES = {"layers": LayersContract, "forbidden": ForbiddenContract}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("app", include_external_packages=True, cache_dir=None)


def is_kept(name: str, graph: grimp.ImportGraph) -> bool:
    options = CONTRACTS[name]
    contract = _TYPES[options["type"]](name, CONFIGURATION["session_options"], dict(options))
    return contract.check(graph, verbose=False).kept


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_import_keeps_the_contract(name: str, graph: grimp.ImportGraph) -> None:
    assert is_kept(name, graph), "run lint-imports: it names the imports that break it"


@pytest.mark.parametrize(
    ("name", "importer", "wrongly_imported"),
    [
        ("floors", "app.domain.routing", "app.web.errors"),  # upward
        ("floors", "app.grids.queries", "app.reference.queries"),  # a neighbour
        ("floors", "app.requests.service", "app.notifications.service"),
        ("the domain does no I/O", "app.domain.routing", "sqlalchemy"),
        ("the store knows no HTTP", "app.store.session", "starlette"),
    ],
)
def test_an_arrow_that_points_elsewhere_is_seen(
    name: str, importer: str, wrongly_imported: str, graph: grimp.ImportGraph
) -> None:
    graph.add_import(importer=importer, imported=wrongly_imported)
    try:
        assert not is_kept(name, graph)
    finally:
        graph.remove_import(importer=importer, imported=wrongly_imported)


def test_every_room_stands_on_a_floor() -> None:
    floors = " ".join(CONTRACTS["floors"]["layers"])
    named = {word.strip("()") for word in floors.replace("|", " ").split()}
    rooms = {source.place.split("/")[1].removesuffix(".py") for source in app_sources()}
    assert {f"app.{room}" for room in rooms - {"__init__", "__main__"}} <= named


def test_the_domain_imports_the_standard_library_and_what_only_computes() -> None:
    allowed = sys.stdlib_module_names | {"numpy", "shapely"}
    strange = {
        (source.place, name)
        for source in app_sources()
        if source.place.startswith("app/domain/")
        for name in imported(source.tree)
        if name.partition(".")[0] not in allowed and not name.startswith("app.domain.")
    }
    assert not strange


@pytest.mark.parametrize("file", ["service.py", "queries.py", "models.py"])
def test_what_a_job_may_call_knows_no_fastapi(file: str) -> None:
    sources = [source for source in app_sources() if source.place.endswith(f"/{file}")]
    assert sources
    knowing = {
        source.place
        for source in sources
        for name in imported(source.tree)
        if name.partition(".")[0] in ("fastapi", "starlette")
    }
    assert not knowing
