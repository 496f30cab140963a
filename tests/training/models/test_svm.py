import numpy as np

from tonearm.models import SvmModel
from training import config
from training.export import onnx_export
from training.models import svm


def test_the_svm_is_exported_whole() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 12)
    vectors = (rng.normal(size=(120, 40)) + 6 * np.eye(10, 40)[labels]).astype(np.float32)
    settings = config.read().svm
    found = svm.search(vectors, labels, np.arange(120), settings, seed=0)
    assert found.accuracy > 0.9
    machine = svm.train(vectors, vectors[:, None] + np.float32(0.1), labels, settings, found)
    exported = SvmModel(onnx_export.svm_to_onnx(machine, 40).SerializeToString())
    far = np.full((1, 40), 50, np.float32)
    margins, similarity = exported.scores_and_similarity(np.concatenate([vectors, far]))
    np.testing.assert_allclose(margins[:-1], svm.scores(machine, vectors), atol=1e-5)
    np.testing.assert_allclose(similarity[:-1], svm.similarity(machine, vectors), atol=1e-6)
    assert (margins[:-1].argmax(1) == labels).mean() > 0.95
    assert similarity[-1] < 1e-3 < similarity[:-1].min()
