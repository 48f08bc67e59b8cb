import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from support.onnx_models import graph_model, tensor, weights

from edgekit.core.tensors import FloatArray
from edgekit.quantization.onnx.rounding import CHANNELS, read_by, round_weights, rounding
from edgekit.quantization.rounding import means_of_channels

X = np.random.default_rng(0).uniform(1, 2, (32, 4, 6, 6)).astype(np.float32)


def layers(*, one_bias: bool = False) -> onnx.ModelProto:
    """A depthwise, a plain and a grouped convolution, a mean, and a Gemm."""
    biases = ["b1"] * 3 if one_bias else ["b1", "b2", "b3"]
    make = helper.make_node
    return graph_model(
        [
            make("Conv", ["x", "w1", biases[0]], ["d"], name="depthwise", group=4),
            make("Conv", ["d", "w2", biases[1]], ["p"], name="plain"),
            make("Conv", ["p", "w3", biases[2]], ["g"], name="grouped", group=2),
            make("ReduceMean", ["g"], ["m"], axes=[2, 3], keepdims=0),
            make("Gemm", ["m", "w4", "b4"], ["y"], name="gemm"),
        ],
        [tensor("x", ["batch", 4, 6, 6])],
        [tensor("y", ["batch", 5])],
        [
            numpy_helper.from_array(values, name)
            for name, values in {
                "w1": weights(4, 1, 3, 3, seed=1),
                "w2": weights(4, 4, 1, 1, seed=2),
                "w3": weights(4, 2, 3, 3, seed=3),
                "w4": weights(4, 5, seed=4),
                **{f"b{n}": weights(4 if n < 4 else 5, seed=4 + n) for n in range(1, 5)},
            }.items()
        ],
        opset=17,
    )


def tensors(model: onnx.ModelProto, *names: str) -> dict[str, FloatArray]:
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    opened.graph.output.extend(tensor(name, None) for name in names)
    session = onnxruntime.InferenceSession(opened.SerializeToString())
    return dict(zip(names, session.run([*names], {"x": X}), strict=True))


def rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    names = rounding(model, {node.name for node in model.graph.node})
    read = [name for name in read_by(model, names) if name != "x"]
    means = means_of_channels(lambda: ({**tensors(model, *read), "x": X},), CHANNELS)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    round_weights(result.graph, names, means, per_channel=True)
    return result


def test_rounded_layers_give_the_float_mean_of_every_channel() -> None:
    model = layers()

    found, wanted = tensors(rounded(model), "d", "p", "g"), tensors(model, "d", "p", "g")

    for name, values in wanted.items():
        step = float(np.ptp(values)) / 255
        error = (found[name] - values).mean(axis=(0, 2, 3))
        assert np.abs(error).max() < step / 10  # channels further on repeat what float32 loses
        assert np.abs(found[name] - values).max() > 0  # the weights did move


def test_weights_become_multiples_of_the_scale_that_they_are_quantized_with() -> None:
    result = rounded(layers())

    held = {one.name: numpy_helper.to_array(one) for one in result.graph.initializer}
    for name, scale in {
        "w1": np.abs(held["w1"]).max(axis=(1, 2, 3), keepdims=True) / 127,
        "w3": np.abs(held["w3"]).max(axis=(1, 2, 3), keepdims=True) / 127,
        "w4": np.abs(held["w4"]).max() / 127,  # short channels share one
    }.items():
        steps = held[name] / scale
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)  # float32 of up to 127


def test_a_bias_that_several_layers_read_stays_as_it_is() -> None:
    model = layers(one_bias=True)

    result = rounded(model)

    held = {one.name: numpy_helper.to_array(one) for one in result.graph.initializer}
    np.testing.assert_array_equal(held["b1"], weights(4, seed=5))
