"""Imports run one way: what golden and RTL shared beyond the contract, no test could catch."""

import ast
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Package: the modules of its siblings that it may import; a package stands for all its modules.
ALLOWED = {
    "hw": [],
    "golden": ["hw.contract.params"],
    "compiler": ["hw.contract", "golden"],
    "sim": ["hw", "golden", "compiler"],
    "spikeloom": ["hw", "golden", "compiler", "sim"],
}
# Of the project, the files of the contract, which hold no logic, import only one another.
CONTRACT = ["hw.contract"]
CONTRACT_LIBRARIES = ["amaranth"]
# Rooms that only an extra brings the libraries of; no other room may import them.
EXTRAS = {"hw.soc": ["soc"], "spikeloom.board": ["soc", "board"]}
# What is there on a board alone.
ON_BOARDS = {"pynq"}
# The rooms of each package in the order data flow: a room may import those before it.
ROOMS = {
    "golden": [
        "console",
        "numerics",
        "checkpoint",
        "recipe",
        "model",
        "measure",
        "calibration",
        "commands",
    ],
    "hw": [
        "contract",
        "common",
        "memory",
        "spike",
        "matmul",
        "vector",
        "control",
        "top",
        "generate",
        "soc",
    ],
    "compiler": [
        "models",
        "storage",
        "passes",
        "artifact",
        "predict",
        "programs",
        "energy",
        "boards",
        "report",
        "pages",
        "commands",
    ],
    "sim": [
        "errors",
        "memories",
        "device",
        "functional",
        "rtl",
        "system",
        "cycle",
        "devices",
        "runs",
        "check",
        "scale",
        "generate",
        "diverge",
        "sweep",
        "commands",
    ],
}


def imported_modules(source: str, module: str) -> set[str]:
    """Return the full names of all that a module imports, anywhere in its text.

    `from a.b import c` counts as `a.b.c`, since c may be a module; relative names are resolved
    against `module`, the importer's own name (`hw.matmul.pe`; a package's is `hw.__init__`).
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func).rpartition(".")[2]
            name = node.args[0]
            if called in ("import_module", "__import__") and isinstance(name, ast.Constant):
                found.add(str(name.value))
    return found


def is_within(name: str, allowed: list[str]) -> bool:
    """Return whether a name is one of the allowed modules or lies in one."""
    return any(name == module or name.startswith(module + ".") for module in allowed)


def forbidden_imports(source: str, module: str) -> set[str]:
    """Return the imports by which a module breaks the rule."""
    package = module.split(".")[0]
    outside = {*ALLOWED, "tests", "tools", "bench"} - {package}
    imports = {name for name in imported_modules(source, module) if name.split(".")[0] in outside}
    return {name for name in imports if not is_within(name, ALLOWED[package])}


def modules(package: str) -> list[tuple[str, Path]]:
    """Return the names and paths of a package's modules."""
    paths = sorted((ROOT / package).rglob("*.py"))
    return [(".".join(path.relative_to(ROOT).with_suffix("").parts), path) for path in paths]


@cache
def providers() -> Mapping[str, list[str]]:
    """Return the distributions in this environment that hold a top-level module."""
    return packages_distributions()


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_one_way(package):
    found = modules(package)
    assert found, f"{package} has no modules"
    broken = {name: forbidden_imports(path.read_text(), name) for name, path in found}
    assert not {name: sorted(imports) for name, imports in broken.items() if imports}


def test_contract_needs_only_itself_and_amaranth():
    allowed = [*CONTRACT, *CONTRACT_LIBRARIES, *sys.stdlib_module_names]
    found = modules("hw/contract")
    assert found
    for module, path in found:
        names = imported_modules(path.read_text(), module)
        assert not {name for name in names if not is_within(name, allowed)}, module


def later_rooms(source: str, module: str) -> set[str]:
    """Return the imports by which a module reaches into a room that comes after its own."""
    package, room, *_ = module.split(".")
    rooms = ROOMS[package]
    later = rooms[rooms.index(room) + 1 :] if room in rooms else []
    after = [f"{package}.{name}" for name in later]
    return {name for name in imported_modules(source, module) if is_within(name, after)}


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_those_before_them(package):
    found = modules(package)
    rooms = {name.split(".")[1] for name, _ in found} - {"__init__", "__main__"}
    assert rooms == set(ROOMS[package])
    broken = {name: later_rooms(path.read_text(), name) for name, path in found}
    assert not {name: sorted(imports) for name, imports in broken.items() if imports}


@pytest.mark.parametrize("package", ALLOWED)
def test_libraries_are_requirements_of_the_project(package):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {requirement.split("==")[0] for requirement in project["dependencies"]}
    known = {*sys.stdlib_module_names, *ALLOWED}
    for name, path in modules(package):
        room = ".".join(name.split(".")[:2])
        extras = EXTRAS.get(room, [])
        extra = [line for name in extras for line in project["optional-dependencies"][name]]
        # By name, since nobody need have installed them.
        distributions = {requirement.split("==")[0] for requirement in extra}
        optional = {name.removeprefix("py") for name in distributions} & {"serial"}
        optional |= {name.replace("-", "_") for name in distributions}
        optional |= ON_BOARDS if room == "spikeloom.board" else set()
        tops = {found.split(".")[0] for found in imported_modules(path.read_text(), name)}
        tops -= known | optional
        strange = {top for top in tops if not pinned & {*providers().get(top, [])}}
        assert not strange, f"{name} imports {strange}, which no requirement names"


@pytest.mark.parametrize(
    ("module", "source", "forbidden"),
    [
        (
            "hw.matmul.pe",
            "from golden.numerics.codings import encode",
            {"golden.numerics.codings.encode"},
        ),
        ("hw.matmul.pe", "def f():\n    import sim", {"sim"}),
        ("hw.matmul.pe", "import tests.harness.axi", {"tests.harness.axi"}),
        ("hw.vector.unit.silu", "from ..params import HwParams\nfrom hw import isa", set()),
        ("golden.numerics.accumulation", "from hw.contract import params", set()),
        ("golden.numerics.accumulation", "from hw.contract.params import HwParams", set()),
        ("golden.numerics.accumulation", "from hw.matmul import pe", {"hw.matmul.pe"}),
        (
            "golden.numerics.accumulation",
            "from hw.contract.params_of_others import x",
            {"hw.contract.params_of_others.x"},
        ),
        ("golden.numerics.accumulation", "import hw", {"hw"}),
        (
            "golden.numerics.accumulation",
            "import importlib\nimportlib.import_module('hw.matmul.pe')",
            {"hw.matmul.pe"},
        ),
        (
            "compiler.passes.emit",
            "from hw.contract.isa import Linear\nfrom golden import quant",
            set(),
        ),
        ("compiler.passes.emit", "from hw.matmul.pe import Pe", {"hw.matmul.pe.Pe"}),
        ("compiler.passes.emit", "from sim.check import report", {"sim.check.report"}),
        (
            "sim.rtl.device",
            "from hw.top import Top\nimport golden.model.llama, compiler.artifact.program",
            set(),
        ),
        ("sim.rtl.device", "from bench import speed", {"bench.speed"}),
    ],
)
def test_the_rule_finds_what_breaks_it(module, source, forbidden):
    assert forbidden_imports(source, module) == forbidden


def test_a_step_back_up_is_found():
    source = "from hw.contract.params import HwParams\nfrom hw.matmul import pe"
    assert later_rooms(source, "hw.memory.read") == {"hw.matmul.pe"}
    assert later_rooms(source, "hw.matmul.array") == set()
