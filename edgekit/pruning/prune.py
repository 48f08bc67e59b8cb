"""Takes units out of a model, so that the file shrinks and the clock shows it."""

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
from edgekit.pruning.groups import Groups, UnitGroup
from edgekit.pruning.settings import PruneSettings

_SHOWN = 6
_WIDTHS: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.Linear, "out_features"),
    (conv._ConvNd, "out_channels"),  # noqa: SLF001  what all convolutions are
    (nn.RNNBase, "hidden_size"),
    (nn.RNNCellBase, "hidden_size"),
    (nn.Embedding, "embedding_dim"),
    (nn.EmbeddingBag, "embedding_dim"),
)


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
    before = _parameters(module)
    groups = Groups(module, inputs)
    if not _cut(groups, settings, keep, rng):
        _refuse_stuck(groups)
        if not groups.prunable(frozenset()):
            raise UnsupportedError(
                "there is nothing to prune: every layer is as wide as an input, an output or a "
                "state of the model, or as a number in its code",
                hint="leave pruning out",
            )
        raise UsageError(
            f"pruning {settings.ratio:g} % would remove nothing: no layer can lose a unit",
            hint="raise prune.ratio, lower prune.round_to, or keep fewer modules",
        )
    after = _parameters(module)
    summary = (
        f"{before} parameters became {after} ({100 * after / before:.1f} %); "
        f"widths: {_listed(model.module, module)}"
        f"{_stuck(groups, model.module)}"
    )
    return Model(module, model.signature, (*model.history, Change("prune", summary)))


def units_left(group: UnitGroup, settings: PruneSettings) -> int:
    """Return how many units a group keeps: never fewer than the ratio says."""
    # A part in a thousand millions is rounding of the percentage, not a unit.
    left = group.units - math.floor(group.units * settings.ratio / 100 + 1e-9)
    step = settings.round_to // math.gcd(settings.round_to, group.rows)
    return min(group.units, max(1, math.ceil(left / step) * step))


def _cut(
    groups: Groups, settings: PruneSettings, keep: frozenset[str], rng: np.random.Generator
) -> bool:
    """Cut every group that the settings reach, and tell whether anything went."""
    # All units are ranked by the weights as they came, before any is cut.
    waiting = []
    for bundle in groups.prunable(keep):
        worst = {}
        for group in bundle:
            gone = group.units - units_left(group, settings)
            scores = settings.criterion.scores(group.weights, rng)
            worst[group.layer] = sorted(np.argsort(scores, kind="stable")[:gone].tolist())
        if all(worst.values()):
            waiting.append(worst)
    has_cut = False
    while True:
        stuck = [worst for worst in waiting if not groups.cut(worst)]
        if len(stuck) == len(waiting):
            return has_cut
        # What is stuck may have needed others to be narrower first.
        has_cut, waiting = True, stuck


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
    """Refuse a model all of whose units have to stay.

    Raises:
        UnsupportedError: It is one, for a reason that is not in the settings.
    """
    for layer, reason in groups.stuck.items():
        raise UnsupportedError(
            f"the pruned model does not run: with fewer units of '{layer}', {reason}; its code "
            "may rely on sizes that pruning changes",
            hint="leave pruning out, or let the code take sizes from its inputs",
        )


def _stuck(groups: Groups, before: nn.Module) -> str:
    """Say which layers stay though no setting says so, and how much of the model they are."""
    if not groups.stuck:
        return ""
    held = [
        size
        for layer in groups.stuck
        for name, size in _own_sizes(before).items()
        if layer in (name, name.rpartition(".")[0])
    ]
    share = 100 * sum(held) / _parameters(before)
    layers = list(groups.stuck)
    more = f" and {len(layers) - _SHOWN} more" if len(layers) > _SHOWN else ""
    return (
        f"; as wide as before, since the model would not run otherwise: "
        f"{', '.join(layers[:_SHOWN])}{more} ({share:.1f} % of the parameters)"
    )


def _own_sizes(module: nn.Module) -> dict[str, int]:
    return {name: parameter.numel() for name, parameter in module.named_parameters()}


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
        name: getattr(part, attribute)
        for name, part in module.named_modules()
        for kinds, attribute in _WIDTHS
        if isinstance(part, kinds)
    }


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
