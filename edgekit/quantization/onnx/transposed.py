"""ConvTranspose as a convolution: onnxruntime has no int8 kernel for the first, but for the second.

With a stride of s, every s-th row of the output sees the same part of the kernel. One convolution
computes these s kinds of rows as channels. With channels last, as onnxruntime keeps them around
its int8 convolutions, a Reshape then puts the kinds side by side; DepthToSpace does the same in
three times the time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx.helper import make_node

from edgekit.core.tensors import Array, FloatArray
from edgekit.quantization.onnx.rewrite import Known, Replacement, integer, integers

_MOST_WORK = 2.0
"""Times the multiplications of the original: int8 is faster by more than that, padding included."""


@dataclass(frozen=True)
class _Axis:
    """One spatial axis of a transposed convolution.

    `before` and `after` are the rows that its padding takes off the whole output, `extra` those
    that the output has behind it.
    """

    stride: int
    dilation: int
    kernel: int
    before: int
    after: int
    extra: int

    @property
    def reach(self) -> int:
        """Rows of the output that one row of the input reaches."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def taps(self) -> int:
        """The length of the convolution's kernel."""
        return -(-self.kernel // self.stride)

    @property
    def padding(self) -> tuple[int, int]:
        """Rows of zeros before and behind the input of the convolution."""
        span = (self.taps - 1) * self.dilation
        return (
            max(span - self.before // self.stride, 0),
            max((self.extra + self.reach - 1 - self.after) // self.stride, 0),
        )

    @property
    def cut(self) -> tuple[int, int]:
        """Rows too many at both ends, once the rows of all kinds lie side by side."""
        first = (self.taps - 1) * self.dilation - self.padding[0]
        behind = self.stride * (self.padding[1] + 1) - self.extra - self.reach + self.after
        return self.before - self.stride * first, behind


def as_convolution(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return a ConvTranspose with constant weights as a convolution; None where that is no gain."""
    weight = known.floats.get(node.input[1])
    biased = len(node.input) > 2 and bool(node.input[2])
    bias = known.floats.get(node.input[2]) if biased else None
    if weight is None or (biased and bias is None):
        return None
    axes = _axes(node, weight.shape[2:])
    group = integer(node, "group", 1)
    kinds = math.prod(axis.stride for axis in axes)
    # int8 kernels of many small groups are slower than float ones: 4 times, if depthwise.
    if not axes or _work(axes) > _MOST_WORK or (group > 1 and kinds > 1):
        return None
    output = node.output[0]
    constants: dict[str, Array] = {f"{output}/forward": _as_forward(weight, group, axes)}
    if bias is not None:
        constants[f"{output}/offset"] = np.tile(bias, kinds)
    pads = [axis.padding[0] for axis in axes] + [axis.padding[1] for axis in axes]
    convolution = make_node(
        "Conv",
        [node.input[0], *constants],
        [f"{output}/kinds"],
        node.name,
        kernel_shape=[axis.taps for axis in axes],
        pads=pads,
        dilations=[axis.dilation for axis in axes],
        group=group,
    )
    nodes = [convolution]
    if kinds > 1:
        nodes += _spread(node, axes, weight.shape[1], constants)
    if any(any(axis.cut) for axis in axes):
        nodes.append(_cut(node, axes, constants))
    for index, made in enumerate(nodes[1:]):
        made.name = f"{node.name}/{index}"
        made.input[0], made.output[0] = nodes[index].output[0], f"{output}/{index}"
    nodes[-1].output[0] = output
    return Replacement(nodes, constants)


def _axes(node: onnx.NodeProto, kernel: Sequence[int]) -> tuple[_Axis, ...]:
    """Return the spatial axes; none where the operator leaves its padding to be found out."""
    rank = len(kernel)
    strides = integers(node, "strides", [1] * rank)
    dilations = integers(node, "dilations", [1] * rank)
    extra = integers(node, "output_padding", [0] * rank)
    pads = integers(node, "pads", [0] * 2 * rank)
    found_out = any(
        a.name == "output_shape" or (a.name == "auto_pad" and a.s != b"NOTSET")
        for a in node.attribute
    )
    if found_out:
        return ()
    axes = tuple(
        _Axis(strides[i], dilations[i], kernel[i], pads[i], pads[i + rank], extra[i])
        for i in range(rank)
    )
    # A dilated kernel with a stride would leave holes in most kinds of rows.
    return axes if all(1 in (axis.stride, axis.dilation) for axis in axes) else ()


def _work(axes: Sequence[_Axis]) -> float:
    """Return the multiplications of the convolution over those of the original."""
    return math.prod(axis.taps * axis.stride / axis.kernel for axis in axes)


def _as_forward(weight: FloatArray, group: int, axes: Sequence[_Axis]) -> FloatArray:
    """Return the weights `[in, out / group, *kernel]` of a convolution with all kinds of rows.

    Returns:
        Shape `[strides * out, in / group, *taps]`; channels of one kind lie together, and kinds of
        the last axis differ slowest.
    """
    inside, outside = weight.shape[0] // group, weight.shape[1]
    filled = [(0, axis.taps * axis.stride - axis.kernel) for axis in axes]
    padded = np.pad(weight, [(0, 0), (0, 0), *filled])
    parts = [length for axis in axes for length in (axis.taps, axis.stride)]
    split = padded.reshape(group, inside, outside, *parts)
    taps = [3 + 2 * i for i in range(len(axes))]
    kinds = [4 + 2 * i for i in reversed(range(len(axes)))]
    # A convolution reads its kernel forwards where a transposed one reads it backwards.
    ordered: FloatArray = np.flip(split, tuple(taps)).transpose(0, *kinds, 2, 1, *taps)
    return ordered.reshape(-1, inside, *(axis.taps for axis in axes))


def _spread(
    node: onnx.NodeProto, axes: Sequence[_Axis], channels: int, constants: dict[str, Array]
) -> list[onnx.NodeProto]:
    """Put the kinds of rows, now channels, side by side, one axis after the other.

    No length of an axis is needed: each becomes the last one, and takes its kinds from behind.
    """
    rank = len(axes)
    turn = [0, *range(2, rank + 2), 1]
    nodes = []
    kinds = math.prod(axis.stride for axis in axes)
    for place in reversed(range(rank)):
        kinds //= axes[place].stride
        name = f"{node.output[0]}/shape{place}"
        constants[name] = np.array([0] * rank + [-1, kinds * channels], np.int64)
        nodes.append(make_node("Transpose", [""], [""], perm=turn))
        nodes.append(make_node("Reshape", ["", name], [""]))
        turn = [0, rank, *range(1, rank), rank + 1]
    # The first axis is the last one now.
    nodes.append(make_node("Transpose", [""], [""], perm=[0, rank + 1, rank, *range(1, rank)]))
    return nodes


def _cut(
    node: onnx.NodeProto, axes: Sequence[_Axis], constants: dict[str, Array]
) -> onnx.NodeProto:
    """Take off the rows that are too many."""
    end = np.iinfo(np.int64).max
    parts = {
        "starts": [axis.cut[0] for axis in axes],
        "ends": [-axis.cut[1] if axis.cut[1] else end for axis in axes],
        "axes": [2 + i for i in range(len(axes))],
    }
    names = {f"{node.output[0]}/{part}": values for part, values in parts.items()}
    constants.update((name, np.array(values, np.int64)) for name, values in names.items())
    return make_node("Slice", ["", *names], [""])
