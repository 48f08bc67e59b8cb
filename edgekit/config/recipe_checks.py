"""What no single section of a recipe can know: whether they fit each other, and what they name.

Everything is found before anything runs, without importing a line of the recipe's code.
"""

import ast
import importlib.util
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from edgekit.budget.rules import PER_TARGET, Budget, Metric
from edgekit.config.explain import Place
from edgekit.config.lookup import Folder, find
from edgekit.config.sections import FileData, FileModel, FunctionData, Sections
from edgekit.core.artifact import Format
from edgekit.core.registry import closest_or_all, did_you_mean
from edgekit.errors import UsageError
from edgekit.fetching.packages import packages
from edgekit.runtimes.inspect import recognise

Found = Iterator[tuple[Place, str]]


def contradictions(recipe: Sections, folder: Path) -> list[tuple[Place, str]]:
    """Return every place of a recipe that does not fit the rest of it, and why.

    `folder` is the recipe's own; the paths in `recipe` are absolute by now.
    """
    return [found for check in _CHECKS for found in check(recipe, folder)]


def _order(recipe: Sections, _folder: Path) -> Found:
    if recipe.finetune and not recipe.prune:
        yield ("finetune",), "needs a `prune` section; to fit a model that stays whole use `train`"
    if isinstance(recipe.model, FileModel) and _is_tflite(recipe.model.file):
        for name in ("train", "prune", "finetune", "export"):
            if getattr(recipe, name):
                yield (name,), "works on PyTorch and ONNX models, and `model.file` is a TFLite file"
    elif recipe.quantize and not recipe.export and recipe.needs_module:
        yield ("quantize",), "needs an `export` section: files are quantized, not PyTorch models"


def _is_tflite(path: Path) -> bool:
    return path.is_file() and recognise(path) is Format.TFLITE


def _data(recipe: Sections, _folder: Path) -> Found:
    if isinstance(recipe.data, FunctionData):
        return
    for name in ("train", "finetune"):
        if getattr(recipe, name) and not recipe.data.train:
            yield (name,), "needs training data: add `data.train`"
    quantize = recipe.quantize
    if quantize and not quantize.random_calibration and not recipe.data.calibration:
        yield ("quantize",), "needs calibration data: add `data.calibration`"
    if recipe.data.test is None and recipe.budget:
        for index, rule in enumerate(recipe.budget.rules):
            if rule.metric in {Metric.SCORE, Metric.LOSS}:
                place = ("budget", "rules", index)
                yield place, f"needs test data for {rule.metric.value}: add `data.test`"


def _targets(recipe: Sections, _folder: Path) -> Found:
    named = recipe.profile.targets if recipe.profile else ()
    for index, name in enumerate(named):
        try:
            find(Folder.TARGETS, name)
        except UsageError as error:
            yield ("profile", "targets", index), error.message
    if recipe.budget:
        yield from _budget_targets(recipe.budget, named)


def _budget_targets(budget: Budget, named: tuple[str, ...]) -> Found:
    for index, rule in enumerate(budget.rules):
        place: Place = ("budget", "rules", index)
        if rule.metric in PER_TARGET and not named:
            yield place, f"{rule.metric.value} needs a `profile` section with a target"
        elif rule.metric in PER_TARGET and not any(fnmatchcase(n, rule.target) for n in named):
            close = closest_or_all(rule.target, named)
            yield (*place, "target"), f"'{rule.target}' is no target of `profile`{close}"


def _growth(recipe: Sections, _folder: Path) -> Found:
    for index, rule in enumerate(recipe.budget.rules if recipe.budget else ()):
        if rule.growth is not None:
            message = (
                "needs a baseline, which a run has none of; put the rule into a budget file "
                "and judge it with 'edgekit check --budget FILE --baseline FILE'"
            )
            yield ("budget", "rules", index, "growth"), message


def _packages(recipe: Sections, _folder: Path) -> Found:
    if isinstance(recipe.data, FunctionData):
        for index, name in enumerate(recipe.data.packages):
            if name not in packages():
                close = closest_or_all(name, packages())
                yield ("data", "packages", index), f"unknown package '{name}'{close}"


def _files(recipe: Sections, _folder: Path) -> Found:
    named: dict[Place, Path | None] = {}
    if isinstance(recipe.model, FileModel):
        named["model", "file"] = recipe.model.file
    else:
        named["model", "weights"] = recipe.model.weights
    if isinstance(recipe.data, FileData):
        named["data", "train"] = recipe.data.train
        named["data", "calibration"] = recipe.data.calibration
        named["data", "test"] = recipe.data.test
    for place, path in named.items():
        if path is not None and not path.is_file():
            beside = [file.name for file in path.parent.glob(f"*{path.suffix}")]
            yield place, f"there is no file {path}{did_you_mean(path.name, beside)}"


def _functions(recipe: Sections, folder: Path) -> Found:
    for where, reference in recipe.functions.items():
        message = missing_function(reference, folder)
        if message:
            yield tuple(where.split(".")), message


_CHECKS: tuple[Callable[[Sections, Path], Found], ...] = (
    _order,
    _data,
    _targets,
    _growth,
    _packages,
    _files,
    _functions,
)


def missing_function(reference: str, folder: Path) -> str:
    """Say why `module:function` cannot be there, or nothing; the module is read, not run."""
    module, _, function = reference.partition(":")
    file = folder / (module.replace(".", "/") + ".py")
    if not file.is_file():
        top = module.partition(".")[0]
        if (folder / top).is_dir() or importlib.util.find_spec(top) is not None:
            return ""
        beside = [one.stem for one in folder.glob("*.py")]
        close = did_you_mean(top, beside)
        return f"there is no module '{top}' beside the recipe, and none is installed{close}"
    try:
        tree = ast.parse(file.read_bytes())
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        return f"{file}:{line}: this is not Python: {getattr(error, 'msg', error)}"
    names = _defined(tree)
    if function in names or "*" in names or "__getattr__" in names:
        return ""
    return f"{file.name} has no '{function}'{closest_or_all(function, names)}"


def _defined(tree: ast.Module) -> list[str]:
    """Return the names that a module's top level binds, in order; `*` for a star import."""
    names: list[str] = []
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.append(name)
            case ast.ClassDef(name=name):
                names.append(name)
            case ast.Import() | ast.ImportFrom():
                names += [alias.asname or alias.name for alias in node.names]
            case ast.Assign(targets=targets) if all(isinstance(t, ast.Name) for t in targets):
                names += [one.id for one in targets if isinstance(one, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.append(name)
            case ast.Expr() | ast.AugAssign() | ast.Assert() | ast.Pass():
                pass
            case _:
                # What a block binds, or an assignment to a part of something, is only known
                # once it runs.
                names.append("*")
    return names
