"""The two ONNX models: each gives ten scores a row, and the SVM says how familiar the row is."""

import onnxruntime

from tonearm.errors import ModelError
from tonearm.features.filter_banks import FilterBanks
from tonearm.manifest import Manifest
from tonearm.types import Floats

SVM_FILE = "svm.onnx"
VGG19_FILE = "vgg19.onnx"
FILTER_BANKS_FILE = "filter_banks.npz"


class OnnxModel:
    """An ONNX session of one input, with an output ``scores``. Safe to call from many threads at once.

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


class SvmModel(OnnxModel):
    """The SVM: vectors (n, 1246) to one-against-rest decision values (n, 10), with a second output ``similarity``."""

    def judge(self, rows: Floats) -> tuple[Floats, Floats]:
        """Scores (n, 10), and the kernel (n,) with the support vector most like each row: 0 unheard of, 1 learnt."""
        scores, similarity = self._session.run(None, {self._input: rows})
        return scores, similarity


def load_svm(manifest: Manifest) -> SvmModel:
    """The version's SVM."""
    return SvmModel(manifest.read(SVM_FILE))


def load_vgg19(manifest: Manifest, *, threads: int = 1) -> OnnxModel:
    """The version's VGG19: tiles (n, 128, 128), 0 to 255, to logits (n, 10)."""
    return OnnxModel(manifest.read(VGG19_FILE), threads=threads)


def load_filter_banks(manifest: Manifest) -> FilterBanks:
    """The version's filter banks."""
    return FilterBanks.from_bytes(manifest.read(FILTER_BANKS_FILE))
