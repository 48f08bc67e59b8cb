import copy

import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgekit.quantization.tflite.equalize import equalize_channels
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.writer import to_bytes

OP = schema.BuiltinOperator
FloatArray = npt.NDArray[np.float32]
CHANNELS = 4
NONE = schema.ActivationFunctionType.NONE
RELU = schema.ActivationFunctionType.RELU
RELU6 = schema.ActivationFunctionType.RELU6
WIDTHS = np.array([0.01, 0.1, 1, 10], np.float32)
PIXELS = np.random.default_rng(0).standard_normal((1, 6, 6, 3)).astype(np.float32)


def normal(seed: int, *shape: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Net:
    """Two convolutions side by side, whose channels are joined, pooled and normed."""

    def __init__(self, activation: int = NONE) -> None:
        self.graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[], name=b"main")
        self.model = schema.ModelT(
            version=3, buffers=[schema.BufferT()], operatorCodes=[], subgraphs=[self.graph]
        )
        self.out = GraphWriter(self.model, self.graph, "net")
        x = self.out.tensor((1, 6, 6, 3), name="x")
        self.parts = [self.conv(x, seed, activation) for seed in (1, 2)]
        self.joined = self.out.tensor((1, 6, 6, 2 * CHANNELS), name="joined")
        options = schema.ConcatenationOptionsT(axis=3)
        self.out.add(OP.CONCATENATION, self.parts, [self.joined], options)
        pooled = self.out.tensor((1, 3, 3, 2 * CHANNELS), name="pooled")
        window = schema.Pool2DOptionsT(
            padding=schema.Padding.VALID, strideW=2, strideH=2, filterWidth=2, filterHeight=2
        )
        self.out.add(OP.MAX_POOL_2D, [self.joined], [pooled], window)
        normed = self.norm(pooled)
        self.graph.operators = self.out.operators
        self.graph.inputs, self.graph.outputs = [x], [normed]

    def conv(self, x: int, seed: int, activation: int) -> int:
        """Write channels that are as wide as `WIDTHS` says."""
        weight = normal(seed, CHANNELS, 1, 1, 3) * WIDTHS.reshape(-1, 1, 1, 1)
        inputs = [
            x,
            self.constant(weight),
            self.constant((1 + normal(seed, CHANNELS) ** 2) * WIDTHS),
        ]
        target = self.out.tensor((1, 6, 6, CHANNELS), name=f"part{seed}")
        options = schema.Conv2DOptionsT(
            padding=schema.Padding.SAME, strideW=1, strideH=1, fusedActivationFunction=activation
        )
        return self.out.add(OP.CONV_2D, inputs, [target], options)

    def norm(self, source: int) -> int:
        """Bring all channels to one width."""
        scale = 1 / np.tile(WIDTHS, 2)
        inputs = [source, self.constant(scale.reshape(1, 1, 1, -1)), self.constant(normal(3, 8))]
        target = self.out.tensor(self.graph.tensors[source].shape, name="normed")
        options = schema.DepthwiseConv2DOptionsT(
            padding=schema.Padding.VALID, strideW=1, strideH=1, depthMultiplier=1
        )
        return self.out.add(OP.DEPTHWISE_CONV_2D, inputs, [target], options)

    def constant(self, value: npt.ArrayLike) -> int:
        return self.out.constant(value, np.float32)


def run(model: schema.ModelT, tensor: int) -> FloatArray:
    """Return the values of one tensor of the main graph."""
    copied = copy.deepcopy(model)
    copied.subgraphs[0].outputs = [tensor]
    interpreter = Interpreter(model_content=to_bytes(copied), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], PIXELS)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def unevenness(values: FloatArray) -> float:
    """Return how much wider the widest channel is than the narrowest."""
    spread = values.reshape(-1, values.shape[-1]).std(axis=0)
    return float(spread.max() / spread.min())


@pytest.mark.parametrize("activation", [NONE, RELU])
def test_channels_get_like_ranges_and_the_model_computes_the_same(activation: int) -> None:
    net, before = Net(activation), Net(activation)

    equalize_channels(net.model)

    wanted = run(before.model, before.graph.outputs[0])
    np.testing.assert_allclose(run(net.model, net.graph.outputs[0]), wanted, rtol=1e-4, atol=1e-4)
    assert unevenness(run(before.model, before.joined)) > 100
    assert unevenness(run(net.model, net.joined)) < 10  # what is left is in the random weights


def test_a_constant_that_others_read_stays() -> None:
    net = Net()
    first, second = (net.graph.operators[place] for place in (0, 1))
    second.inputs = list(first.inputs)

    equalize_channels(net.model)

    assert first.inputs[1] != second.inputs[1]
    assert unevenness(run(net.model, net.joined)) < 10


def weights(net: Net) -> list[int]:
    return [int(operator.inputs[1]) for operator in net.graph.operators[:2]]


def test_channels_that_are_cut_off_above_stay() -> None:
    net = Net(RELU6)
    before = weights(net)

    equalize_channels(net.model)

    assert weights(net) == before


def test_channels_that_something_else_reads_stay() -> None:
    net = Net()
    net.graph.outputs = [*net.graph.outputs, net.joined]
    before = [net.model.buffers[net.graph.tensors[place].buffer].data for place in weights(net)]

    equalize_channels(net.model)

    after = [net.model.buffers[net.graph.tensors[place].buffer].data for place in weights(net)]
    np.testing.assert_array_equal(before, after)


def test_a_model_without_batch_norms_stays() -> None:
    net = Net()
    net.graph.operators.pop()
    net.graph.outputs = [net.graph.operators[-1].outputs[0]]
    before = weights(net)

    equalize_channels(net.model)

    assert weights(net) == before
