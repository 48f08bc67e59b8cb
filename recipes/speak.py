"""Scores nets that speak: how many words they say right when they hear only themselves.

Labels judge each sound after the right ones before it. Here a net goes on from its own sounds,
the likeliest one each time (greedy decoding), and a word counts when all of it is right.
"""

import numpy as np
from spoken_data import PAUSE

from edgekit.core.samples import Samples
from edgekit.verification.scoring import Infer, Score

WORDS = 1000
"""How many words are spoken, from the start of the test."""


def words_right(model: Infer, samples: Samples) -> Score:
    """Return the share of words that are right up to their end."""
    letters, wanted = samples.inputs(0, WORDS)["letters"], samples.labels(0, WORDS)
    heard = spoken(model, letters, wanted.shape[1])
    # Behind the end of a word a label is below zero, and whatever is said there does not count.
    right = ((heard == wanted) | (wanted < 0)).all(axis=1)
    return Score(100 * float(right.mean()), "pp")


def spoken(model: Infer, letters: np.ndarray, steps: int) -> np.ndarray:
    """Return the sounds `[rows, steps]` that a model speaks for letters `[rows, others]`."""
    so_far = np.full((len(letters), steps + 1), PAUSE, dtype=np.int64)
    for step in range(steps):
        (logits,) = model({"letters": letters, "spoken": so_far[:, :-1]}).values()
        so_far[:, step + 1] = logits[:, step].argmax(axis=-1)
    return so_far[:, 1:]
