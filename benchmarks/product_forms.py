"""Time int8 forms of one ONNX matrix product side by side with float, and fit what int8 costs.

    python benchmarks/product_forms.py rpi4
    python benchmarks/product_forms.py host --rows 1 64 --depths 64 256 --widths 64 256

`float` is the product alone. `int8` is a conversion, and a product that writes floats. `pair` is
the same, but its result is rounded and turned back. Times are of single operators on an emulated
board, and of whole files on this machine.

Under the table stands the price of int8, in multiplications on which it saves as much time: for a
tensor that is converted and a product (half of it each), for a value that is converted, and for
one that is written. It is fitted to products of many rows by least squares.
"""

import argparse
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.config.target import load_target
from edgekit.core.results import Latency
from edgekit.core.samples import save_samples
from edgekit.loading.artifact import open_artifact
from edgekit.profiling.profile import profile
from edgekit.profiling.settings import ProfileSettings

IR_VERSION, OPSET = 9, 20
FORMS = ("float", "int8", "pair")
MANY_ROWS = 4
"""Rows from which kernels for int8 do their best, and weights count for little."""


def main() -> None:
    """Print one row for each number of rows, depth and width, and the price."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("target")
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--depths", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--widths", nargs="+", type=int, default=[64, 256])
    asked = parser.parse_args()
    print("| rows | depth | width | float | int8 | pair | int8 / float | pair / float |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    found: dict[tuple[int, int, int], Mapping[str, float]] = {}
    for rows, depth in itertools.product(asked.rows, asked.depths):
        for width, times in zip(
            asked.widths, timed(asked.target, rows, depth, asked.widths), strict=True
        ):
            found[rows, depth, width] = times
            cells = [f"{rows}", f"{depth}", f"{width}"]
            cells += [f"{times[form] / 1000:.1f} µs" for form in FORMS]
            cells += [f"{times[form] / times['float']:.2f}" for form in FORMS[1:]]
            print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{price(found)}")


def timed(target: str, rows: int, depth: int, widths: Sequence[int]) -> list[Mapping[str, float]]:
    """Return the time of each form, in nanoseconds, for every width."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        x = rng.standard_normal((4, rows, depth), dtype=np.float32)
        samples = save_samples(folder / "samples", {"x": x})
        artifacts = []
        for width, form in itertools.product(widths, FORMS):
            path = folder / f"{width}-{form}.onnx"
            onnx.save(product(rows, depth, width, form), path)
            artifacts.append(open_artifact(path))
        profiles = profile(artifacts, load_target(target), samples, ProfileSettings())
    times = [
        found.latency.median_ns if isinstance(found.latency, Latency) else np.nan
        for found in profiles
    ]
    return [
        dict(zip(FORMS, times[place : place + len(FORMS)], strict=True))
        for place in range(0, len(times), len(FORMS))
    ]


def product(rows: int, depth: int, width: int, form: str) -> onnx.ModelProto:
    """Return `x [1, rows, depth]` times a weight, in one of the forms."""
    rng = np.random.default_rng(width)
    weight = rng.standard_normal((depth, width)).astype(np.float32)
    scale = (np.abs(weight).max(axis=0) / 127).astype(np.float32)
    make = helper.make_node
    if form == "float":
        nodes = [make("MatMul", ["x", "w"], ["y"], "product")]
        constants = {"w": weight}
    else:
        constants = {
            "levels": np.rint(weight / scale).astype(np.int8),
            "scale": scale,
            "zeros": np.zeros(width, np.int8),
            "step": np.array(0.03, np.float32),
            "zero": np.array(128, np.uint8),
        }
        result = "sums" if form == "pair" else "y"
        nodes = [
            make("QuantizeLinear", ["x", "step", "zero"], ["q"]),
            make("DequantizeLinear", ["q", "step", "zero"], ["rounded"]),
            make("DequantizeLinear", ["levels", "scale", "zeros"], ["w"], axis=1),
            make("MatMul", ["rounded", "w"], [result], "product"),
        ]
        if form == "pair":
            nodes.append(make("QuantizeLinear", ["sums", "step", "zero"], ["r"]))
            nodes.append(make("DequantizeLinear", ["r", "step", "zero"], ["y"]))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "product",
        [info("x", onnx.TensorProto.FLOAT, [1, rows, depth])],
        [info("y", onnx.TensorProto.FLOAT, [1, rows, width])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def price(found: Mapping[tuple[int, int, int], Mapping[str, float]]) -> str:
    """Return what int8 costs beside its multiplications, in those on which it saves as much."""
    many = {sizes: times for sizes, times in found.items() if sizes[0] >= MANY_ROWS}
    if len(many) < len(FORMS) + 1:
        return "too few products of many rows to fit a price to"
    terms = np.array([[1, m * k, m * n, -m * k * n] for m, k, n in many], np.float64)
    longer = np.array([times["int8"] - times["float"] for times in many.values()])
    # Relative errors count: the shortest times say what it takes to start.
    weight = 1 / np.array([times["float"] for times in many.values()])
    start, read, written, saved = np.linalg.lstsq(
        terms * weight[:, None], longer * weight, rcond=None
    )[0]
    return (
        f"int8 saves {saved:.4f} ns a multiplication; in multiplications, a product and a "
        f"conversion cost {start / saved:.0f}, a value read {read / saved:.0f}, a value written "
        f"{written / saved:.0f}"
    )


if __name__ == "__main__":
    main()
