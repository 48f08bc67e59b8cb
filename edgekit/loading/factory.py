"""Calls a recipe's factory, puts weights into the module, and finds its signature."""

import inspect
import json
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from edgekit.core.model import Change, Model, run_module
from edgekit.core.samples import Samples
from edgekit.core.tensors import Array, DType, Signature, TensorSpec
from edgekit.errors import InputRefusedError, UnsupportedError, UsageError
from edgekit.loading.plain_weights import make_weights_plain
from edgekit.loading.source import ModelSource
from edgekit.loading.user_code import calling_user_code, load_function

BATCH = "batch"
"""The name of the axis that counts rows."""

_SHOWN = 8
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


def build_model(source: ModelSource, samples: Samples) -> Model:
    """Return the model that `source` describes, in eval mode, tried out on `samples`.

    A module without weights starts from the same random ones every time.

    Raises:
        UsageError: The factory fails or returns no module, or the module cannot be run on
            the samples.
        InputRefusedError: The weights are a pickle, damaged, or not those of this module.
        UnsupportedError: The module returns something else than tensors with a row a sample.
    """
    module = build_module(source)
    if source.weights is not None:
        _load_weights(module, source.weights)
    plain = make_weights_plain(module)
    summary = f"weights that were computed in every call are plain now: {', '.join(plain)}"
    history = (Change("model", summary),) if plain else ()
    return Model(module, find_signature(module, samples), history)


def build_module(source: ModelSource) -> nn.Module:
    """Return the factory's module in eval mode, without the source's weights.

    Raises:
        UsageError: The factory fails, or returns no module.
    """
    factory = load_function(source.factory, source.code_directory)
    with torch.random.fork_rng(devices=[]), calling_user_code(f"'{source.factory}'"):
        torch.manual_seed(0)
        module = factory(**source.options)
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"'{source.factory}' returned {type(module).__name__}, not a torch.nn.Module",
            hint="return the module itself, not its class and not its weights",
        )
    return module.eval()


def find_signature(module: nn.Module, samples: Samples) -> Signature:
    """Return what `module` takes and gives, found by running it on 2 and on 3 samples.

    Raises:
        UsageError: The samples' names are not those of `forward`, or it fails on them.
        UnsupportedError: It returns something else than tensors with a row a sample.
    """
    names = _input_names(module, samples)
    shown = samples.inputs(0, 3)
    of_two = _outputs(module, {name: _rows(shown[name], 2) for name in names})
    of_three = _outputs(module, {name: _rows(shown[name], 3) for name in names})
    inputs = tuple(
        TensorSpec(name, DType(shown[name].dtype.name), (BATCH, *shown[name].shape[1:]))
        for name in names
    )
    outputs = tuple(_output_spec(name, of_two[name], of_three[name]) for name in of_two)
    return Signature(inputs, outputs)


def _load_weights(module: nn.Module, path: Path) -> None:
    state = _read_weights(path)
    wanted = module.state_dict()
    problems = [f"'{name}' is missing" for name in wanted if name not in state]
    problems += [f"'{name}' is not in the model" for name in state if name not in wanted]
    problems += [
        f"'{name}' has shape {list(state[name].shape)}, the model {list(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InputRefusedError(
            f"{path} does not fit the model: {'; '.join(problems[:_SHOWN])}{more}",
            hint="it holds the weights of another model, or the factory's options differ",
        )
    module.load_state_dict(state)


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict without running anything that the file asks for.

    Raises:
        InputRefusedError: It is a pickle of more than tensors, damaged, or no state dict.
    """
    try:
        with path.open("rb") as file:
            is_safetensors = file.read(9)[8:] == b"{"
            file.seek(0)
            # From a path, torch.load goes by the suffix; an open file is judged by its content.
            state = (
                load(file.read())
                if is_safetensors
                else torch.load(file, map_location="cpu", weights_only=True)
            )
    except OSError as error:
        raise InputRefusedError(
            f"the weights {path} cannot be read: {error.strerror}", hint="check model.weights"
        ) from error
    except pickle.UnpicklingError as error:
        raise InputRefusedError(
            f"{path} is a pickle that holds more than tensors, and reading it would run it",
            hint="save weights alone: torch.save(model.state_dict(), ...), or a .safetensors file",
        ) from error
    except _DAMAGED as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputRefusedError(
            f"{path} holds no readable weights: {reason}",
            hint="edgekit reads .safetensors files and state dicts saved by torch.save",
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputRefusedError(
            f"{path} holds no plain state dict (names and tensors)",
            hint="save weights alone: torch.save(model.state_dict(), ...)",
        )
    return {str(name): value for name, value in state.items()}


def _input_names(module: nn.Module, samples: Samples) -> tuple[str, ...]:
    """Return the samples' names in the order in which `forward` takes them.

    Raises:
        UsageError: They are not the names that it takes.
    """
    parameters = inspect.signature(module.forward).parameters
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values()):
        return samples.names
    required = [
        name for name, value in parameters.items() if value.default is inspect.Parameter.empty
    ]
    missing = [name for name in required if name not in samples.names]
    unknown = [name for name in samples.names if name not in parameters]
    if missing or unknown:
        raise UsageError(
            f"the data has inputs named {', '.join(samples.names)}, and the model's forward "
            f"takes {', '.join(parameters)}",
            hint="name the inputs of every split after the parameters of forward",
        )
    return tuple(name for name in parameters if name in samples.names)


def _rows(array: Array, count: int) -> Tensor:
    return torch.from_numpy(array[np.arange(count) % len(array)])


def _outputs(module: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    shapes = json.dumps({name: list(value.shape) for name, value in inputs.items()})
    with torch.no_grad(), calling_user_code(f"the model, run on inputs of shape {shapes},"):
        return run_module(module, inputs)


def _output_spec(name: str, of_two: object, of_three: object) -> TensorSpec:
    if not isinstance(of_two, Tensor) or not isinstance(of_three, Tensor):
        raise UnsupportedError(
            f"the model's output '{name}' is a {type(of_two).__name__}, not a tensor",
            hint="return a tensor, a tuple of tensors, or a dictionary of tensors",
        )
    sizes = tuple(of_two.shape)
    if sizes[:1] != (2,) or tuple(of_three.shape) != (3, *sizes[1:]):
        raise UnsupportedError(
            f"the model's output '{name}' has shape {list(sizes)} for 2 samples and "
            f"{list(of_three.shape)} for 3; edgekit needs one row a sample, alike in the rest",
            hint="put the batch first, and do not mix samples in one row",
        )
    return TensorSpec(name, DType(str(of_two.dtype).removeprefix("torch.")), (BATCH, *sizes[1:]))
