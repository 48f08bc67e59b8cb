"""What can be wrong with data and shows before any work: splits that differ, labels, scales."""

from collections.abc import Iterator, Mapping

import numpy as np

from edgekit.config.recipe import Recipe
from edgekit.core.data import SplitName
from edgekit.core.results import Unavailable
from edgekit.core.samples import Samples
from edgekit.core.tensors import Array, Signature
from edgekit.errors import InputRefusedError
from edgekit.runtimes.feed import match_names
from edgekit.training.losses.mse import Mse
from edgekit.verification.metric import metric_name, refuse_unfit_labels
from edgekit.verification.settings import VerifySettings

Splits = Mapping[SplitName, Samples]
"""The samples of a run by what they are for."""

_LARGEST_FACTOR = 10.0
"""Between the magnitudes of two splits; pixels up to 255 beside pixels up to 1 are far beyond."""

_LOOKED_AT = 1000


def refuse_unlike_splits(splits: Splits) -> None:
    """Refuse splits that no model can take alike; all problems at once.

    Raises:
        InputRefusedError: Names, element types or shapes differ, or labels are no numbers.
    """
    problems = [*_unlike_inputs(splits), *_unusable_labels(splits)]
    if problems:
        raise InputRefusedError(
            "the splits do not belong together: " + "; ".join(problems),
            hint="prepare all splits the same way",
        )


def refuse_misfits(splits: Splits, signature: Signature) -> None:
    """Refuse splits that a model file cannot take.

    Raises:
        InputRefusedError: Names, element types or shapes do not fit.
    """
    for name, samples in splits.items():
        try:
            match_names(samples, signature.inputs)
        except InputRefusedError as error:
            raise InputRefusedError(
                f"split '{name.value}': {error.message}", hint=error.hint
            ) from error


def refuse_other_labels(splits: Splits, verify: VerifySettings) -> None:
    """Refuse test labels that the metric cannot read; a function of the recipe's own may.

    Raises:
        InputRefusedError: The metric takes class numbers, and the labels are something else.
    """
    test, metric = splits.get(SplitName.TEST), verify.metric
    if test is None or not test.has_labels or verify.function:
        return
    if isinstance(metric.decisions(np.zeros((1, 2), np.float32)), Unavailable):
        return
    kind = test.labels(0, 1).dtype
    if kind.kind not in "iub":
        raise InputRefusedError(
            f"the test labels are {kind}, and {metric_name(metric)} takes class numbers",
            hint="store whole numbers (labels.argmax(1) of one-hot rows), or choose a metric for "
            "values: verify: {metric: mse}",
        )


def refuse_blank_labels(splits: Splits, recipe: Recipe) -> None:
    """Refuse labels that say nothing to a loss or metric of edgekit's own; all at once.

    Raises:
        InputRefusedError: They hold NaN or infinity, or every class number is below zero.
    """
    verify = recipe.verify or VerifySettings()
    fits = [fit for fit in (recipe.train, recipe.finetune) if fit is not None]
    takes_classes = {
        SplitName.TRAIN: any(not isinstance(fit.loss, Mse) for fit in fits if not fit.function),
        SplitName.TEST: not isinstance(
            verify.metric.decisions(np.zeros((1, 2), np.float32)), Unavailable
        ),
    }
    own = {SplitName.TRAIN: all(fit.function for fit in fits), SplitName.TEST: verify.function}
    problems = []
    for name, classes in takes_classes.items():
        if name not in splits or not splits[name].has_labels or own[name]:
            continue
        labels = splits[name].labels()
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            problems.append(f"the labels of '{name.value}' hold NaN or infinity")
        elif labels.dtype.kind == "i" and classes and labels.max() < 0:
            problems.append(
                f"every label of '{name.value}' is below zero, and classes are counted from 0"
            )
    if problems:
        raise InputRefusedError(
            "; ".join(problems),
            hint="leave such rows out, or name a function of the recipe's own that knows what "
            "they mean",
        )


def refuse_unfit_test_labels(splits: Splits, verify: VerifySettings, signature: Signature) -> None:
    """Refuse test labels that the metric cannot hold against what the model gives.

    Raises:
        InputRefusedError: Their shape differs, or they are classes that the model does not have.
    """
    test = splits.get(SplitName.TEST)
    if test is not None and test.has_labels and signature.outputs and not verify.function:
        refuse_unfit_labels(verify.metric, test.labels(), signature.outputs[0])


def refuse_missing_splits(splits: Splits, recipe: Recipe) -> None:
    """Refuse data without a split that a step of the recipe needs; all of them at once.

    Raises:
        InputRefusedError: A split is missing.
    """
    quantizes = recipe.quantize is not None and not recipe.quantize.random_calibration
    needs = {
        "training": (recipe.train is not None, SplitName.TRAIN),
        "pruning": (recipe.prune is not None, SplitName.CALIBRATION),
        "fine-tuning": (recipe.finetune is not None, SplitName.TRAIN),
        "quantization": (quantizes, SplitName.CALIBRATION),
    }
    missing = [
        f"{step} needs the split '{split.value}'"
        for step, (is_done, split) in needs.items()
        if is_done and split not in splits
    ]
    if missing:
        raise InputRefusedError(
            f"{'; '.join(missing)}; the data has: {', '.join(name.value for name in splits)}",
            hint="let the data provide it, or leave the step out of the recipe",
        )


def scale_notes(splits: Splits) -> Iterator[str]:
    """Yield a sentence for every float input whose values are far larger in one split."""
    first, *others = splits.items()
    reference = dict(_magnitudes(first[1]))
    for name, samples in others:
        for key, found in _magnitudes(samples):
            known = reference.get(key, found)
            low, high = sorted((known, found))
            if low > 0 and high > _LARGEST_FACTOR * low:
                yield (
                    f"'{key}' reaches {found:g} in the split '{name.value}' and {known:g} in "
                    f"'{first[0].value}'; are both scaled alike?"
                )


def sameness_notes(samples: Samples) -> Iterator[str]:
    """Yield a sentence for every input that is one value throughout these calibration samples."""
    for name, array in samples.inputs(0, _LOOKED_AT).items():
        if array.size > 1 and (array == array.flat[0]).all():
            yield (
                f"every value of '{name}' in the calibration samples is {array.flat[0]:g}: ranges "
                "that int8 gets from it hold for nothing else"
            )


def _unlike_inputs(splits: Splits) -> Iterator[str]:
    (first, samples), *others = splits.items()
    wanted = {name: _row(array) for name, array in samples.inputs(0, 1).items()}
    for split, other in others:
        found = {name: _row(array) for name, array in other.inputs(0, 1).items()}
        if set(found) != set(wanted):
            yield (
                f"'{first.value}' has inputs {', '.join(wanted)}, "
                f"'{split.value}' has {', '.join(found)}"
            )
            continue
        for name, row in found.items():
            if row != wanted[name]:
                yield f"'{name}' is {wanted[name]} in '{first.value}' and {row} in '{split.value}'"


def _unusable_labels(splits: Splits) -> Iterator[str]:
    for split, samples in splits.items():
        if samples.has_labels:
            kind = samples.labels(0, 1).dtype
            if kind.kind not in "iufb":
                yield f"the labels of '{split.value}' are {kind}, not numbers"


def _row(array: Array) -> str:
    return f"{array.dtype}{list(array.shape[1:])}"


def _magnitudes(samples: Samples) -> Iterator[tuple[str, float]]:
    for name, array in samples.inputs(0, _LOOKED_AT).items():
        if array.dtype.kind == "f":
            yield name, float(np.abs(array.astype(np.float64)).max(initial=0.0))
