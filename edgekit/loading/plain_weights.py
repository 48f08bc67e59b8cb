"""Makes weights that are computed anew in every call (weight norm, spectral norm) plain ones."""

import warnings

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


def make_weights_plain(module: nn.Module) -> tuple[str, ...]:
    """Replace every reparametrized weight of `module` by its value, in place.

    Neither pruning nor a file format knows what such a weight is computed from, and once a model
    is trained it does not change.

    Args:
        module: In eval mode: in training, spectral norm would take one more step.

    Returns:
        The names of the weights that were.
    """
    found = []
    for path, part in list(module.named_modules()):
        if parametrize.is_parametrized(part):
            for name in list(part.parametrizations):
                parametrize.remove_parametrizations(part, name)
                found.append(f"{path}.{name}".lstrip("."))
        # The older kind is a hook that computes the weight; its remover asks for no more than that.
        for hook in list(part._forward_pre_hooks.values()):  # noqa: SLF001  there is no other way
            if isinstance(hook, WeightNorm):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", FutureWarning)
                    nn.utils.remove_weight_norm(part, hook.name)
            elif isinstance(hook, SpectralNorm):
                nn.utils.remove_spectral_norm(part, hook.name)
            else:
                continue
            found.append(f"{path}.{hook.name}".lstrip("."))
    return tuple(found)
