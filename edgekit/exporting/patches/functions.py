"""Functions that no converter knows, in terms of others, while a model is exported."""

import contextlib
import functools
import inspect
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

_POOLS: tuple[Callable[..., Tensor], ...] = (
    functional.max_pool1d,
    functional.max_pool2d,
    functional.max_pool3d,
)


@contextlib.contextmanager
def functions_spelled_out() -> Iterator[None]:
    """Let models with bags, adaptive max pooling, one-hot vectors, RReLU or identities be exported.

    Layers call these functions by the names that are replaced here, as most models do.
    """
    with contextlib.ExitStack() as replaced:
        replaced.enter_context(_replaced(torch, "eye", _spelled_eye))
        for name, is_kept in (("tril_indices", operator.le), ("triu_indices", operator.ge)):
            indices = functools.partial(_spelled_indices, is_kept=is_kept)
            replaced.enter_context(_replaced(torch, name, indices))
        replaced.enter_context(_replaced(functional, "embedding_bag", _spelled_bag))
        replaced.enter_context(_replaced(functional, "one_hot", _spelled_one_hot))
        replaced.enter_context(_replaced(functional, "rrelu", _spelled_rrelu))
        for axes in (1, 2, 3):
            pool = functools.partial(_spelled_pool, axes=axes)
            replaced.enter_context(_replaced(functional, f"adaptive_max_pool{axes}d", pool))
        yield


@contextlib.contextmanager
def _replaced(
    module: ModuleType, name: str, spelled: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]
) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, spelled(original))
    try:
        yield
    finally:
        setattr(module, name, original)


def _spelled_eye(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `torch.eye` as a comparison, which becomes a constant; LiteRT has no kernel for it."""

    def eye(
        n: int,
        m: int | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        **others: object,
    ) -> Tensor:
        if others:
            return original(n, n if m is None else m, dtype=dtype, device=device, **others)
        rows = torch.arange(n, device=device).unsqueeze(1)
        columns = torch.arange(n if m is None else m, device=device)
        return (rows == columns).to(dtype or torch.get_default_dtype())

    return eye


def _spelled_indices(
    original: Callable[..., Tensor], is_kept: Callable[[int, int], bool]
) -> Callable[..., Tensor]:
    """Return `torch.tril_indices` or `torch.triu_indices` as the constant that it makes."""

    def indices(row: int, col: int, offset: int = 0, **others: object) -> Tensor:
        if others or not (type(row) is int and type(col) is int):
            return original(row, col, offset, **others)
        places = [
            (i, j) for i, j in itertools.product(range(row), range(col)) if is_kept(j - i, offset)
        ]
        return torch.tensor(places, dtype=torch.int64).reshape(-1, 2).T

    return indices


def _spelled_bag(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `F.embedding_bag` as a look-up and a sum or mean, where bags are of one size."""
    signature = inspect.signature(original)

    def embedding_bag(*arguments: object, **named: object) -> Tensor:
        told = signature.bind(*arguments, **named)
        told.apply_defaults()
        given = told.arguments
        tokens, weight, weights = given["input"], given["weight"], given["per_sample_weights"]
        mode, padding_idx = given["mode"], given["padding_idx"]
        is_plain = given["offsets"] is None and given["max_norm"] is None
        if not is_plain or tokens.dim() != 2 or mode not in {"sum", "mean"}:
            return original(*arguments, **named)
        vectors = functional.embedding(tokens, weight)
        if weights is not None:
            vectors = vectors * weights.unsqueeze(2)
        if padding_idx is None:
            return vectors.sum(1) if mode == "sum" else vectors.mean(1)
        is_counted = (tokens != padding_idx % len(weight)).to(weight.dtype).unsqueeze(2)
        total = (vectors * is_counted).sum(1)
        counts = is_counted.sum(1).clamp(min=1)
        result: Tensor = total if mode == "sum" else total / counts
        return result

    return embedding_bag


def _spelled_one_hot(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `F.one_hot` as comparisons, where the number of classes is told."""

    def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
        if num_classes < 1:
            return original(tensor, num_classes)
        classes = torch.arange(num_classes, device=tensor.device)
        return (tensor.unsqueeze(-1) == classes).to(torch.int64)

    return one_hot


def _spelled_rrelu(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `F.rrelu` as the leaky ReLU that it is outside of training."""

    def rrelu(
        input: Tensor,  # noqa: A002  PyTorch's own name
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        training: bool = False,  # noqa: FBT001, FBT002  PyTorch's own signature
        inplace: bool = False,  # noqa: FBT001, FBT002  the same
    ) -> Tensor:
        if training:
            return original(input, lower, upper, training, inplace)
        return functional.leaky_relu(input, (lower + upper) / 2)

    return rrelu


def _spelled_pool(original: Callable[..., Tensor], axes: int) -> Callable[..., Tensor]:
    """Return `F.adaptive_max_pool{axes}d` as a pooling, or as windows if those are uneven."""

    def adaptive_max_pool(
        input: Tensor,  # noqa: A002  PyTorch's own name
        output_size: int | Sequence[int | None],
        return_indices: bool = False,  # noqa: FBT001, FBT002  PyTorch's own signature
    ) -> Tensor:
        if return_indices:
            return original(input, output_size, return_indices)
        asked = (output_size,) * axes if isinstance(output_size, int) else output_size
        there = input.shape[-axes:]
        sizes = [size if told is None else told for told, size in zip(asked, there, strict=True)]
        if all(size % wanted == 0 for size, wanted in zip(there, sizes, strict=True)):
            kernel = [size // wanted for size, wanted in zip(there, sizes, strict=True)]
            return _POOLS[axes - 1](input, kernel)
        for axis, wanted in enumerate(sizes, start=-axes):
            input = _windows(input, axis, wanted)  # noqa: A001  PyTorch's own name
        return input

    return adaptive_max_pool


def _windows(values: Tensor, axis: int, count: int) -> Tensor:
    """Return the largest value of each of `count` windows along `axis`; they may overlap."""
    size = values.shape[axis]
    starts = [place * size // count for place in range(count)]
    ends = [-(-(place + 1) * size // count) for place in range(count)]
    return torch.cat(
        [
            values.narrow(axis, start, end - start).amax(axis, keepdim=True)
            for start, end in zip(starts, ends, strict=True)
        ],
        axis,
    )
