"""Vectors of texts by how often each letter is in them."""

import numpy as np

from swarm.plugins import NeuralPlugin

LETTERS_MAX = 26


class Letters:
    name = "letters-26"
    size = LETTERS_MAX

    def states(self, texts):
        return [np.eye(LETTERS_MAX, dtype=np.float32)[self._letters(text)] for text in texts]

    def vectors(self, texts):
        found = np.array(
            [state.sum(0) if len(state) else np.ones(LETTERS_MAX) for state in self.states(texts)]
        )
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    def _letters(self, text):
        return [ord(char) - 97 for char in text.lower() if "a" <= char <= "z"]


LETTERS = NeuralPlugin("letters", "0.3", (1, 0), ("vectors", "states"), Letters)
