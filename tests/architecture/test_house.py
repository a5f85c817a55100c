"""The laws of the house that no linter knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "operator/embedding_operator",
    "service/embedding_contract",
    "service/embedding_service",
)
SOURCES = sorted(
    path
    for folder in ("operator", "service", "k8s", "tests", "charts", "docs")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)
OURS = [path for path in SOURCES if "tests" not in path.relative_to(ROOT).parts]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("this copy is not a git checkout: what is committed cannot be checked")
    return listing.stdout.splitlines()


def test_the_operator_folder_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator/__init__.py").exists()
    command = [sys.executable, "-c", "import operator; print(operator.add(1, 2))"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "3"


def test_tests_are_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_the_top_level_holds_only_what_it_may() -> None:
    allowed = {"operator", "service", "charts", "tests", "k8s", "docs"}
    allowed |= {"pyproject.toml", "Makefile", "LICENSE"}
    tops = {path.split("/")[0] for path in tracked()}
    assert {top for top in tops if not top.startswith(".") and not top.endswith(".md")} <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_is_short_enough_to_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_a_function_is_short_enough_to_read(path: Path) -> None:
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= 60
    ]
    assert not long


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_a_file_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_no_room_is_an_attic() -> None:
    attic = re.compile(r"(^|/)(utils?|helpers?|common|misc)(\.py)?($|/)")
    assert not [name_of(path) for path in SOURCES if attic.search(name_of(path))]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


def test_pins_are_exact_and_name_no_host() -> None:
    lines = (ROOT / ".constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    assert all(re.match(r"[a-z0-9._-]+==[^\s;]+( ;.*)?$", pin) for pin in pins)


def test_nothing_is_left_undone() -> None:
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    assert not [name_of(path) for path in SOURCES if marks.search(path.read_text())]
