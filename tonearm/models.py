"""The ONNX models. Each gives ten scores a row.

The SVM also tells how similar the row is to what it learnt, and the AudioSet network whether it is music.
"""

import numpy as np
import onnxruntime

from tonearm.errors import ModelError
from tonearm.types import Floats

SVM_FILE = "svm.onnx"
VGG19_FILE = "vgg19.onnx"
AUDIOSET_FILE = "audioset.onnx"
FILTER_BANKS_FILE = "filter_banks.npz"


class OnnxModel:
    """An ONNX session with one input and an output ``scores``. Safe to call from many threads at once.

    VGG19 takes tiles, shape (n, 128, 128), float32, 0 to 255.

    Args:
        content: the model file's bytes.
        threads: how many threads one call may use; one is best where several calls run at a time.

    Raises:
        ModelError: if the runtime cannot load it.
    """

    def __init__(self, content: bytes, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own exceptions have no public base class
            raise ModelError(f"ONNX Runtime cannot load the model: {error}") from error
        self._input = self._session.get_inputs()[0].name

    def scores(self, rows: Floats) -> Floats:
        """Scores of shape (n, 10), float32, for n rows; larger means likelier, not yet calibrated."""
        scores: Floats = self._session.run(["scores"], {self._input: rows})[0]
        return scores


class SvmModel(OnnxModel):
    """The SVM. It takes vectors, shape (n, 1246), float32, and has a second output ``similarity``."""

    def scores_and_similarity(self, rows: Floats) -> tuple[Floats, Floats]:
        """One-against-rest decision values and similarities.

        Returns:
            Scores, shape (n, 10), and the kernel with the most similar support vector, shape (n,): 0 for nothing like
            it, 1 for the same. Both float32.
        """
        scores, similarity = self._session.run(None, {self._input: rows})
        return scores, similarity


class AudioSetModel(OnnxModel):
    """The AudioSet network. It takes crops, shape (n, 128, n_frames), float32, of a log mel spectrogram."""

    def scores(self, rows: Floats) -> Floats:
        """Scores of shape (n, 10), float32, as of the other models."""
        return self.scores_and_music(rows)[0]

    def scores_and_music(self, rows: Floats) -> tuple[Floats, Floats]:
        """Scores of the genres, and whether it is music.

        Returns:
            Scores, shape (n, 10), and the probability of music, shape (n,), 0 to 1. Both float32.
        """
        scores, logits = self._session.run(["genres", "music"], {self._input: rows})
        return scores, np.exp(-np.logaddexp(np.float32(0), -logits))
