from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import graph_model, tensor
from support.quantizing import Quantized, call_here, quantized, sqnr_db

from edgekit.core.artifact import Format
from edgekit.core.target import ANYWHERE, Destination
from edgekit.quantization.settings import QuantizeSettings, Scales

WORDS, WIDTH = 512, 264
"""Blocks of 16 weights do not come out even."""

TOKENS = np.random.default_rng(0).integers(0, WORDS, (40, 3))


@pytest.fixture(autouse=True)
def _without_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.quantization.quantize.call", call_here)
    monkeypatch.setattr("edgekit.runtimes.inspect.call", call_here)


def tied(*, turned: bool = False, lookups: int = 1) -> onnx.ModelProto:
    """Tokens are looked up, their sum is multiplied by the same table, and it gives scores.

    Where the table is `turned`, the product is a Gemm over one token and reads it as it is.
    """
    rng = np.random.default_rng(1)
    table = rng.standard_normal((WORDS, WIDTH)) * rng.uniform(0.2, 2, (WORDS, 1))
    shape: list[int | str | None] = ["batch"] if turned else ["batch", 3]
    names = [f"tokens{place}" for place in range(lookups)]
    nodes = [
        helper.make_node("Gather", ["table", name], [f"{name}/e"], name=f"{name}/lookup")
        for name in names
    ]
    nodes += [
        helper.make_node("Sum", [f"{name}/e" for name in names], ["sum"], name="sum"),
        helper.make_node("Tanh", ["sum"], ["x"], name="tanh"),
    ]
    if turned:
        nodes.append(helper.make_node("Gemm", ["x", "table"], ["y"], name="scores", transB=1))
    else:
        nodes.append(helper.make_node("Transpose", ["table"], ["t"], name="turn", perm=[1, 0]))
        nodes.append(helper.make_node("MatMul", ["x", "t"], ["y"], name="scores"))
    return graph_model(
        nodes,
        [tensor(name, shape, TensorProto.INT64) for name in names],
        [tensor("y", [*shape, WORDS])],
        [numpy_helper.from_array(table.astype(np.float32), "table")],
    )


def bytes_of_tables(made: Quantized) -> int:
    """Return how many bytes the file has for constants as large as the table, or larger."""
    arrays = [numpy_helper.to_array(t) for t in onnx.load(made.path).graph.initializer]
    return sum(array.nbytes for array in arrays if array.size >= WORDS * WIDTH)


@pytest.mark.parametrize("turned", [False, True])
def test_a_table_that_is_looked_up_and_multiplied_is_stored_once(
    tmp_path: Path, *, turned: bool
) -> None:
    tokens = TOKENS[:, 0] if turned else TOKENS

    made = quantized(tmp_path, Format.ONNX, tied(turned=turned), tokens0=tokens)

    assert bytes_of_tables(made) == WORDS * WIDTH
    assert sqnr_db(made) > 25  # the goal by default; scores of one word stand out of the rest
    assert made.report.int8_macs_percent == 100


def test_all_lookups_of_a_table_share_it(tmp_path: Path) -> None:
    made = quantized(tmp_path, Format.ONNX, tied(lookups=2), tokens0=TOKENS, tokens1=TOKENS[::-1])

    assert bytes_of_tables(made) == WORDS * WIDTH
    assert sqnr_db(made) > 25


def test_lookups_take_their_rows_from_weights_in_blocks(tmp_path: Path) -> None:
    settings = QuantizeSettings(scales=Scales.DYNAMIC)

    made = quantized(tmp_path, Format.ONNX, tied(), settings, tokens0=TOKENS)

    assert bytes_of_tables(made) == WORDS * (WIDTH + 8)
    assert sqnr_db(made) > 35  # a scale for 16 weights leaves less noise


def test_a_table_in_another_form_for_older_cores_is_stored_twice(tmp_path: Path) -> None:
    settings = QuantizeSettings(scales=Scales.DYNAMIC)
    older = Destination(dot_products=False)

    made = quantized(tmp_path, Format.ONNX, tied(), settings, older, tokens0=TOKENS)

    assert sqnr_db(made) > 30
    assert made.report.size_bytes > 2 * WORDS * WIDTH


@pytest.mark.parametrize("kept", ["tokens0/lookup", "scores"])
def test_what_stays_float_shares_no_int8_table(tmp_path: Path, kept: str) -> None:
    settings = QuantizeSettings(keep_float=(kept,))

    made = quantized(tmp_path, Format.ONNX, tied(), settings, ANYWHERE, tokens0=TOKENS)

    assert sqnr_db(made) > 25
    assert bytes_of_tables(made) == 5 * WORDS * WIDTH
