from pathlib import Path

import numpy as np
import pytest

from edgekit.core.samples import open_arrays, open_samples, save_arrays, save_samples
from edgekit.core.tensors import Array, DType, TensorSpec
from edgekit.errors import InputRefusedError, StorageError


def image_rows(count: int = 5) -> dict[str, Array]:
    return {"x": np.arange(count * 4, dtype=np.float32).reshape(count, 2, 2)}


def test_samples_come_back_in_batches_and_in_order(tmp_path: Path) -> None:
    samples = save_samples(tmp_path, image_rows(5), np.arange(5))

    batches = [batch["x"][:, 0, 0].tolist() for batch in samples.batches(2)]

    assert batches == [[0, 4], [8, 12], [16]]
    assert samples.labels(1, 3).tolist() == [1, 2]
    assert open_samples(tmp_path) == samples


def test_head_takes_the_first_rows_and_is_not_the_whole(tmp_path: Path) -> None:
    samples = save_samples(tmp_path, image_rows(5), np.arange(5))

    head = samples.head(2)

    assert head.count == 2
    assert head.inputs()["x"].shape == (2, 2, 2)
    assert head.labels().tolist() == [0, 1]
    assert head.fingerprint != samples.fingerprint
    assert samples.head(9) is samples


def test_fingerprint_changes_with_one_value(tmp_path: Path) -> None:
    first = save_samples(tmp_path / "a", image_rows())
    other = image_rows()
    other["x"][3, 1, 1] += 1

    second = save_samples(tmp_path / "b", other)

    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        ({}, None, "no input array"),
        ({"x": np.zeros((0, 2), np.float32)}, None, "has no rows"),
        ({"x": np.zeros((2, 2)), "y": np.zeros(3)}, None, "lengths differ"),
        ({"x": np.array([{}, {}], dtype=object)}, None, "Python objects"),
        ({"x": np.array([1.0, np.nan])}, None, r"infinity in 1 of 2 rows, first in row 1 \("),
        ({"labels": np.zeros(2)}, None, "cannot be called"),
        ({"x": np.zeros(2)}, np.zeros(3), "lengths differ"),
    ],
)
def test_unusable_arrays_are_refused(
    tmp_path: Path, inputs: dict[str, Array], labels: Array | None, message: str
) -> None:
    with pytest.raises(InputRefusedError, match=message):
        save_samples(tmp_path / "s", inputs, labels)

    assert not (tmp_path / "s").exists()


def test_name_of_a_tensor_need_not_be_one_of_a_file(tmp_path: Path) -> None:
    samples = save_samples(tmp_path / "s", {"gpu_0/data:0": np.ones(2), "../x": np.zeros(2)})

    assert open_samples(tmp_path / "s").inputs()["gpu_0/data:0"].tolist() == [1, 1]
    assert samples.renamed({"y": "../x"}).inputs()["y"].tolist() == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_missing_labels_are_told(tmp_path: Path) -> None:
    samples = save_samples(tmp_path, image_rows())

    with pytest.raises(InputRefusedError, match="no labels"):
        samples.labels()


def test_folder_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match="no readable samples"):
        open_samples(tmp_path)


def test_all_misfits_with_a_model_are_told_at_once(tmp_path: Path) -> None:
    samples = save_samples(tmp_path, {"x": np.zeros((2, 3), np.float64), "z": np.zeros((2, 1))})
    specs = (
        TensorSpec("x", DType.FLOAT32, ("batch", 4)),
        TensorSpec("y", DType.INT64, ("batch",)),
    )

    with pytest.raises(InputRefusedError) as caught:
        samples.check_against(specs)

    assert "input 'y' is missing" in caught.value.message
    assert "'z' is no input" in caught.value.message
    assert "'x' holds float64[3] per sample, the model takes float32[4]" in caught.value.message


def test_fitting_samples_pass_whatever_the_batch_is(tmp_path: Path) -> None:
    samples = save_samples(tmp_path, {"x": np.zeros((2, 3), np.float32)})

    samples.check_against((TensorSpec("x", DType.FLOAT32, (1, 3)),))
    samples.check_against((TensorSpec("x", DType.FLOAT32, ("batch", "time")),))


def test_arrays_of_any_name_and_shape_survive_storage(tmp_path: Path) -> None:
    arrays: dict[str, Array] = {
        "a/b:0": np.array([[1, 2]], np.float32),
        "scalar": np.array(3),
        "empty": np.zeros((0, 4)),
    }

    save_arrays(tmp_path, arrays)
    back = open_arrays(tmp_path)

    assert list(back) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, strict=True)


def test_renamed_samples_are_the_same_arrays_under_other_names(tmp_path: Path) -> None:
    samples = save_samples(tmp_path, {"a": np.arange(3.0), "b": np.arange(3.0) + 9})

    again = samples.renamed({"serving:0": "b", "x": "a"}).renamed({"y/z": "serving:0"})

    assert again.head(2).inputs(0, 1)["y/z"].tolist() == [9.0]
    assert again.count == 3


def test_labels_of_any_type_can_be_kept(tmp_path: Path) -> None:
    days = np.array(["2020-02-29", "2024-02-29"], dtype="datetime64[D]")

    samples = save_samples(tmp_path / "s", {"x": np.ones((2, 3), np.float32)}, days)

    assert samples.labels().tolist() == days.tolist()


def test_a_folder_that_takes_no_more_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="file/s: part of the path is a file"):
        save_samples(tmp_path / "file" / "s", image_rows())
