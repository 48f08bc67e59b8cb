"""Sizes that an ONNX file says in numbers follow what leaves the model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.onnx_text import imported, model, run
from torch import Tensor, fx, nn

from edgekit.core.artifact import file_sha256
from edgekit.core.model import Model
from edgekit.core.samples import Example, save_samples
from edgekit.core.tensors import Array
from edgekit.loading.saved import load_model, save_model
from edgekit.loading.source import OnnxSource
from edgekit.loading.trial import find_signature
from edgekit.pruning.prune import prune
from edgekit.pruning.settings import PruneSettings

STEPS, FEATURES, WIDTH = 5, 6, 8
FRAMES = np.random.default_rng(1).standard_normal((4, STEPS, FEATURES), dtype=np.float32)


def drawn(*shape: int) -> Array:
    return np.random.default_rng(shape).standard_normal(shape, dtype=np.float32) / 2


def halved(found: Model, folder: Path) -> Model:
    samples = save_samples(folder / "samples", {"x": FRAMES})
    return prune(found, samples, PruneSettings(50.0), np.random.default_rng(0))


def parameters(found: Model) -> int:
    return sum(one.numel() for one in found.module.parameters())


def attention(heads: int, *, fused: bool) -> tuple[str, dict[str, Array]]:
    """Return attention as exporters write it: heads split and joined by numbers."""
    each = WIDTH // heads
    if fused:
        split = """
            qkv = MatMul(x, w_qkv)
            q, k, v = Split<axis = 2, num_outputs = 3>(qkv)
        """
    else:
        split = """
            qk = MatMul(x, w_qk)
            q = Slice(qk, zero, width, two)
            k = Slice(qk, width, end, two)
            v = MatMul(x, w_v)
        """
    graph = f"""
        net (float[n, {STEPS}, {FEATURES}] x) => (float[n, {STEPS}, 3] y) {{
            {split}
            q_heads = Reshape(q, apart)
            k_heads = Reshape(k, apart)
            v_heads = Reshape(v, apart)
            q_by_head = Transpose<perm = [0, 2, 1, 3]>(q_heads)
            k_by_head = Transpose<perm = [0, 2, 3, 1]>(k_heads)
            v_by_head = Transpose<perm = [0, 2, 1, 3]>(v_heads)
            scores = MatMul(q_by_head, k_by_head)
            weights = Softmax(scores)
            seen = MatMul(weights, v_by_head)
            turned = Transpose<perm = [0, 2, 1, 3]>(seen)
            joined = Reshape(turned, together)
            y = MatMul(joined, w_out)
        }}
    """
    weights = {
        "w_qkv": drawn(FEATURES, 3 * WIDTH),
        "w_qk": drawn(FEATURES, 2 * WIDTH),
        "w_v": drawn(FEATURES, WIDTH),
        "w_out": drawn(WIDTH, 3),
        "apart": np.array([-1, STEPS, heads, each]),
        "together": np.array([-1, STEPS, WIDTH]),
        "zero": np.array([0]),
        "two": np.array([2]),
        "width": np.array([WIDTH]),
        "end": np.array([2**31 - 1]),
    }
    return graph, {name: array for name, array in weights.items() if name in graph}


@pytest.mark.parametrize("fused", [True, False])
def test_heads_leave_attention_that_says_their_number(tmp_path: Path, *, fused: bool) -> None:
    found = imported(model(*attention(4, fused=fused)), tmp_path)

    pruned = halved(found, tmp_path)

    assert "as wide as before" not in pruned.history[-1].summary
    assert parameters(pruned) == parameters(found) // 2
    (before,), (after,) = (run(one, x=FRAMES).values() for one in (found, pruned))
    assert after.shape == before.shape


def recurrent(layers: int) -> tuple[str, dict[str, Array]]:
    """Return GRUs whose first states are cut out of one tensor, as exporters write them."""
    nodes, value = [], "steps"
    weights: dict[str, Array] = {}
    for layer in range(layers):
        reads = WIDTH if layer else FEATURES
        nodes.append(
            f"""
            h{layer} = Slice(states, from{layer}, to{layer}, axis)
            all{layer} = GRU<hidden_size = {WIDTH}, linear_before_reset = 1>
                ({value}, w{layer}, r{layer}, b{layer}, , h{layer})
            out{layer} = Squeeze(all{layer}, one)
        """.replace("all", "all_", 2)
        )
        value = f"out{layer}"
        weights |= {
            f"w{layer}": drawn(1, 3 * WIDTH, reads),
            f"r{layer}": drawn(1, 3 * WIDTH, WIDTH),
            f"b{layer}": drawn(1, 6 * WIDTH),
            f"from{layer}": np.array([layer]),
            f"to{layer}": np.array([layer + 1]),
        }
    graph = f"""
        net (float[n, {STEPS}, {FEATURES}] x) => (float[{STEPS}, n, 3] y) {{
            sizes = Shape<start = 0, end = 1>(x)
            shape = Concat<axis = 0>(layers, sizes, width)
            states = Expand(nothing, shape)
            steps = Transpose<perm = [1, 0, 2]>(x)
            {"".join(nodes)}
            y = MatMul({value}, w_out)
        }}
    """
    weights |= {
        "w_out": drawn(WIDTH, 3),
        "layers": np.array([layers]),
        "width": np.array([WIDTH]),
        "nothing": np.zeros((), np.float32),
        "axis": np.array([0]),
        "one": np.array([1]),
    }
    return graph, weights


def test_units_leave_recurrent_layers_that_start_with_zeros_of_their_width(tmp_path: Path) -> None:
    found = imported(model(*recurrent(2)), tmp_path)

    pruned = halved(found, tmp_path)

    widths = [part.hidden_size for part in pruned.module.modules() if isinstance(part, nn.GRU)]
    assert widths == [WIDTH // 2] * 2
    assert "as wide as before" not in pruned.history[-1].summary


UNROLLED = f"""
    net (float[n, {STEPS}, {FEATURES}] x) => (float[n, 3] y) {{
        sizes = Shape<start = 0, end = 1>(x)
        shape = Concat<axis = 0>(sizes, width)
        held = Expand(nothing, shape)
        frame = ReduceMean<keepdims = 0>(x, one)
        read = MatMul(frame, w_in)
        kept = MatMul(held, w_held)
        sum = Add(read, kept)
        state = Tanh(sum)
        again = MatMul(state, w_held)
        last = Add(read, again)
        y = MatMul(last, w_out)
    }}
"""


def test_zeros_that_a_weight_reads_get_its_width(tmp_path: Path) -> None:
    weights = {
        "w_in": drawn(FEATURES, WIDTH),
        "w_held": drawn(WIDTH, WIDTH),
        "w_out": drawn(WIDTH, 3),
        "width": np.array([WIDTH]),
        "nothing": np.zeros(1, np.float32),
        "one": np.array([1]),
    }
    found = imported(model(UNROLLED, weights), tmp_path)

    pruned = halved(found, tmp_path)

    assert "as wide as before" not in pruned.history[-1].summary
    assert run(pruned, x=FRAMES)["y"].shape == (4, 3)


def test_sizes_that_changed_are_saved_with_the_model(tmp_path: Path) -> None:
    found = imported(model(*attention(4, fused=False)), tmp_path)
    file = tmp_path / "model.onnx"
    pruned = halved(found, tmp_path)
    source = OnnxSource(file, file_sha256(file), tmp_path, Example({}))

    loaded = load_model(save_model(pruned, source, tmp_path / "saved"))

    (before,), (after,) = (run(one, x=FRAMES).values() for one in (pruned, loaded))
    assert np.array_equal(before, after)


class _Parts(nn.Module):
    """Parts a tensor in ways that name arguments, or leave them out."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(FEATURES, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH // 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.narrow(torch.relu(self.wide(x)))
        first, second = torch.split(hidden, WIDTH // 2, dim=2)
        logits: Tensor = self.last(first + second) + self.last(hidden[:, :, : WIDTH // 2])
        return logits


def test_a_graph_that_is_traced_elsewhere_keeps_the_sizes_it_says(tmp_path: Path) -> None:
    samples = save_samples(tmp_path / "samples", {"x": FRAMES})
    traced = fx.symbolic_trace(_Parts())
    found = Model(traced, find_signature(traced, samples), ())

    pruned = halved(found, tmp_path / "halved")

    assert pruned.module.get_submodule("wide").get_parameter("weight").shape[0] == WIDTH // 2
    assert pruned.module.get_submodule("narrow").get_parameter("weight").shape[0] == WIDTH
