"""Puts the weights of a file into a module: finds them in it, and says what does not fit.

What training programs wrap around weights (a checkpoint, a prefix of every name, another width
of floats) is taken off where what is left is the model's, name by name; a note says so.
"""

import difflib
import itertools
import pickle
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from edgekit.errors import InputRefusedError

State = Mapping[str, Tensor]

_SHOWN = 8
_COMPILED = "_orig_mod."
"""What torch.compile puts before the names of the module that it wraps, wherever that is."""

_COUNTER = "num_batches_tracked"
"""What batch norm counts; older files lack it, and nothing reads it once a model is trained."""

_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_TORCHSCRIPT = "TorchScript archive"
_DAMAGED = (
    SafetensorError,
    RuntimeError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    struct.error,
)
"""What the two readers raise on bytes that were never weights; PyTorch's names no class."""


@dataclass(frozen=True)
class _Fit:
    """A state dict held against a model's: under its names, and what is still amiss."""

    state: State
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def load_weights(module: nn.Module, path: Path) -> tuple[str, ...]:
    """Put the weights of a file into `module`; return what was done to make them fit.

    Raises:
        InputRefusedError: The file is a pickle of more than tensors, damaged, or holds no weights
            of this module; all that does not fit at once.
    """
    fit = _found_in(_read(path), module.state_dict(), path)
    if fit.problems:
        raise InputRefusedError(
            f"{path} does not fit the model: {'; '.join(fit.problems)}",
            hint="it holds the weights of another model, or the factory's options differ",
        )
    module.load_state_dict(dict(fit.state))
    return tuple(f"{path.name}: {note}" for note in fit.notes)


def some(names: Sequence[str]) -> str:
    """Return names in quotes, the first few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more


def _read(path: Path) -> object:
    """Read what a file holds without running anything that it asks for.

    Raises:
        InputRefusedError: It is a pickle of more than tensors, or damaged.
    """
    try:
        with path.open("rb") as file:
            is_safetensors = file.read(9)[8:] == b"{"
            file.seek(0)
            # From a path, torch.load goes by the suffix; an open file is judged by its content.
            found: object = (
                load(file.read())
                if is_safetensors
                else torch.load(file, map_location="cpu", weights_only=True)
            )
    except OSError as error:
        raise InputRefusedError(
            f"the weights {path} cannot be read: {error.strerror}", hint="check model.weights"
        ) from error
    except pickle.UnpicklingError as error:
        named = _GLOBAL.search(str(error))
        if named is None:
            refused = _unreadable(path, "it is neither a .safetensors file nor a .pt file")
            raise refused from error
        raise InputRefusedError(
            f"{path} is a pickle that holds more than tensors, such as {named[1]}, and reading it "
            "would run it",
            hint="where you trust it, save its weights alone once: "
            f"torch.save(torch.load('{path.name}', weights_only=False).state_dict(), "
            "'weights.pt'); a checkpoint has them below a key, as ['state_dict']",
        ) from error
    except _DAMAGED as error:
        if _TORCHSCRIPT in str(error):
            raise InputRefusedError(
                f"{path} is a TorchScript archive, which holds code beside its weights",
                hint="save its weights alone: "
                f"torch.save(torch.jit.load('{path.name}').state_dict(), 'weights.pt')",
            ) from error
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        refused = _unreadable(path, reason)
        raise refused from error
    return found


def _unreadable(path: Path, reason: str) -> InputRefusedError:
    return InputRefusedError(
        f"{path} holds no readable weights: {reason}",
        hint="edgekit reads .safetensors files and state dicts saved by torch.save; a whole model "
        "as .onnx or .tflite goes into model.file",
    )


def _found_in(found: object, wanted: State, path: Path) -> _Fit:
    """Return how the weights fit that a file holds, by themselves or in a training checkpoint.

    Raises:
        InputRefusedError: There are none, or several that could be meant.
    """
    if _is_state(found):
        return _fit(found, wanted)
    held = found if isinstance(found, Mapping) else {}
    fits = {str(key): _fit(value, wanted) for key, value in held.items() if _is_state(value)}
    if not fits:
        raise InputRefusedError(
            f"{path} holds no plain state dict (names and tensors), nor a checkpoint with one",
            hint="save weights alone: torch.save(model.state_dict(), ...)",
        )
    whole = [key for key, fit in fits.items() if not fit.problems]
    if len(whole) > 1:
        raise InputRefusedError(
            f"{path} is a checkpoint, and several of its parts fit the model: {some(whole)}",
            hint="save the one that is meant: "
            f"torch.save(torch.load('{path.name}')['{whole[0]}'], 'weights.pt')",
        )
    # Where none fits, the nearest is the one to hear about.
    chosen = max(fits, key=lambda key: (key in whole, len(fits[key].state.keys() & wanted.keys())))
    note = f"a checkpoint, of which '{chosen}' is the weights"
    return replace(fits[chosen], notes=(note, *fits[chosen].notes))


def _is_state(found: object) -> TypeGuard[State]:
    return (
        isinstance(found, Mapping)
        and len(found) > 0
        and all(isinstance(n, str) and isinstance(v, Tensor) for n, v in found.items())
    )


def _fit(state: State, wanted: State) -> _Fit:
    spellings = [*_spellings(state, wanted)]
    named, notes = max(spellings, key=lambda one: len(one[0].keys() & wanted.keys()))
    whole = {**named, **_implied(named, wanted)}
    return _Fit(whole, (*notes, *_conversions(whole, wanted)), tuple(_problems(whole, wanted)))


def _spellings(state: State, wanted: State) -> Iterator[tuple[State, tuple[str, ...]]]:
    """Yield a state under its own names, and without what programs put before names."""
    yield state, ()
    plain = {name.replace(_COMPILED, ""): value for name, value in state.items()}
    notes = (f"'{_COMPILED}' is taken out of its names",) if plain.keys() != state.keys() else ()
    yield plain, notes
    outer, inner = _prefix(plain), _prefix(wanted)
    if outer != inner:
        moved = {f"{inner}{name.removeprefix(outer)}": value for name, value in plain.items()}
        yield moved, (*notes, f"its names begin with '{outer}', the model's with '{inner}'")


def _prefix(state: State) -> str:
    """Return the modules that all names begin with, such as `module.`, or nothing."""
    first, last = min(state), max(state)
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    common = "".join(letter for letter, _ in pairs)
    return common[: common.rfind(".") + 1]


def _implied(state: State, wanted: State) -> State:
    """Return what a file may leave out: a tensor that it has by another name, and counters."""
    found = {}
    for name in wanted.keys() - state.keys():
        twins = [other for other in state if _is_one(wanted.get(other), wanted[name])]
        if twins:
            found[name] = state[twins[0]]
        elif name.endswith(_COUNTER):
            found[name] = wanted[name]
    return found


def _is_one(one: Tensor | None, other: Tensor) -> bool:
    return (
        one is not None
        and one.shape == other.shape
        and one.numel() > 0
        and one.data_ptr() == other.data_ptr()
    )


def _conversions(state: State, wanted: State) -> Iterator[str]:
    """Yield a sentence for each width of floats that becomes another one."""
    pairs = dict.fromkeys(
        (_kind(state[name]), _kind(value))
        for name, value in wanted.items()
        if name in state and state[name].dtype != value.dtype and value.is_floating_point()
    )
    yield from (f"its {found} weights are {kind} now" for found, kind in pairs)


def _problems(state: State, wanted: State) -> Iterator[str]:
    """Yield what does not fit, sort by sort, so that none of them is hidden behind another."""
    both = [name for name in wanted if name in state]
    unknown = [name for name in state if name not in wanted]
    yield from _first(
        f"'{name}' is missing{_closest(name, unknown)}" for name in wanted if name not in state
    )
    yield from _first(f"'{name}' is not in the model" for name in unknown)
    yield from _first(
        f"'{name}' has shape {list(state[name].shape)}, the model {list(wanted[name].shape)}"
        for name in both
        if state[name].shape != wanted[name].shape
    )
    yield from _first(
        f"'{name}' holds {_kind(state[name])}, the model {_kind(wanted[name])}"
        for name in both
        if state[name].is_floating_point() != wanted[name].is_floating_point()
        and not name.endswith(_COUNTER)
    )


def _first(problems: Iterable[str]) -> Iterator[str]:
    found = [*problems]
    yield from found[:_SHOWN]
    if len(found) > _SHOWN:
        yield f"and {len(found) - _SHOWN} more like this"


def _closest(name: str, unknown: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, unknown, n=1)
    return f" (the file has '{close[0]}')" if close else ""


def _kind(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")
