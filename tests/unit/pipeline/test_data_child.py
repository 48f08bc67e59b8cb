"""What a data function may give, and what it is told when it gives something else."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.core.progress import SILENT
from edgekit.core.samples import open_samples
from edgekit.errors import InputRefusedError, UsageError
from edgekit.loading.source import DataSource
from edgekit.pipeline.data_child import load_data
from edgekit.pipeline.tasks import LoadDataRequest

CODE = """
import numpy as np
from edgekit.core.data import Split

X = np.ones((4, 3), np.float32)

def load(context):
    return {RETURNED}
"""


def load(folder: Path, returned: str, name: str = "given_data") -> None:
    (folder / f"{name}.py").write_text(CODE.replace("{RETURNED}", returned))
    load_data(LoadDataRequest(DataSource(f"{name}:load", folder, {}), folder / "out"), SILENT)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("X", "returned ndarray, expected a dictionary of splits"),
        ("{}", "returned dict, expected a dictionary of splits"),
        ("{'tests': Split({'x': X})}", "a split 'tests'; did you mean 'test'"),
        ("{'test': {'x': X}}", "returned dict as its split 'test'"),
        ("{'test': Split(X)}", "inputs of the split 'test' of .* are ndarray"),
        ("{'test': Split({'x': X.tolist()}, [1])}", "input 'x' is list; labels is list"),
        ("{'test': Split({'x': np.ma.masked_array(X, X > 0)})}", "input 'x' is MaskedArray"),
        ("{'test': Split({3: X})}", "inputs called 3, and names are text"),
        ("{'test': Split({'x': X})}[0]", "failed at .*: KeyError: 0"),
    ],
)
def test_anything_but_splits_of_arrays_is_told_what_is_expected(
    returned: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        load(tmp_path, returned)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ("X.astype(str)", "<U32, which no model takes"),
        ("X.astype(complex)", "complex128, which no model takes"),
        ("X.astype(np.longdouble)", "which no model takes"),
        ("np.zeros(4, 'datetime64[s]')", "datetime64.*, which no model takes"),
        ("np.zeros(4, [('a', 'f4')])", "which no model takes"),
        ("np.array([[1], [1, 2]], object)", "Python objects, as rows of different lengths do"),
        ("X[:0]", "has no rows"),
    ],
)
def test_arrays_that_no_model_takes_are_refused(array: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=message):
        load(tmp_path, f"{{'test': Split({{'x': {array}}})}}")


def test_numbers_in_the_other_byte_order_are_read(tmp_path: Path) -> None:
    load(tmp_path, "{'test': Split({'x': X.astype('>f4')}, np.arange(4).astype('>i4'))}")

    found = open_samples(tmp_path / "out" / "test")
    assert found.inputs()["x"].dtype == np.dtype(np.float32)
    assert found.labels().tolist() == [0, 1, 2, 3]


def test_a_function_without_its_argument_is_told_of_it(tmp_path: Path) -> None:
    (tmp_path / "lonely_data.py").write_text("def load():\n    return {}\n")
    source = DataSource("lonely_data:load", tmp_path, {})

    with pytest.raises(UsageError, match="cannot be called with one argument") as caught:
        load_data(LoadDataRequest(source, tmp_path / "out"), SILENT)

    assert "DataContext" in caught.value.hint


def test_every_split_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError) as caught:
        load(tmp_path, "{'train': Split({'x': X[:0]}), 'test': Split({'x': X * np.nan})}")

    assert "split 'train': the samples cannot be used: 'x' has no rows" in caught.value.message
    assert "split 'test': the samples cannot be used: 'x' holds NaN" in caught.value.message
