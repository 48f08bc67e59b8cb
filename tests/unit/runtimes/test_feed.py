from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.core.samples import Samples, save_samples
from edgekit.core.tensors import Array, DType, Signature, TensorSpec
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.runtimes.feed import batch_of, convert, match_names, run_in_batches, sample_shape

X = TensorSpec("x", DType.FLOAT32, ("batch", 2))
Y = TensorSpec("y", DType.FLOAT32, ("batch", 2))


def samples(folder: Path, **arrays: Array) -> Samples:
    return save_samples(folder, arrays)


def ints(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, DType.INT32, shape)


def test_equal_names_decide_whatever_the_order(tmp_path: Path) -> None:
    specs = (ints("a", 1), ints("b", 1))
    given_ = samples(tmp_path, b=np.zeros(3, np.int32), a=np.ones(3, np.int32))

    assert match_names(given_, specs) == {"a": "a", "b": "b"}


def test_foreign_names_go_by_order(tmp_path: Path) -> None:
    specs = (ints("args_0", 1, 4), ints("args_1", 1))
    given_ = samples(tmp_path, tokens=np.zeros((3, 4), np.int32), length=np.ones(3, np.int32))

    assert match_names(given_, specs) == {"args_0": "tokens", "args_1": "length"}


def test_half_known_names_are_refused_with_both_lists(tmp_path: Path) -> None:
    given_ = samples(tmp_path, a=np.zeros(3, np.int32), c=np.zeros(3, np.int32))

    with pytest.raises(InputRefusedError, match=r"'a', 'c', the model's inputs 'a', 'b'"):
        match_names(given_, (ints("a", 1), ints("b", 1)))


def test_all_misfits_are_told_at_once(tmp_path: Path) -> None:
    given_ = samples(tmp_path, x=np.zeros((3, 5), np.float32), t=np.zeros((3, 2), np.float32))

    with pytest.raises(InputRefusedError) as caught:
        match_names(given_, (X, ints("t", "n", 2)))

    assert "'x' holds float32[5] per sample, the model takes float32[2]" in caught.value.message
    assert "'t' holds float32[2] per sample, the model takes int32[2]" in caught.value.message


@pytest.mark.parametrize(
    ("image", "cure"),
    [
        (np.zeros((2, 3, 8, 9), np.uint8), "divided by 255"),
        (np.zeros((2, 8, 9, 3), np.float32), "array.transpose(0, 3, 1, 2)"),
        (np.zeros((2, 5), np.float32), "compare with"),
    ],
    ids=["pixels", "channels last", "another rank"],
)
def test_what_most_likely_makes_samples_fit_is_told(
    image: Array, cure: str, tmp_path: Path
) -> None:
    samples = save_samples(tmp_path, {"image": image})
    spec = TensorSpec("image", DType.FLOAT32, ("batch", 3, 8, 9))

    with pytest.raises(InputRefusedError) as caught:
        match_names(samples, (spec,))

    assert cure in caught.value.hint
    assert caught.value.hint.endswith("compare with 'edgekit inspect MODEL'")


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5))
def test_integers_arrive_unchanged_or_not_at_all(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)

    for dtype in (DType.INT8, DType.UINT8, DType.INT32, DType.UINT64):
        bounds = np.iinfo(dtype.value)
        spec = TensorSpec("t", dtype, ("batch",))
        if min(values) >= bounds.min and max(values) <= bounds.max:
            assert convert(array, spec).tolist() == values
        else:
            with pytest.raises(InputRefusedError, match="cannot hold values"):
                convert(array, spec)


def test_float64_becomes_float32_and_raw_pixels_do_not() -> None:
    assert convert(np.array([[0.5, 1.0]]), X).dtype == np.float32
    with pytest.raises(InputRefusedError, match="takes float32, not uint8"):
        convert(np.zeros((1, 2), np.uint8), X)
    with pytest.raises(InputRefusedError, match="cannot hold values"):
        convert(np.array([[0.5, 1e300]]), X)


@pytest.mark.parametrize(
    ("shapes", "batch"),
    [
        ((("n", 2), ("n", 3)), None),
        ((("n", 2), (4, 3)), 1),
        (((4, 2), (4,)), 4),
        (((1, 2), ()), 1),
        (((), ("n",)), 1),
    ],
)
def test_batch_is_what_the_first_axes_agree_on(
    shapes: tuple[tuple[int | str, ...], ...], batch: int | None
) -> None:
    specs = tuple(ints(f"i{index}", *shape) for index, shape in enumerate(shapes))

    assert batch_of(Signature(specs, ())) == batch


@pytest.mark.parametrize(
    ("output", "batch"), [((20, "n", 37), 1), (("n", 37), None), (("m", 37), None), ((), None)]
)
def test_outputs_whose_first_axis_is_no_batch_are_had_one_sample_at_a_time(
    output: tuple[int | str, ...], batch: int | None
) -> None:
    assert batch_of(Signature((ints("x", "n", 3),), (ints("y", *output),))) == batch


@pytest.mark.parametrize("first", [1, "n"])
def test_a_state_that_has_no_batch_is_fed_whole_from_each_sample(
    first: int | str, tmp_path: Path
) -> None:
    specs = (ints("x", first, 5), ints("state", 2, 1, 8), ints("rate"))
    signature = Signature(specs, (ints("y", first), ints("next", 2, 1, 8)))
    arrays: dict[str, Array] = {
        "x": np.arange(15, dtype=np.int32).reshape(3, 5),
        "state": np.arange(48, dtype=np.int32).reshape(3, 2, 1, 8),
        "rate": np.array([7, 8, 9], np.int32),
    }
    fed: list[dict[str, Array]] = []

    def call(inputs: dict[str, Array]) -> list[Array]:
        fed.append(inputs)
        return [inputs["x"][:, 0], inputs["state"]]

    outputs = run_in_batches(arrays, signature, batch_of(signature), call)

    assert match_names(samples(tmp_path, **arrays), specs).keys() == arrays.keys()
    assert [one.shape for one in fed[0].values()] == [(1, 5), (2, 1, 8), ()]
    assert outputs["y"].tolist() == [0, 5, 10]
    np.testing.assert_array_equal(outputs["next"], arrays["state"])
    assert sample_shape(specs[1], specs) == (2, 1, 8)


def test_a_state_of_another_shape_is_refused_with_the_whole_shape(tmp_path: Path) -> None:
    specs = (ints("x", 1, 5), ints("state", 2, 1, 8))
    given_ = samples(tmp_path, x=np.zeros((3, 5), np.int32), state=np.zeros((3, 1, 8), np.int32))

    with pytest.raises(InputRefusedError, match=r"the model takes int32\[2, 1, 8\] for 'state'"):
        match_names(given_, specs)


@given(rows=st.integers(1, 9), batch=st.one_of(st.none(), st.integers(1, 5)))
def test_every_batch_size_gives_the_same_rows(rows: int, batch: int | None) -> None:
    x = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    fed = []

    def double(inputs: dict[str, Array]) -> list[Array]:
        fed.append(len(inputs["x"]))
        return [np.multiply(inputs["x"], 2, dtype=np.float32)]

    outputs = run_in_batches({"x": x}, Signature((X,), (Y,)), batch, double)

    np.testing.assert_array_equal(outputs["y"], 2 * x)
    assert set(fed) == {batch or rows}


def test_inputs_without_axes_take_one_value_a_call_and_scalars_stack() -> None:
    signature = Signature((ints("rate"),), (ints("twice"),))

    outputs = run_in_batches(
        {"rate": np.array([3, 4], np.int64)}, signature, 1, lambda fed: [fed["rate"] * 2]
    )

    assert outputs["twice"].tolist() == [6, 8]


def test_outputs_that_are_not_one_row_a_sample_are_unsupported() -> None:
    signature = Signature((X,), (Y,))
    x = np.zeros((3, 2), np.float32)
    lengths = iter([1, 2, 3])

    with pytest.raises(UnsupportedError, match="first axis is not the batch"):
        run_in_batches({"x": x}, signature, None, lambda _: [np.zeros((7, 2))])
    with pytest.raises(UnsupportedError, match="changes its shape from sample to sample"):
        run_in_batches({"x": x}, signature, 1, lambda _: [np.zeros((1, next(lengths)))])


def test_wrong_names_and_no_rows_are_refused() -> None:
    signature = Signature((X,), (Y,))

    with pytest.raises(InputRefusedError, match=r"takes 'x', not 'z'"):
        run_in_batches({"z": np.zeros((1, 2), np.float32)}, signature, None, lambda _: [])
    with pytest.raises(InputRefusedError, match="no input row"):
        run_in_batches({"x": np.zeros((0, 2), np.float32)}, signature, None, lambda _: [])
