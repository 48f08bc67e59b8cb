"""Recurrent nets: those that tell what a sequence is, and one that goes on with another."""

from collections.abc import Callable

import torch
from attention_nets import EncoderLayer, masked_mean, unseen
from torch import Tensor, nn

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class SequenceClassifier(nn.Module):
    """A recurrent net, what reads its steps together, the mean over the steps, and logits."""

    def __init__(self, recurrent: nn.RNNBase, layers: list[EncoderLayer], classes: int) -> None:
        """Take a recurrent net and layers that take what it gives; there may be none."""
        super().__init__()
        self.recurrent = recurrent
        self.layers = nn.ModuleList(layers)
        self.head = nn.Linear(recurrent.hidden_size * (1 + recurrent.bidirectional), classes)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Return class logits `[rows, classes]`.

        `frames` are `[rows, steps, features]`; `mask` `[rows, steps]` is 0 where there is none.
        """
        steps, _ = self.recurrent(frames)
        for layer in self.layers:
            steps = layer(steps, mask)
        logits: Tensor = self.head(masked_mean(steps, mask))
        return logits


class Transcriber(nn.Module):
    """A net that reads a sequence both ways, and one that says what comes next in another.

    Source:
        Luong, Pham and Manning, "Effective approaches to attention-based neural machine
        translation" (2015): attention looks from what the second net holds after each step.
    """

    def __init__(self, letters: int, sounds: int, embedded: int, width: int) -> None:
        """Take how many letters and sounds there are, and the even width of what nets hold."""
        super().__init__()
        self.letter = nn.Embedding(letters, embedded)
        self.sound = nn.Embedding(sounds, embedded)
        self.encoder = nn.GRU(embedded, width // 2, batch_first=True, bidirectional=True)
        self.decoder = nn.GRU(embedded, width, batch_first=True)
        self.start = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.joined = nn.Linear(2 * width, width)
        self.head = nn.Linear(width, sounds)

    def forward(self, letters: Tensor, spoken: Tensor) -> Tensor:
        """Return logits `[rows, steps, sounds]` of the sound after each of `spoken`.

        `letters` `[rows, others]` is 0 where a word has ended; `spoken` is `[rows, steps]`.
        """
        mask = (letters > 0).float()
        read, _ = self.encoder(self.letter(letters))
        held = torch.tanh(self.start(masked_mean(read, mask)))
        steps, _ = self.decoder(self.sound(spoken), held.unsqueeze(0))
        scores = self.query(steps) @ read.transpose(1, 2) + unseen(mask)[:, 0]
        found = torch.softmax(scores, dim=-1) @ read
        logits: Tensor = self.head(torch.tanh(self.joined(torch.cat([steps, found], dim=2))))
        return logits


def classifier(
    *, cell: str, features: int, width: int, layers: int, bidirectional: bool, classes: int
) -> nn.Module:
    """Return a stack of `rnn`, `lstm` or `gru` layers; both directions read if asked for."""
    recurrent = CELLS[cell](features, width, layers, batch_first=True, bidirectional=bidirectional)
    return SequenceClassifier(recurrent, [], classes)


def with_attention(
    *, cell: str, features: int, width: int, heads: int, layers: int, classes: int
) -> nn.Module:
    """Return one recurrent layer, followed by the layers of a Transformer encoder."""
    recurrent = CELLS[cell](features, width, batch_first=True)
    encoder = [EncoderLayer(width, heads) for _ in range(layers)]
    return SequenceClassifier(recurrent, encoder, classes)


def transcriber(*, letters: int, sounds: int, embedded: int, width: int) -> nn.Module:
    """Return two GRUs with attention between them."""
    return Transcriber(letters, sounds, embedded, width)
