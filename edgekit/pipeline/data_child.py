"""Calls a recipe's data function; runs in a child, because the function is the user's."""

import inspect
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from edgekit.core.data import DataContext, Split, SplitName
from edgekit.core.progress import Progress
from edgekit.core.registry import did_you_mean
from edgekit.core.samples import save_samples
from edgekit.errors import InputRefusedError, UsageError
from edgekit.loading.source import DataSource
from edgekit.loading.user_code import calling_user_code, load_function
from edgekit.pipeline.tasks import LoadDataRequest, LoadDataResponse


def load_data(request: LoadDataRequest, progress: Progress) -> LoadDataResponse:
    """Write every split that the data function returns into a folder of its name.

    Raises:
        UsageError: The function fails, or returns something else than splits by name.
        InputRefusedError: A split's arrays cannot be used.
    """
    splits = _call(request.source)
    refused: dict[str, InputRefusedError] = {}
    for number, (name, split) in enumerate(splits.items(), 1):
        try:
            save_samples(request.directory / name, split.inputs, split.labels)
        except InputRefusedError as error:
            refused[name] = error
        progress.update("split", number, len(splits), name)
    if refused:
        raise InputRefusedError(
            "; ".join(f"split '{name}': {error.message}" for name, error in refused.items()),
            hint="; ".join(dict.fromkeys(error.hint for error in refused.values())),
        )
    return LoadDataResponse(tuple(splits))


def _call(source: DataSource) -> Mapping[str, Split]:
    context = DataContext(source.code_directory, source.packages)
    function = load_function(source.function, source.code_directory)
    _refuse_other_arguments(function, source.function)
    with calling_user_code(f"the data function '{source.function}'"):
        found = function(context)
    known = [name.value for name in SplitName]
    if not isinstance(found, Mapping) or not found:
        raise UsageError(
            f"the data function '{source.function}' returned {type(found).__name__}, "
            f"expected a dictionary of splits",
            hint="see 'edgekit init' for a data function that works",
        )
    for name, split in found.items():
        if name not in known:
            raise UsageError(
                f"the data function '{source.function}' returned a split '{name}'"
                f"{did_you_mean(str(name), known)}",
                hint=f"splits are called {', '.join(known)}",
            )
        if not isinstance(split, Split):
            raise UsageError(
                f"the data function '{source.function}' returned {type(split).__name__} "
                f"as its split '{name}'",
                hint="return edgekit.core.data.Split(inputs, labels)",
            )
        _refuse_other_arrays(source.function, name, split)
    return found


def _refuse_other_arguments(function: Callable[..., object], name: str) -> None:
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise UsageError(
            f"the data function '{name}' cannot be called with one argument: {error}",
            hint="it takes an edgekit.core.data.DataContext: def load(context): ...",
        ) from error


def _refuse_other_arrays(function: str, name: str, split: Split) -> None:
    """Refuse what only looks like arrays: lists, tensors, tables.

    Raises:
        UsageError: Inputs are no dictionary of numpy arrays by name, or labels no numpy array.
    """
    if not isinstance(split.inputs, Mapping):
        raise UsageError(
            f"the inputs of the split '{name}' of '{function}' are {type(split.inputs).__name__}, "
            "expected a dictionary of arrays",
            hint="name each array after the argument of forward that takes it: Split({'x': array})",
        )
    names: Iterable[object] = split.inputs
    nameless = [repr(key) for key in names if not isinstance(key, str)]
    if nameless:
        raise UsageError(
            f"the split '{name}' of '{function}' has inputs called {', '.join(nameless)}, "
            "and names are text",
            hint="name each array after the argument of forward that takes it: Split({'x': array})",
        )
    given: dict[str, object] = {f"input '{key}'": array for key, array in split.inputs.items()}
    given |= {} if split.labels is None else {"labels": split.labels}
    wrong = [
        f"{what} is {type(array).__name__}"
        for what, array in given.items()
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray)
    ]
    if wrong:
        raise UsageError(
            f"the split '{name}' of '{function}' holds other things than numpy arrays: "
            + "; ".join(wrong),
            hint="convert them: numpy.asarray(values, dtype=numpy.float32), or tensor.numpy()",
        )
