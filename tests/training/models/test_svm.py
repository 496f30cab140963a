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
    copies, targets = vectors[:, None] + np.float32(0.1), np.eye(10, dtype=np.float32)[labels]
    machine = svm.train(vectors, copies, targets, np.ones(120), settings, found)
    exported = SvmModel(onnx_export.svm_to_onnx(machine, 40).SerializeToString())
    far = np.full((1, 40), 50, np.float32)
    margins, similarity = exported.scores_and_similarity(np.concatenate([vectors, far]))
    np.testing.assert_allclose(margins[:-1], svm.scores(machine, vectors), atol=1e-5)
    np.testing.assert_allclose(similarity[:-1], svm.similarity(machine, vectors), atol=1e-6)
    assert (margins[:-1].argmax(1) == labels).mean() > 0.95
    assert similarity[-1] < 1e-3 < similarity[:-1].min()


def test_a_doubtful_label_counts_less() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(40, 5)) + np.repeat([[-1], [1]], 20, axis=0)).astype(np.float32)
    targets = np.repeat(np.eye(2), 20, axis=0).astype(np.float32)
    targets[:5] = [0.0, 1.0]  # five wrong labels
    doubted = targets.copy()
    doubted[:5] = [0.45, 0.55]
    machines = [svm.OneVsRestSvm(1, 0.1).fit(vectors, each, np.ones(40)) for each in (targets, doubted)]
    wrong, better = (machine.decision_function(vectors[:5])[:, 0].mean() for machine in machines)
    assert better > wrong + 0.2
    light = svm.OneVsRestSvm(1, 0.1).fit(vectors, targets, np.where(np.arange(40) < 5, 0.05, 1))
    assert light.decision_function(vectors[:5])[:, 0].mean() > wrong + 0.2
