"""Calls a recipe's factory, and puts weights into the module that comes back."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from edgekit.core.model import Change, Model
from edgekit.core.samples import Samples
from edgekit.errors import UnsupportedError, UsageError
from edgekit.loading.fast_path import fast_path_differs, leave_fast_path
from edgekit.loading.plain_weights import make_weights_plain
from edgekit.loading.source import ModelSource
from edgekit.loading.trial import find_signature
from edgekit.loading.user_code import calling_user_code, load_function
from edgekit.loading.weights import load_weights, some
from edgekit.runtimes.feed import batch_of


def build_model(source: ModelSource, samples: Samples) -> Model:
    """Return the model that `source` describes, in eval mode, tried out on `samples`.

    A module without weights starts from the same random ones every time.

    Raises:
        UsageError: The factory fails or returns no module, or the module cannot be run on
            the samples.
        InputRefusedError: The weights are a pickle, damaged, or not those of this module.
        UnsupportedError: The module does not compute in float32, returns something else than
            tensors with a row a sample, or does not repeat itself.
    """
    module = build_module(source)
    history = []
    if source.weights is not None:
        notes = load_weights(module, source.weights)
        history += [Change("model", note) for note in notes]
    plain = make_weights_plain(module)
    signature = find_signature(module, samples)
    if plain:
        summary = f"weights that were computed in every call are plain now: {', '.join(plain)}"
        history.append(Change("model", summary))
    if batch_of(signature) is not None:
        history.append(Change("model", "it takes one sample at a time, and fails on two"))
    if fast_path_differs(module, samples, signature):
        summary = "padded steps hold what training gives, not the zeros of PyTorch's fast path"
        history.append(Change("model", summary))
    return Model(module, signature, tuple(history))


def build_module(source: ModelSource) -> nn.Module:
    """Return the factory's module in eval mode, without the source's weights.

    Raises:
        UsageError: The factory fails, or returns no module with weights on the CPU.
        UnsupportedError: The module's weights are not float32.
    """
    factory = load_function(source.factory, source.code_directory)
    _refuse_other_options(factory, source)
    with torch.random.fork_rng(devices=[]), calling_user_code(f"'{source.factory}'"):
        torch.manual_seed(0)
        module = factory(**source.options)
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"'{source.factory}' returned {type(module).__name__}, not a torch.nn.Module",
            hint="return the module itself, not its class and not its weights",
        )
    # Some modules bring an `eval` of their own that forgets to return them.
    module.eval()
    leave_fast_path()
    _refuse_unusable(module, source.factory)
    return module


def _refuse_other_options(factory: Callable[..., object], source: ModelSource) -> None:
    try:
        inspect.signature(factory).bind(**source.options)
    except TypeError as error:
        given = ", ".join(source.options) or "none"
        raise UsageError(
            f"'{source.factory}' cannot be called with the recipe's options ({given}): {error}",
            hint="model.options holds the arguments of the factory",
        ) from error
    except ValueError:
        # What is written in C may not say what it takes; the call will.
        return


def _refuse_unusable(module: nn.Module, factory: str) -> None:
    """Refuse modules that run, if at all, only where they were made, or not in float32.

    Raises:
        UsageError: The module is TorchScript, lazy, or not on the CPU.
        UnsupportedError: Its weights are of another type than float32.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            f"'{factory}' returned a TorchScript module, whose code cannot be exported again",
            hint="return the Python module that it was made from",
        )
    parameters = dict(module.named_parameters())
    lazy = [n for n, value in parameters.items() if isinstance(value, UninitializedParameter)]
    if lazy:
        raise UsageError(
            f"'{factory}' returned a module whose sizes are not known yet: {some(lazy)}",
            hint="call the module on an example in the factory, before it is returned",
        )
    away = {value.device.type for value in parameters.values()} - {"cpu"}
    if away:
        raise UsageError(
            f"'{factory}' returned a module on the device '{away.pop()}'",
            hint="build it on the CPU, with weights: edgekit runs there alone",
        )
    wide = {str(value.dtype) for value in parameters.values() if value.is_floating_point()}
    if wide - {"torch.float32"}:
        found = ", ".join(sorted(wide)).replace("torch.", "")
        raise UnsupportedError(
            f"'{factory}' returned a module with weights in {found}; edgekit takes float32",
            hint="return module.float(), and give it float32 data",
        )
    packed = [name for name, value in module.state_dict().items() if not isinstance(value, Tensor)]
    if packed:
        raise UnsupportedError(
            f"'{factory}' returned a module with other state than tensors ({some(packed)}); "
            "it may be quantized already",
            hint="return the float module that it was made from",
        )
