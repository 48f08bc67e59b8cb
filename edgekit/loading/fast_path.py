"""Keeps PyTorch from its fast path for Transformer layers, and tells where that matters.

In eval mode it fills padded steps with zeros, and leaves out those at the end that all rows of a
batch lack. Training does not, and no exported file could.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgekit.core.model import run_module
from edgekit.core.samples import Samples
from edgekit.core.tensors import Signature
from edgekit.errors import UsageError
from edgekit.loading.user_code import calling_user_code
from edgekit.runtimes.feed import batch_of

_TRIED_ROWS = 16


def leave_fast_path() -> None:
    """Let every module of this process compute in eval mode what it does in training."""
    torch.backends.mha.set_fastpath_enabled(False)


def fast_path_differs(module: nn.Module, samples: Samples, signature: Signature) -> bool:
    """Tell whether the fast path, which is left, would give other outputs on the first samples."""
    if not any(isinstance(part, nn.TransformerEncoderLayer) for part in module.modules()):
        return False
    shown = samples.inputs(0, batch_of(signature) or _TRIED_ROWS)
    rows = {spec.name: torch.from_numpy(shown[spec.name]) for spec in signature.inputs}
    outputs = _outputs(module, rows)
    torch.backends.mha.set_fastpath_enabled(True)
    try:
        fast = _outputs(module, rows)
    except UsageError:
        return True
    finally:
        leave_fast_path()
    return not all(_are_close(value, fast[name]) for name, value in outputs.items())


def _outputs(module: nn.Module, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    with torch.no_grad(), calling_user_code("the model"):
        return run_module(module, rows)


def _are_close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-3, atol=1e-4)
