import copy

import numpy as np
import onnxruntime
from support.onnx_models import weights
from support.onnx_text import assert_close, model, reference

from edgekit.quantization.onnx.outer_reads import round_what_bodies_read


def test_what_a_branch_reads_of_an_int8_tensor_is_rounded_again_without_a_change() -> None:
    made = model(
        """m (float[n, 4] x) => (float[p, q, 3] y) {
            a = QuantizeLinear(x, scale, zero)
            b = DequantizeLinear(a, scale, zero)
            c = Transpose(b)
            d = Reshape(c, shape)
            s = ReduceSum<keepdims = 0>(b)
            e = Less(s, scale)
            y = If(e) <
                then_branch = t () => (float[p, q, 3] yt) { yt = MatMul(d, v) },
                else_branch = f () => (float[p, q, 3] yf) { yf = MatMul(d, u) }
            >
        }""",
        {
            "scale": np.array(0.02, np.float32),
            "zero": np.array(128, np.uint8),
            "shape": np.array([2, -1, 2]),
            "v": weights(2, 3, seed=3),
            "u": weights(2, 3, seed=4),
        },
    )
    x = weights(6, 4, seed=5)
    plain = copy.deepcopy(made)
    options = onnxruntime.SessionOptions()
    # Any higher level aborts on the plain file.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    before = onnxruntime.InferenceSession(plain.SerializeToString(), options).run(None, {"x": x})

    round_what_bodies_read(made.graph)

    kinds = [node.op_type for node in made.graph.node]
    assert (kinds.count("QuantizeLinear"), kinds.count("DequantizeLinear")) == (2, 2)
    # Sums of two products, in whatever order.
    assert_close(reference(made, x=x), {"y": before[0]}, 1e-5)


def test_a_graph_without_bodies_stays_as_it_is() -> None:
    made = model(
        "m (float[n, 4] x) => (float[p, q] y)"
        "{ a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) y = Transpose(b) }",
        {"s": np.array(0.02, np.float32), "z": np.array(128, np.uint8)},
    )
    before = copy.deepcopy(made)

    round_what_bodies_read(made.graph)

    assert made == before
