"""Takes channels out of a model, so that the file shrinks and the clock shows it."""

import copy
import math
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import nn
from torch.nn.modules import conv

from edgekit.core.model import Change, Model
from edgekit.core.registry import closest_or_all
from edgekit.core.samples import Samples
from edgekit.errors import UnsupportedError, UsageError
from edgekit.pruning.groups import ChannelGroup, Groups
from edgekit.pruning.prunable import refuse_unprunable
from edgekit.pruning.settings import PruneSettings

_SHOWN = 6


def prune(
    model: Model, samples: Samples, settings: PruneSettings, rng: np.random.Generator
) -> Model:
    """Return a narrower copy of `model` with the same signature; it still has to be fine-tuned.

    Raises:
        UsageError: Nothing would be removed, or a pattern of `keep` names no module.
        UnsupportedError: The model has parts that cannot be pruned yet, or what is left of it
            cannot run.
    """
    module = copy.deepcopy(model.module).eval()
    inputs = {name: torch.from_numpy(value) for name, value in samples.inputs(0, 2).items()}
    keep = _kept(module, settings.keep)
    refuse_unprunable(module, inputs)
    before = _parameters(module)
    groups = Groups(module, inputs)
    if not _cut(groups, settings, keep, rng):
        _refuse_stuck(groups)
        raise UsageError(
            f"pruning {settings.ratio:g} % would remove nothing: no layer can lose a channel",
            hint="raise prune.ratio, lower prune.round_to, or keep fewer modules",
        )
    after = _parameters(module)
    summary = (
        f"{before} parameters became {after} ({100 * after / before:.1f} %); "
        f"channels by layer: {_listed(model.module, module)}"
        f"{_stuck(groups)}"
    )
    return Model(module, model.signature, (*model.history, Change("prune", summary)))


def channels_left(group: ChannelGroup, settings: PruneSettings) -> int:
    """Return how many channels each block of a group keeps: never fewer than the ratio says."""
    size = group.channels // group.blocks
    # A part in a thousand millions is rounding of the percentage, not a channel.
    left = size - math.floor(size * settings.ratio / 100 + 1e-9)
    step = settings.round_to // math.gcd(settings.round_to, group.blocks)
    return min(size, max(1, math.ceil(left / step) * step))


def _cut(
    groups: Groups, settings: PruneSettings, keep: frozenset[str], rng: np.random.Generator
) -> bool:
    """Cut every group that the settings reach, and tell whether anything went."""
    has_cut = False
    # All channels are ranked by the weights as they came, before any is cut.
    for group in list(groups.prunable(keep)):
        left = channels_left(group, settings)
        if left == group.channels // group.blocks or not group.weights:
            continue
        scores = settings.criterion.scores(group.weights, rng).reshape(group.blocks, -1)
        # Every block loses the same places, as their neighbours in other layers are tied so.
        worst = np.argsort(scores.mean(axis=0), kind="stable")[: scores.shape[1] - left]
        places = (worst[None, :] + np.arange(group.blocks)[:, None] * scores.shape[1]).ravel()
        has_cut |= groups.cut(group.layer, sorted(places.tolist()))
    return has_cut


def _kept(module: nn.Module, patterns: tuple[str, ...]) -> frozenset[str]:
    names = [name for name, _ in module.named_modules() if name]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                f"prune.keep: '{pattern}' matches no module{closest_or_all(pattern, names)}"
            )
    # A name stands for everything inside it as well.
    return frozenset(
        name
        for name in names
        for pattern in patterns
        if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
    )


def _refuse_stuck(groups: Groups) -> None:
    """Refuse a model all of whose channels have to stay.

    Raises:
        UnsupportedError: It is one, for a reason that is not in the settings.
    """
    for layer, reason in groups.stuck.items():
        raise UnsupportedError(
            f"the pruned model does not run: with fewer channels of '{layer}', {reason}; its code "
            "may rely on sizes that pruning changes",
            hint="leave out the prune section, or let the code take sizes from its inputs",
        )


def _stuck(groups: Groups) -> str:
    if not groups.stuck:
        return ""
    layers = list(groups.stuck)
    more = f" and {len(layers) - _SHOWN} more" if len(layers) > _SHOWN else ""
    return (
        f"; as wide as before, since the model would not run otherwise: "
        f"{', '.join(layers[:_SHOWN])}{more}"
    )


def _listed(before: nn.Module, after: nn.Module) -> str:
    """Return the widths of layers before and after, in the order in which the module has them."""
    widths = _widths(after)
    changes = [
        f"{name} {width} → {widths[name]}"
        for name, width in _widths(before).items()
        if widths[name] != width
    ]
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return ", ".join(changes[:_SHOWN]) + more


def _widths(module: nn.Module) -> dict[str, int]:
    return {
        name: part.out_features if isinstance(part, nn.Linear) else part.out_channels
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear | conv._ConvNd)  # noqa: SLF001  what all convolutions are
    }


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
