"""Data that no step could use is refused before the first one."""

from pathlib import Path

import numpy as np
import pytest
from support import onnx_models

from edgekit.config.recipe import Recipe, read_recipe
from edgekit.core.data import SplitName
from edgekit.core.samples import save_samples
from edgekit.core.tensors import Array, Dim, DType, Signature, TensorSpec
from edgekit.errors import InputRefusedError
from edgekit.loading.artifact import open_artifact
from edgekit.pipeline.data_checks import (
    Splits,
    refuse_blank_labels,
    refuse_misfits,
    refuse_missing_splits,
    refuse_other_labels,
    refuse_unfit_test_labels,
    refuse_unlike_splits,
    sameness_notes,
    scale_notes,
)
from edgekit.verification.metrics.mse import Mse
from edgekit.verification.settings import VerifySettings

Given = tuple[dict[str, Array], Array | None]

IMAGES = np.full((4, 1, 8, 8), 0.5, np.float32)
CLASSES = np.arange(4)


def recipe(folder: Path, settings: str) -> Recipe:
    (folder / "net.py").write_text("def build(): ...\ndef load(context): ...\n")
    (folder / "recipe.yaml").write_text(
        "name: r\nmodel: {factory: 'net:build'}\ndata: {function: 'net:load'}\n" + settings
    )
    return read_recipe(str(folder / "recipe.yaml"))


def splits(folder: Path, **given: Given) -> Splits:
    return {
        SplitName(name): save_samples(folder / name, inputs, labels)
        for name, (inputs, labels) in given.items()
    }


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        ({"pixels": IMAGES}, CLASSES, "'train' has inputs image, 'test' has pixels"),
        ({"image": IMAGES[:, :, :6]}, CLASSES, r"\[1, 8, 8\] in 'train' and float32\[1, 6, 8\]"),
        ({"image": IMAGES.astype(np.uint8)}, CLASSES, r"float32.*'train' and uint8.*'test'"),
        ({"image": IMAGES}, np.array(list("abcd")), "labels of 'test' are <U1, not numbers"),
        ({"image": IMAGES}, CLASSES.astype("M8[s]"), "are datetime64.s., not numbers"),
    ],
)
def test_a_split_unlike_the_others_is_refused(
    inputs: dict[str, Array], labels: Array, message: str, tmp_path: Path
) -> None:
    both = splits(tmp_path, train=({"image": IMAGES}, CLASSES), test=(inputs, labels))

    with pytest.raises(InputRefusedError, match=message):
        refuse_unlike_splits(both)


def test_splits_alike_are_fine(tmp_path: Path) -> None:
    both = splits(tmp_path, calibration=({"x": IMAGES}, None), test=({"x": IMAGES}, CLASSES))

    refuse_unlike_splits(both)

    assert list(scale_notes(both)) == []


def test_a_split_that_a_file_cannot_take_is_named(tmp_path: Path) -> None:
    signature = open_artifact(onnx_models.write(onnx_models.cnn(), tmp_path / "c.onnx")).signature
    wrong = splits(tmp_path, test=({"image": IMAGES[:, :, :, :5]}, None))

    with pytest.raises(InputRefusedError, match=r"split 'test'.*do not fit the model"):
        refuse_misfits(wrong, signature)


def test_labels_are_of_the_kind_that_the_metric_reads(tmp_path: Path) -> None:
    given = splits(tmp_path, test=({"x": IMAGES}, CLASSES.astype(np.float32)))

    with pytest.raises(InputRefusedError, match="labels are float32, and top1 takes class numbers"):
        refuse_other_labels(given, VerifySettings())

    refuse_other_labels(given, VerifySettings(Mse()))
    refuse_other_labels(given, VerifySettings(function="score:own"))


GAPS = np.full((4, 2), np.nan, np.float32)


@pytest.mark.parametrize(
    ("name", "labels", "settings", "message"),
    [
        ("train", GAPS, "train: {}", "labels of 'train' hold NaN or infinity"),
        ("test", GAPS, "verify: {metric: mse}", "labels of 'test' hold NaN or infinity"),
        ("train", CLASSES - 9, "train: {}", "every label of 'train' is below zero"),
        ("test", CLASSES - 9, "verify: {metric: token_accuracy}", "'test' is below zero"),
    ],
)
def test_labels_that_say_nothing_are_refused(
    name: str, labels: Array, settings: str, message: str, tmp_path: Path
) -> None:
    named: dict[str, Given] = {name: ({"x": IMAGES}, labels)}
    given = splits(tmp_path, **named)

    with pytest.raises(InputRefusedError, match=message):
        refuse_blank_labels(given, recipe(tmp_path, settings))


@pytest.mark.parametrize(
    ("name", "labels", "settings"),
    [
        ("train", GAPS, "train: {function: 'net:load'}"),
        ("test", GAPS, "verify: {function: 'net:load'}"),
        ("train", CLASSES - 9, "train: {loss: mse}"),
        ("test", CLASSES - 9, "verify: {metric: mae}"),
        ("train", CLASSES - 1, "train: {}"),
    ],
)
def test_labels_that_something_knows_how_to_read_pass(
    name: str, labels: Array, settings: str, tmp_path: Path
) -> None:
    named: dict[str, Given] = {name: ({"x": IMAGES}, labels)}
    given = splits(tmp_path, **named)

    refuse_blank_labels(given, recipe(tmp_path, settings))


def test_a_split_on_another_scale_is_pointed_out(tmp_path: Path) -> None:
    both = splits(tmp_path, calibration=({"x": IMAGES}, None), test=({"x": IMAGES * 510}, None))

    (note,) = scale_notes(both)

    assert note == (
        "'x' reaches 255 in the split 'test' and 0.5 in 'calibration'; are both scaled alike?"
    )


def test_an_input_of_one_value_is_pointed_out(tmp_path: Path) -> None:
    varied = np.arange(256, dtype=np.float32).reshape(IMAGES.shape)

    given = splits(tmp_path, calibration=({"x": IMAGES, "y": varied}, None))

    (note,) = sameness_notes(given[SplitName.CALIBRATION])

    assert note.startswith("every value of 'x' in the calibration samples is 0.5: ")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (CLASSES, "a label 3, and the output has 3 classes"),
        (CLASSES - 1, "a label -1, and classes are counted from 0"),
        (np.eye(4, 3, dtype=np.int64), r"shape \[3\] per sample, the model decides \[\]"),
    ],
)
def test_labels_that_the_outputs_cannot_match_are_refused_before_there_are_any(
    labels: Array, message: str, tmp_path: Path
) -> None:
    output = TensorSpec("scores", DType.FLOAT32, ("batch", 3))
    given = splits(tmp_path, test=({"x": IMAGES}, labels))

    with pytest.raises(InputRefusedError, match=message):
        refuse_unfit_test_labels(given, VerifySettings(), Signature((), (output,)))


@pytest.mark.parametrize("shape", [("batch", 4), (1, 4), ("batch", "steps", 3), (7, 4)], ids=str)
def test_labels_that_match_or_cannot_be_judged_yet_pass(
    shape: tuple[Dim, ...], tmp_path: Path
) -> None:
    given = splits(tmp_path, test=({"x": IMAGES}, CLASSES))
    output = TensorSpec("scores", DType.FLOAT32, shape)

    refuse_unfit_test_labels(given, VerifySettings(), Signature((), (output,)))


def test_splits_that_steps_need_are_missed_all_at_once(tmp_path: Path) -> None:
    wanted = recipe(
        tmp_path,
        "train: {epochs: 1}\nprune: {ratio: 50 %}\nexport: {formats: [onnx]}\nquantize: {}",
    )

    with pytest.raises(InputRefusedError) as caught:
        refuse_missing_splits(splits(tmp_path, test=({"x": IMAGES}, None)), wanted)

    assert caught.value.message == (
        "training needs the split 'train'; pruning needs the split 'calibration'; quantization "
        "needs the split 'calibration'; the data has: test"
    )
