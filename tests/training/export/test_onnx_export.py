import numpy as np
import pytest

from training.export import onnx_export


def test_an_export_that_differs_is_refused() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 10)).astype(np.float32)
    assert onnx_export.check_same("SVM", scores, scores) == 0
    with pytest.raises(RuntimeError, match="exported SVM differs"):
        onnx_export.check_same("SVM", scores + np.eye(5, 10, dtype=np.float32), scores)
