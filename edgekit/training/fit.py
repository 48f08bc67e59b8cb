"""Fits a model to samples: training from scratch, and fine-tuning after a change."""

import contextlib
import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from edgekit.core.model import Change, Model
from edgekit.core.progress import Progress
from edgekit.core.samples import Samples
from edgekit.core.tensors import TensorSpec
from edgekit.training import standard
from edgekit.training.context import TrainFunction, TrainingContext
from edgekit.training.loss import Batch
from edgekit.training.settings import FitSettings


def fit(
    model: Model,
    samples: Samples,
    settings: FitSettings,
    *,
    teacher: Model | None,
    progress: Progress,
    train: TrainFunction = standard.train,
) -> Model:
    """Return a copy of `model` fitted to `samples`, and taught by `teacher` where there is one.

    The same arguments give the same weights, bit for bit, on one machine.

    Args:
        model: Left as it is.
        samples: Inputs named as the model's, with labels where the loss needs them.
        settings: Where they name a `function`, `train` is it (see `loading.train_function`).
        teacher: A model with the same outputs.
        progress: Told after every epoch.
        train: What does it.

    Raises:
        UsageError: The loss stopped being a number.
        InputRefusedError: The samples or their labels do not fit the model or the loss.
    """
    assert not (settings.function and train is standard.train), "the recipe's function is ignored"
    samples.check_against(model.signature.inputs)
    if teacher is None or settings.distillation.reads_labels:
        refuse_unfit_labels(model.signature.outputs, samples, settings)
    module = copy.deepcopy(model.module)
    context = TrainingContext(
        settings=settings,
        teacher=None if teacher is None else teacher.module.eval(),
        rng=np.random.default_rng(settings.seed),
        progress=progress,
    )
    with _reproducible(settings):
        train(module.train(), samples, context)
    step, taught = (
        ("train", "") if teacher is None else ("finetune", ", taught by the unpruned model")
    )
    by = f" by {settings.function}" if settings.function else ""
    epochs = "1 epoch" if settings.epochs == 1 else f"{settings.epochs} epochs"
    summary = f"{epochs} on {samples.count} samples{by}{taught} (seed {settings.seed})"
    return Model(module.eval(), model.signature, (*model.history, Change(step, summary)))


def refuse_unfit_labels(
    outputs: Sequence[TensorSpec], samples: Samples, settings: FitSettings
) -> None:
    """Refuse labels that the loss cannot hold against a model's outputs, before it learns.

    A function of the recipe's own may read them otherwise, and is not asked; nor are outputs
    whose size is not known before they are there.

    Raises:
        InputRefusedError: The loss refuses them.
    """
    if settings.function or any(isinstance(size, str) for one in outputs for size in one.shape[1:]):
        return
    rows = _telling_rows(samples)
    blank = {
        one.name: torch.from_numpy(np.zeros((len(rows), *one.shape[1:]), one.dtype.numpy))
        for one in outputs
    }
    parts = [samples.inputs(row, row + 1) for row in rows]
    inputs = {
        name: torch.from_numpy(np.concatenate([part[name] for part in parts]))
        for name in samples.names
    }
    labels = torch.from_numpy(samples.labels()[rows]) if samples.has_labels else None
    settings.loss.against_labels(blank, Batch(inputs, labels))


def _telling_rows(samples: Samples) -> list[int]:
    """Return the rows whose labels go furthest; where they fit, all others do."""
    if not samples.has_labels:
        return [0]
    labels = samples.labels().reshape(samples.count, -1)
    return [0, int(labels.min(axis=1).argmin()), int(labels.max(axis=1).argmax())]


@contextlib.contextmanager
def _reproducible(settings: FitSettings) -> Iterator[None]:
    """Seed torch and keep it to deterministic kernels, and leave it as it was afterwards."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.manual_seed(settings.seed)
            torch.set_num_threads(settings.threads)
            torch.use_deterministic_algorithms(mode=True, warn_only=True)
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(mode=strict)
