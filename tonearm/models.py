"""The two ONNX models, each a function from arrays to ten scores a row."""

import onnxruntime

from tonearm.errors import ModelError
from tonearm.manifest import Manifest
from tonearm.types import Floats

SVM_FILE = "svm.onnx"
VGG19_FILE = "vgg19.onnx"


class OnnxModel:
    """An ONNX session of one input and one output ``scores``. Safe to call from many threads at once.

    Args:
        content: the model file's bytes.
        threads: how many threads one call may use; the service handles clips side by side, so one is best there.

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
        except Exception as error:  # the runtime's own exceptions share no public root
            raise ModelError(f"ONNX Runtime cannot load the model: {error}") from error
        self._input = self._session.get_inputs()[0].name

    def scores(self, rows: Floats) -> Floats:
        """Scores of shape (n, 10) for n rows; larger means likelier, not yet calibrated."""
        scores: Floats = self._session.run(["scores"], {self._input: rows})[0]
        return scores


def load_svm(manifest: Manifest) -> OnnxModel:
    """The SVM: vectors (n, 852) to one-against-rest decision values (n, 10)."""
    return OnnxModel(manifest.read(SVM_FILE))


def load_vgg19(manifest: Manifest, *, threads: int = 1) -> OnnxModel:
    """VGG19: tiles (n, 128, 128), 0 to 255, to logits (n, 10)."""
    return OnnxModel(manifest.read(VGG19_FILE), threads=threads)
