"""Time the int8 forms of recurrent ONNX operators side by side with float, and print a table.

    python benchmarks/recurrent_forms.py
    python benchmarks/recurrent_forms.py --kinds GRU --hidden 256 384 --steps 64 --inputs 32
    python benchmarks/recurrent_forms.py --hidden 384 --keep files
    edgekit profile files/*.onnx --target rpi4

`stored` has int8 weights and computes in float, `int8` computes in int8; latencies, medians of
measurements in turns, are relative to float. A starred form is what `edgekit quantize` chooses
for cores with int8 dot products.
Weights are drawn as PyTorch draws them.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.core.artifact import Format
from edgekit.core.samples import save_samples
from edgekit.profiling.settings import ProfileSettings
from edgekit.profiling.timing import time_sessions
from edgekit.quantization.onnx.plan import make_plan
from edgekit.quantization.onnx.recurrent import SMALLEST, with_recurrent_in_int8
from edgekit.quantization.onnx.trim import trim
from edgekit.quantization.onnx.weights import store_in_int8
from edgekit.runtimes.session import open_session

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
EVERY_SIZE = dict.fromkeys(GATES, 1)
NO_SIZE = dict.fromkeys(GATES, sys.maxsize)
IR_VERSION, OPSET = 9, 18
SETTINGS = ProfileSettings(runs=200, time_limit=3.0)


def main() -> None:
    """Print one row for each kind, hidden size, number of inputs and number of steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=list(GATES), choices=list(GATES))
    parser.add_argument(
        "--hidden", nargs="+", type=int, default=[32, 48, 64, 128, 192, 256, 384, 512]
    )
    parser.add_argument("--inputs", nargs="+", type=int, default=[32])
    parser.add_argument("--steps", nargs="+", type=int, default=[10, 64, 200])
    parser.add_argument("--keep", type=Path, help="a folder that keeps the files")
    asked = parser.parse_args()
    print("| layer | inputs | steps | float | stored | int8 | stored bytes | int8 bytes | SQNR |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind, hidden, inputs, steps in itertools.product(
        asked.kinds, asked.hidden, asked.inputs, asked.steps
    ):
        with tempfile.TemporaryDirectory() as scratch:
            folder = asked.keep or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            print(row(kind, hidden, inputs, steps, folder), flush=True)


def row(kind: str, hidden: int, inputs: int, steps: int, folder: Path) -> str:
    """Time the three forms of one layer; write them into `folder`."""
    model = layer(kind, hidden, inputs, steps)
    name = f"{kind.lower()}{hidden}-{inputs}-{steps}"
    forms = {
        "float": model,
        "stored": shrunk(model, NO_SIZE),
        "int8": shrunk(model, EVERY_SIZE),
    }
    paths = {form: folder / f"{name}-{form}.onnx" for form in forms}
    for form, path in paths.items():
        onnx.save(forms[form], path)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, steps, inputs), dtype=np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        samples = save_samples(Path(scratch) / "samples", {"x": x})
        sessions = {form: open_session(path, Format.ONNX) for form, path in paths.items()}
        times = time_sessions(sessions, samples, SETTINGS, rng, threads=1)
    sizes = {form: path.stat().st_size for form, path in paths.items()}
    answers = {form: session.run({"x": x})["y"] for form, session in sessions.items()}
    chosen = "int8" if hidden >= SMALLEST[True][kind] else "stored"
    ratios = [times[form].median_ns / times["float"].median_ns for form in ("stored", "int8")]
    stars = ["*" if form == chosen else "" for form in ("stored", "int8")]
    cells = [
        f"{kind} {hidden}",
        f"{inputs}",
        f"{steps}",
        f"{times['float'].median_ns / 1000:.0f} µs",
        *(f"{ratio:.2f}{star}" for ratio, star in zip(ratios, stars, strict=True)),
        *(f"{sizes[form] / sizes['float']:.3f}" for form in ("stored", "int8")),
        f"{sqnr_db(answers['float'], answers['int8']):.1f} dB",
    ]
    return f"| {' | '.join(cells)} |"


def layer(kind: str, hidden: int, inputs: int, steps: int) -> onnx.ModelProto:
    """Return one layer: `x [1, steps, inputs]` to all its states, `y [1, steps, hidden]`."""
    rng = np.random.default_rng(hidden)
    rows, bound = GATES[kind] * hidden, 1 / np.sqrt(hidden)

    def drawn(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.uniform(-bound, bound, shape).astype(np.float32), name)

    cell = helper.make_node(
        kind, ["turned", "w", "r", "b"], ["states"], name="layer", hidden_size=hidden
    )
    if kind == "GRU":
        cell.attribute.append(helper.make_attribute("linear_before_reset", 1))
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], name="turn", perm=[1, 0, 2]),
        cell,
        helper.make_node("Reshape", ["states", "shape"], ["y"], name="flatten"),
    ]
    constants = [
        drawn("w", 1, rows, inputs),
        drawn("r", 1, rows, hidden),
        drawn("b", 1, 2 * rows),
        numpy_helper.from_array(np.array([1, steps, hidden]), "shape"),
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [_tensor("x", [1, steps, inputs])],
        [_tensor("y", [1, steps, hidden])],
        constants,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    return onnx.shape_inference.infer_shapes(model)


def shrunk(model: onnx.ModelProto, smallest: dict[str, int]) -> onnx.ModelProto:
    """Return `model` as int8, computing so from `smallest` units on and storing so otherwise."""
    result, plan = with_recurrent_in_int8(model, make_plan(model, ()), smallest)
    store_in_int8(result.graph, plan)
    trim(result)
    return result


def sqnr_db(wanted: np.ndarray, found: np.ndarray) -> float:
    """Return the power of `wanted` over that of the difference, in dB."""
    return float(10 * np.log10((wanted**2).sum() / ((wanted - found) ** 2).sum()))


def _tensor(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


if __name__ == "__main__":
    main()
