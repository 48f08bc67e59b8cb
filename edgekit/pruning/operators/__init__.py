"""How slices are followed through each operator of PyTorch's."""

import torch

from edgekit.pruning.operators import elementwise, moving, products, reducing
from edgekit.pruning.trace import Call, Rule, Trace, Value, tensors_in

_BY_RULE: dict[Rule, str] = {
    moving.move: (
        "alias detach view _unsafe_view reshape _reshape_alias permute t transpose unsqueeze "
        "squeeze expand clone slice flip roll repeat pixel_shuffle pixel_unshuffle channel_shuffle "
        "gather unfold diagonal movedim"
    ),
    moving.keep: "_to_copy lift_fresh tril triu native_dropout dropout",
    moving.split: "split split_with_sizes unsafe_split unsafe_split_with_sizes chunk",
    moving.pick: "select unbind index_select",
    moving.index: "index _unsafe_index",
    moving.pad: "constant_pad_nd",
    moving.join: "cat",
    moving.stack: "stack",
    moving.write: "copy",
    products.product: "mm bmm",
    products.product_and_sum: "addmm baddbmm",
    products.convolve: "convolution",
    products.look_up: "embedding _embedding_bag _embedding_bag_forward_only",
    reducing.along: "_softmax _log_softmax _safe_softmax cumsum cumprod logcumsumexp",
    reducing.reduce: (
        "mean amax amin max min median var std var_mean argmax argmin logsumexp prod any all"
    ),
    reducing.add_up: "sum nansum linalg_vector_norm norm",
    reducing.resample: (
        "max_pool1d max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d "
        "avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d "
        "adaptive_max_pool3d upsample_nearest1d upsample_nearest2d upsample_nearest3d "
        "_upsample_nearest_exact2d upsample_linear1d upsample_bilinear2d upsample_bicubic2d "
        "upsample_trilinear3d _upsample_bilinear2d_aa reflection_pad1d reflection_pad2d "
        "replication_pad1d replication_pad2d replication_pad3d"
    ),
    reducing.norm_channels: "native_batch_norm _native_batch_norm_legit_no_training",
    reducing.norm_groups: "native_group_norm",
    reducing.norm_last: "native_layer_norm",
    reducing.halve: "glu",
    elementwise.pointwise: (
        "hardswish hardsigmoid _prelu_kernel mish silu softplus elu celu selu leaky_relu hardtanh "
        "softshrink hardshrink log_sigmoid_forward rrelu_with_noise gelu"
    ),
}
_CONSTANT = (
    "zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty "
    "new_empty_strided fill zero"
)
"""Operators that take of a tensor no more than its shape."""
_CONSTANTS = frozenset(_CONSTANT.split())
_RULES = {name: rule for rule, names in _BY_RULE.items() for name in names.split()}


def rule_for(call: Call) -> Rule:
    """Return how to follow slices through an operator; what is not known stops them."""
    name = call.name if call.name.startswith("__") else call.name.rstrip("_")
    if name in _CONSTANTS:
        return _forget
    if name in _RULES:
        return _RULES[name]
    return elementwise.pointwise if torch.Tag.pointwise in call.func.tags else _stop


def _forget(trace: Trace, call: Call) -> None:
    """Note nothing: the result is a constant."""


def _stop(trace: Trace, call: Call) -> None:
    trace.block(call.name, tensors_in((call.args, call.kwargs)))
    for result in tensors_in(call.out):
        trace.set(result, Value(torch.zeros((), dtype=torch.int64)))
