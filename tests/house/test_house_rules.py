"""House rules that no off-the-shelf linter checks."""

import ast
import dataclasses
import importlib
import pkgutil
import re
import subprocess
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgekit.core
from edgekit.core.process import Task

PACKAGE = Path(next(iter(edgekit.core.__path__))).parent
ROOT = PACKAGE.parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
UNIT_SUFFIXES = ("_ns", "_us", "_s", "_hz", "_bytes", "_bits", "_db", "_percent", "_per_second")
DIMENSIONLESS = {
    "axis",
    "candidate",
    "cache_misses",
    "cores",
    "cosine",
    "count",
    "cycles",
    "loss",
    "numbers",
    "parameters",
    "reference",
    "returncode",
    "descriptor",
    "efficiency",
    "exit_code",
    "instructions",
    "runs",
    "samples",
    "schema_version",
    "seeds",
    "size_ratio",
    "threads",
    "ways",
    "worst_sample",
}
LONGEST_MODULE = 400


def core_modules() -> Iterator[str]:
    for info in pkgutil.iter_modules(edgekit.core.__path__):
        yield f"edgekit.core.{info.name}"


def numeric_fields() -> Iterator[tuple[str, str]]:
    for name in core_modules():
        module = importlib.import_module(name)
        for cls in vars(module).values():
            if not isinstance(cls, type) or cls.__module__ != name:
                continue
            if dataclasses.is_dataclass(cls):
                # `nn.Module` is named in core for the type checker alone.
                torch_names = {"nn": types.SimpleNamespace(Module=object)}
                hints = typing.get_type_hints(cls, localns=torch_names, include_extras=True)
                for field in dataclasses.fields(cls):
                    # A type of edgekit.units is written with its unit, and so needs no other.
                    if typing.get_origin(hints[field.name]) is typing.Annotated:
                        continue
                    parts = set(typing.get_args(hints[field.name])) or {hints[field.name]}
                    if parts & {int, float}:
                        yield f"{name}.{cls.__name__}", field.name


@pytest.mark.parametrize(("owner", "field"), list(numeric_fields()))
def test_numbers_in_core_types_carry_their_unit(owner: str, field: str) -> None:
    assert field in DIMENSIONLESS or field.endswith(UNIT_SUFFIXES), (
        f"{owner}.{field}: end the name with a unit ({', '.join(UNIT_SUFFIXES)}) "
        "or add it to DIMENSIONLESS if it has none"
    )


def relative(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


@pytest.mark.parametrize("file", SOURCES, ids=relative)
def test_module_is_short_enough_to_read_at_once(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())

    assert lines <= LONGEST_MODULE, f"{file.name} has {lines} lines; split it by what changes apart"


@pytest.mark.parametrize("file", SOURCES, ids=relative)
def test_every_raise_says_something(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    silent = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Name)
        and node.exc.id[0].isupper()
    ]

    assert not silent, f"{file.name}: raise without a message on lines {silent}"


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        if isinstance(node, ast.ClassDef) and node.name.startswith("_"):
            continue
        for member in members:
            if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                yield member


@pytest.mark.parametrize("file", SOURCES, ids=relative)
def test_public_functions_on_arrays_state_shapes(file: Path) -> None:
    says = ("shape", "see `", "`[")
    silent = [
        function.name
        for function in public_functions(ast.parse(file.read_text(encoding="utf-8")))
        if "Array" in ast.unparse(function.args)
        and not any(word in (ast.get_docstring(function) or "").lower() for word in says)
    ]

    assert not silent, f"{file.name}: say the shapes in the docstring of {silent}"


@pytest.mark.parametrize("file", SOURCES, ids=relative)
def test_no_module_is_a_drawer_for_odds_and_ends(file: Path) -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}

    assert not drawers & set(file.relative_to(PACKAGE).with_suffix("").parts)


def tasks() -> Iterator[tuple[str, Task[object, object]]]:
    for file in SOURCES:
        if "Task(" not in file.read_text(encoding="utf-8") or "core" in file.parts[-2:]:
            continue
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, Task):
                yield value.entry, value


@pytest.mark.parametrize(("entry", "task"), dict(tasks()).items())
def test_task_names_a_function_of_its_own_types(entry: str, task: Task[object, object]) -> None:
    module, _, name = entry.partition(":")

    function = getattr(importlib.import_module(module), name)

    hints = typing.get_type_hints(function)
    assert hints["request"] is task.request
    assert hints["return"] is task.response


def committed_text_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so there is no list of committed files")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_repository_speaks_of_the_product_alone() -> None:
    # Spelled in pieces, so that this file does not find itself.
    forbidden = re.compile(
        "|".join(["\\.\\./" + "shared", "/work/" + "main", "/root/" + "dev", "h-" + "seed-"])
    )
    found = []
    for file in committed_text_files():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{file.relative_to(ROOT)}:{number}"
            for number, line in enumerate(text.splitlines(), 1)
            if forbidden.search(line)
        ]

    assert not found
