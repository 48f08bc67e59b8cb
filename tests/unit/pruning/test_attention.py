"""Feed-forward units and whole heads leave Transformers; what cannot leave is named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.pruned import NormOfFilters, pruned_alone, shrink, silence
from torch import Tensor, nn
from torch.nn import functional

from edgekit.core.tensors import IntArray
from edgekit.pruning.settings import PruneSettings

HALF = PruneSettings(50.0, criterion=NormOfFilters())


def words(rows: int = 4) -> IntArray:
    found: IntArray = np.random.default_rng(0).integers(0, 20, (rows, 7))
    return found


class Block(nn.Module):
    """Attention by hand, with packed or separate projections, and a feed-forward net."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.heads = kind, 4
        self.query, self.rest = nn.Linear(12, 20), nn.Linear(12, 40)
        self.packed = nn.Linear(12, 60)
        self.out = nn.Linear(20, 12)
        self.up, self.down = nn.Linear(12, 16), nn.Linear(16, 12)

    def forward(self, steps: Tensor) -> Tensor:
        if self.kind == "packed":
            split = self.packed(steps).unflatten(2, (3, self.heads, -1))
            query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        else:
            key, value = self.rest(steps).chunk(2, dim=-1)
            query, key, value = (
                part.unflatten(2, (self.heads, -1)).transpose(1, 2)
                for part in (self.query(steps), key, value)
            )
        if self.kind == "einsum":
            scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / 5**0.5
            found = torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), value)
        else:
            found = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        steps = steps + self.out(found.transpose(1, 2).flatten(2))
        read: Tensor = steps + self.down(functional.gelu(self.up(steps)))
        return read


class Words(nn.Module):
    """Words and their places, a block, and logits."""

    def __init__(self, block: nn.Module, width: int = 12) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.places = nn.Parameter(torch.randn(7, width))
        self.block, self.head = block, nn.Linear(width, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.block(self.embed(tokens) + self.places).mean(1))
        return logits


@pytest.mark.parametrize("kind", ["packed", "separate", "einsum"])
def test_heads_and_features_that_nothing_reads_leave_without_a_trace(
    kind: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    block = Block(kind)
    module = Words(block).eval()
    heads, features = torch.tensor([1, 2]), torch.tensor([0, 1, 5, 7, 8, 9, 12, 15])
    places = (heads[:, None] * 5 + torch.arange(5)).ravel()
    shrink(block.packed.weight, places, 3)
    shrink(block.query.weight, places)
    shrink(block.rest.weight, places, 2)
    silence(block.out.weight, places)
    shrink(block.up.weight, features)
    silence(block.down.weight, features)
    settings = PruneSettings(50.0, criterion=NormOfFilters(), keep=("embed",))

    after = pruned_alone(module, tmp_path, settings, tokens=words()).module

    assert isinstance(after, Words)
    kept = after.block
    assert isinstance(kept, Block)
    assert (kept.heads, kept.out.in_features, kept.up.out_features) == (2, 10, 8)
    assert kept.packed.out_features == (30 if kind == "packed" else 60)
    tokens = torch.from_numpy(words(3))
    # The same products in another order of summation.
    torch.testing.assert_close(after(tokens), module(tokens), rtol=1e-4, atol=1e-6)


def test_the_width_of_what_is_added_up_leaves_together(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Words(Block("separate")).eval()

    after = pruned_alone(module, tmp_path, HALF, tokens=words()).module

    assert isinstance(after, Words)
    assert (after.embed.embedding_dim, after.places.shape[1], after.head.in_features) == (6, 6, 6)


LAYERS = {
    "encoder": nn.TransformerEncoderLayer(12, 2, 16, batch_first=True),
    "first": nn.TransformerEncoderLayer(12, 2, 16, batch_first=True, norm_first=True),
}


@pytest.mark.parametrize("layer", list(LAYERS))
def test_the_layers_of_pytorch_lose_feed_forward_units_and_say_what_stays(
    layer: str, tmp_path: Path
) -> None:
    model = pruned_alone(Words(LAYERS[layer]), tmp_path, HALF, tokens=words())

    summary = model.history[-1].summary
    assert "block.linear1 16 → 8" in summary
    assert "as wide as before, since the model would not run otherwise: block.self_attn" in summary
    assert model.module(torch.from_numpy(words(3))).shape == (3, 3)


def test_an_encoder_and_a_decoder_lose_feed_forward_units(tmp_path: Path) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(20, 8)
            self.net = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
            self.head = nn.Linear(8, 20)

        def forward(self, source: Tensor, target: Tensor) -> Tensor:
            mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
            read = self.net(
                self.embed(source), self.embed(target), tgt_mask=mask, tgt_is_causal=True
            )
            logits: Tensor = self.head(read)
            return logits

    model = pruned_alone(Both(), tmp_path, HALF, source=words(), target=words()[:, :5])

    summary = model.history[-1].summary
    assert "net.encoder.layers.0.linear1 16 → 8" in summary
    assert "net.decoder.layers.0.linear1 16 → 8" in summary


def test_the_steps_of_one_head_lose_places_of_queries_and_keys_alike(tmp_path: Path) -> None:
    class OneHead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(6, 8) for _ in range(3))
            self.head = nn.Linear(8, 3)

        def forward(self, features: Tensor) -> Tensor:
            shares = (self.query(features) @ self.key(features).transpose(1, 2)).softmax(-1)
            logits: Tensor = self.head((shares @ self.value(features)).mean(1))
            return logits

    features = np.random.default_rng(0).standard_normal((4, 5, 6), dtype=np.float32)

    after = pruned_alone(OneHead(), tmp_path, HALF, features=features).module

    assert isinstance(after, OneHead)
    assert {len(part.weight) for part in (after.query, after.key, after.value)} == {4}


def test_scores_scaled_by_a_width_that_would_change_keep_it(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(6, 8) for _ in range(3))
            self.head = nn.Linear(8, 3)

        def forward(self, features: Tensor) -> Tensor:
            query = self.query(features)
            scores = query @ self.key(features).transpose(1, 2) / query.shape[-1]
            logits: Tensor = self.head((scores.softmax(-1) @ self.value(features)).mean(1))
            return logits

    features = np.random.default_rng(0).standard_normal((4, 5, 6), dtype=np.float32)

    model = pruned_alone(Scaled(), tmp_path, HALF, features=10 * features)

    after = model.module
    assert isinstance(after, Scaled)
    assert [len(part.weight) for part in (after.query, after.value)] == [8, 4]
    assert "would not run otherwise: query" in model.history[-1].summary
