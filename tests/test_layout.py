"""What may import what: read from the sources, imports inside functions and for types too."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Where FiftyOne may be imported; all else in the library is below it.
FIFTYONE = {
    "app",
    "cli",
    "curation",
    "dataset",
    "demo",
    "evaluation",
    "health",
    "engines",
}

# Modules without a test file of their name, and why.
WITHOUT_TEST_FILE = {
    "evaluation/results.py": "names what an evaluation gives, and does nothing",
    "network/description.py": "names a network's numbers, and does nothing",
    "prediction/prompts/prompt.py": "names what a kind of prompt is asked, and does nothing",
    "scoring/score.py": "names what a score is, and does nothing",
    "app/loading.py": "tested in test_side_effects.py, in processes of their own",
    "annotations/results.py": "tested in annotations/test_reader.py and dataset/test_export.py",
    "curation/clean_counts.py": "tested in curation/test_clean_export.py",
    "engines/cluster.py": "tested in engines/test_table.py",
    "engines/database_address.py": "tested in engines/test_table.py",
    "engines/engine.py": "tested in engines/test_table.py",
    "evaluation/registration.py": "tested in evaluation/test_backend.py",
}


def modules(folder: str) -> dict[str, ast.Module]:
    """Every module below a folder by its dotted name."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text())
    return found


def imports(tree: ast.Module) -> set[str]:
    """All that a module imports, absolutely: `a.b` and `a.b.c` for `from a.b import c`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


LIBRARY = modules("ovsam_plugin")


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {}
    for name, tree in LIBRARY.items():
        # `from package import module` is of the module, and the package is run for any of its own.
        known = {other for other in imports(tree) if other in LIBRARY}
        graph[name] = {o for o in known if not any(k.startswith(f"{o}.") for k in known)} - {name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("these import each other: " + " <- ".join(error.args[1]))


def test_only_what_is_about_datasets_imports_fiftyone() -> None:
    for name, tree in LIBRARY.items():
        room = name.split(".")[1] if "." in name else "__init__"
        if any(other.split(".")[0] == "fiftyone" for other in imports(tree)):
            assert room in FIFTYONE, f"{name} imports fiftyone"


def test_forms_never_load_torch_by_themselves() -> None:
    for name, tree in modules("operators").items():
        assert not any(other.split(".")[0] == "torch" for other in imports(tree)), name


def test_a_class_s_name_is_one_thing() -> None:
    homes: dict[str, str] = {}
    for name, tree in LIBRARY.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                assert node.name not in homes, f"{node.name}: {name} and {homes[node.name]}"
                homes[node.name] = name


def test_a_module_has_a_test_file_of_its_name() -> None:
    untested = set()
    for folder, below in (("ovsam_plugin", "."), ("operators", "operators")):
        for path in (ROOT / folder).rglob("*.py"):
            place = below / path.relative_to(ROOT / folder)
            named = ROOT / "tests" / place.parent / f"test_{path.name}"
            if path.stem not in ("__init__", "__main__") and not named.is_file():
                untested.add(place.as_posix())
    assert untested == WITHOUT_TEST_FILE.keys()


def test_no_test_of_the_command_is_of_a_module_that_is_gone() -> None:
    modules = {path.stem for path in (ROOT / "ovsam_plugin" / "cli").glob("[!_]*.py")}
    tests = {path.stem for path in (ROOT / "tests" / "cli").glob("test_*.py")}
    assert tests <= {f"test_{name}" for name in modules}


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_what_a_benchmark_imports_is_there_inside_its_functions_too(path: Path) -> None:
    lacking = [
        f"{line.module}.{name.name}"
        for line in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(line, ast.ImportFrom) and (line.module or "").startswith("ovsam_plugin")
        for name in line.names
        if not there(str(line.module), name.name)
    ]
    assert not lacking


def there(module: str, name: str) -> bool:
    """Whether a module has a name, or is a package with a module of that name."""
    try:
        return hasattr(import_module(module), name) or bool(find_spec(f"{module}.{name}"))
    except ModuleNotFoundError:
        return False
