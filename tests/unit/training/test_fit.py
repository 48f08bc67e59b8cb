"""Fitting changes a copy of the model, the same way every time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.torch_models import model_for, samples_for
from torch import nn

from edgekit.core.model import Model, run_module
from edgekit.core.progress import SILENT
from edgekit.core.samples import Samples, save_samples
from edgekit.errors import InputRefusedError, UsageError
from edgekit.training.context import TrainingContext
from edgekit.training.fit import fit, refuse_unfit_labels
from edgekit.training.settings import Distillation, FitSettings


class Told:
    def __init__(self) -> None:
        self.updates: list[tuple[str, int, int, str]] = []

    def update(self, step: str, done: int, total: int, note: str = "") -> None:
        self.updates.append((step, done, total, note))


def separable(folder: Path, rows: int = 64) -> Samples:
    """Return vectors whose largest of the first four numbers is their class."""
    features = np.random.default_rng(0).standard_normal((rows, 6), dtype=np.float32)
    return save_samples(folder, {"features": features}, features[:, :4].argmax(1))


def accuracy(model: Model, samples: Samples) -> float:
    features = torch.from_numpy(np.asarray(samples.inputs()["features"]))
    with torch.no_grad():
        logits = run_module(model.module, {"features": features})["logits"]
    return float((logits.argmax(1).numpy() == samples.labels()).mean())


def state(model: Model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.module.state_dict().items()}


def test_a_classifier_learns_its_labels(tmp_path: Path) -> None:
    samples = separable(tmp_path)
    model = model_for("perceptron", samples)
    settings = FitSettings(epochs=60, batch_size=16, learning_rate=0.02)

    fitted = fit(model, samples, settings, teacher=None, progress=SILENT)

    assert accuracy(fitted, samples) > 0.95
    assert not fitted.module.training


def test_the_model_that_came_in_is_left_alone(tmp_path: Path) -> None:
    samples = separable(tmp_path)
    model = model_for("perceptron", samples)
    before = state(model)

    fit(model, samples, FitSettings(epochs=1), teacher=None, progress=SILENT)

    assert all(torch.equal(value, before[name]) for name, value in state(model).items())


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tmp_path: Path) -> None:
    samples = samples_for("mobile", tmp_path, rows=24)
    model = model_for("mobile", samples)

    results = [
        state(
            fit(
                model,
                samples,
                FitSettings(epochs=2, batch_size=8, seed=seed),
                teacher=None,
                progress=SILENT,
            )
        )
        for seed in (1, 1, 2)
    ]

    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert not all(torch.equal(results[0][name], results[2][name]) for name in results[0])


def test_fitting_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    samples = separable(tmp_path)
    model = model_for("perceptron", samples)
    before = (torch.random.get_rng_state(), torch.are_deterministic_algorithms_enabled())

    fit(model, samples, FitSettings(epochs=1), teacher=None, progress=SILENT)

    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.are_deterministic_algorithms_enabled() is before[1]


def test_a_student_follows_its_teacher_alone_when_the_labels_have_no_weight(
    tmp_path: Path,
) -> None:
    samples = separable(tmp_path / "a")
    noise = np.random.default_rng(1).integers(40, 44, samples.count)  # no such classes
    mislabelled = save_samples(tmp_path / "b", samples.inputs(), noise)
    untaught = model_for("perceptron", samples, seed=1)
    teacher = fit(
        model_for("perceptron", samples),
        samples,
        FitSettings(epochs=60, batch_size=16, learning_rate=0.02),
        teacher=None,
        progress=SILENT,
    )
    settings = FitSettings(
        epochs=60, batch_size=16, learning_rate=0.02, distillation=Distillation(weight=100.0)
    )

    student = fit(untaught, mislabelled, settings, teacher=teacher, progress=SILENT)

    assert accuracy(student, samples) > 0.9
    assert student.history[-1].step == "finetune"
    assert "taught by the unpruned" in student.history[-1].summary


def test_an_autoencoder_needs_no_labels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((16, 1, 8, 8), dtype=np.float32)
    samples = save_samples(tmp_path, {"images": images})
    model = model_for("autoencoder", samples)
    told = Told()

    fit(
        model,
        samples,
        FitSettings(epochs=20, batch_size=8, learning_rate=0.01),
        teacher=model,
        progress=told,
    )

    losses = [float(note.removeprefix("loss ")) for _, _, _, note in told.updates]
    assert losses[-1] < losses[0]


def test_every_epoch_is_told_with_its_loss(tmp_path: Path) -> None:
    samples = separable(tmp_path)
    told = Told()

    fit(
        model_for("perceptron", samples),
        samples,
        FitSettings(epochs=3),
        teacher=None,
        progress=told,
    )

    assert [update[:3] for update in told.updates] == [("train", n, 3) for n in (1, 2, 3)]
    assert all(note.startswith("loss ") for _, _, _, note in told.updates)


def test_a_recipes_own_function_does_the_training(tmp_path: Path) -> None:
    samples = separable(tmp_path)
    seen: list[TrainingContext] = []

    def train(module: nn.Module, _samples: Samples, context: TrainingContext) -> None:
        seen.append(context)
        assert module.training
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(0.5)

    fitted = fit(
        model_for("perceptron", samples),
        samples,
        FitSettings(epochs=4, seed=9),
        teacher=None,
        progress=SILENT,
        train=train,
    )

    assert all(bool((value == 0.5).all()) for value in fitted.module.parameters())
    assert seen[0].settings.seed == 9
    assert fitted.history[-1].summary == "4 epochs on 64 samples (seed 9)"


def test_an_epoch_shows_every_row_at_most_once_and_only_whole_batches(tmp_path: Path) -> None:
    samples = separable(tmp_path, rows=10)
    context = TrainingContext(FitSettings(batch_size=4), None, np.random.default_rng(0), SILENT)

    batches = list(context.batches(samples))

    rows = np.concatenate(batches)
    assert [len(batch) for batch in batches] == [4, 4]
    assert len(set(rows.tolist())) == 8


def test_fewer_samples_than_a_batch_are_one_batch(tmp_path: Path) -> None:
    samples = separable(tmp_path, rows=3)
    context = TrainingContext(FitSettings(batch_size=64), None, np.random.default_rng(0), SILENT)

    assert [len(batch) for batch in context.batches(samples)] == [3]


def test_a_loss_that_is_no_number_stops_with_the_epoch(tmp_path: Path) -> None:
    samples = separable(tmp_path)
    settings = FitSettings(epochs=5, learning_rate=1e30)

    with pytest.raises(UsageError, match="no longer a number in epoch") as caught:
        fit(model_for("perceptron", samples), samples, settings, teacher=None, progress=SILENT)

    assert "lower learning_rate (now 1e+30)" in caught.value.hint


def test_samples_of_another_model_are_refused_before_training(tmp_path: Path) -> None:
    model = model_for("perceptron", separable(tmp_path / "a"))
    images = samples_for("mobile", tmp_path / "b")

    with pytest.raises(InputRefusedError, match="input 'features' is missing"):
        fit(model, images, FitSettings(epochs=1), teacher=None, progress=SILENT)


def test_one_label_too_high_is_found_before_any_epoch(tmp_path: Path) -> None:
    features = np.zeros((500, 6), np.float32)
    labels = np.zeros(500, np.int64)
    labels[333] = 4
    samples = save_samples(tmp_path, {"features": features}, labels)
    model, told = model_for("perceptron", samples), Told()

    with pytest.raises(
        InputRefusedError, match=r"a label 4, and the output 'logits' has 4 classes"
    ):
        fit(model, samples, FitSettings(epochs=1), teacher=None, progress=told)

    assert not told.updates


def test_labels_that_a_function_of_the_recipe_reads_are_its_own_affair(tmp_path: Path) -> None:
    samples = save_samples(tmp_path, {"features": np.zeros((3, 6), np.float32)}, np.full(3, 99))
    outputs = model_for("perceptron", samples).signature.outputs

    refuse_unfit_labels(outputs, samples, FitSettings(function="mine:train"))
