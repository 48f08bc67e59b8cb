"""Finds and calls the functions that a recipe names; in a child process alone.

A recipe's code lives beside it. Its folder comes last on the import path, so that a file of
it can never stand in for an installed module, and modules of one recipe are forgotten before
those of another are loaded.
"""

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from edgekit.core.registry import did_you_mean
from edgekit.errors import EdgekitError, UsageError

_entered: list[Path] = []


def load_function(reference: str, code_directory: Path) -> Callable[..., Any]:
    """Return the function that `module:function` names, from a recipe's folder or a package.

    Call it inside `calling_user_code`, so that its mistakes are reported as the user's.

    Raises:
        UsageError: There is no such module or function, it fails while it is imported, or
            its name belongs to an installed module.
    """
    name, _, function = reference.partition(":")
    if not all(part.isidentifier() for part in name.split(".")) or not function.isidentifier():
        raise UsageError(
            f"'{reference}' does not name a function", hint="write it like 'my_model:build'"
        )
    module = _import(name, code_directory.resolve(), reference)
    found = getattr(module, function, None)
    if not callable(found):
        candidates = [
            key for key, value in vars(module).items() if inspect.isroutine(value) and key[0] != "_"
        ]
        raise UsageError(
            f"{module.__file__} has no function '{function}'{did_you_mean(function, candidates)}",
            hint=f"'{reference}' is what the recipe names",
        )
    loaded: Callable[..., Any] = found
    return loaded


@contextlib.contextmanager
def calling_user_code(what: str) -> Iterator[None]:
    """Report what goes wrong in the body as a mistake in the user's code called `what`.

    The folder that the process works in is the same again afterwards: paths count from it.

    Raises:
        UsageError: The body raised, and the message names the last line of the user's own code;
            or it closed stdout or stderr, which frameworks write to later.
        EdgekitError: The body raised one of edgekit's own errors, which is passed on.
        MemoryError: The body ran out of memory, which the child's limit explains.
    """
    at_work = Path.cwd()
    try:
        yield
    except (EdgekitError, MemoryError):
        raise
    # Ctrl-C does not reach a child, so an interrupt is the code's own doing too.
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        where = _last_frame(error)
        raise UsageError(
            f"{what} failed{f' at {where}' if where else ''}: {_told(error)}",
            hint="this is code that the recipe names; mend it there and run again",
        ) from error
    finally:
        os.chdir(at_work)
    if any(stream is None or stream.closed for stream in (sys.stdout, sys.stderr)):
        raise UsageError(
            f"{what} closed stdout or stderr, which others write to",
            hint="this is code that the recipe names; mend it there and run again",
        )


def _import(name: str, folder: Path, reference: str) -> ModuleType:
    _enter(folder)
    top = name.partition(".")[0]
    is_beside = (folder / f"{top}.py").is_file() or (folder / top).is_dir()
    spec = importlib.util.find_spec(top)
    if spec is None:
        beside = [file.stem for file in sorted(folder.glob("*.py"))]
        raise UsageError(
            f"there is no module '{name}' in {folder} and none is installed"
            f"{did_you_mean(top, beside)}",
            hint=f"'{reference}' is what the recipe names",
        )
    if is_beside and not _is_within(folder, spec.origin, spec.submodule_search_locations):
        raise UsageError(
            f"'{top}' is the name of an installed module as well ({spec.origin}), "
            f"so {folder / top} can not be imported",
            hint=f"rename {top} and what the recipe names ('{reference}')",
        )
    with calling_user_code(f"importing '{name}'"):
        return importlib.import_module(name)


def _enter(folder: Path) -> None:
    """Make `folder` importable, and forget what was imported from another recipe's."""
    # Compiled files would be left in a folder that is not ours, and may be read-only.
    sys.dont_write_bytecode = True
    for other in [other for other in _entered if other != folder]:
        _entered.remove(other)
        sys.path.remove(str(other))
        for name, module in list(sys.modules.items()):
            if _is_within(other, getattr(module, "__file__", None), None):
                del sys.modules[name]
    if folder not in _entered:
        _entered.append(folder)
        sys.path.append(str(folder))
    importlib.invalidate_caches()


def _is_within(folder: Path, file: str | None, search: list[str] | None) -> bool:
    places = [file] if file else list(search or [])
    return any(Path(place).is_relative_to(folder) for place in places)


def _told(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.msg} ({error.filename}:{error.lineno})"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _last_frame(error: BaseException) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if any(Path(frame.filename).is_relative_to(folder) for folder in _entered)
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
