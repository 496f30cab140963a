"""The RBF SVM on the core's vectors: a machine a genre, each against the rest, over one set of support vectors.

scikit-learn's SVC decides between ten genres by 45 duels, and its scores are in essence counts of duels won: they rank
well and say next to nothing of how sure they are. Margins against the rest rank as well and can be calibrated.
"""

from typing import Any, Self

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.algebra import onnx_ops
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tonearm.types import Floats, Integers

C = 20.0
GAMMA_A_FEATURE = 0.5
"""γ is this over the number of features: after scaling, distances grow with that number."""


class OneVsRestSvm(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """RBF SVMs, one a class, whose support vectors are kept once, as one set."""

    def __init__(self, C: float, gamma: float) -> None:  # noqa: N803 (scikit-learn's name)
        self.C = C
        self.gamma = gamma

    def fit(self, X: Floats, y: Integers) -> Self:  # noqa: N803
        """Fits vectors of shape (n, n_features) and classes 0, 1, … of shape (n,)."""
        kernel = rbf_kernel(X, gamma=self.gamma)
        duals = np.zeros((len(X), int(y.max()) + 1))
        intercepts = np.zeros(duals.shape[1])
        for genre in range(duals.shape[1]):
            machine = SVC(C=self.C, kernel="precomputed").fit(kernel, y == genre)
            duals[machine.support_, genre] = machine.dual_coef_[0]
            intercepts[genre] = machine.intercept_[0]
        supporting = duals.any(axis=1)
        self.vectors_ = np.asarray(X[supporting])
        self.duals_, self.intercepts_ = duals[supporting], intercepts
        return self

    def decision_function(self, X: Floats) -> Floats:  # noqa: N803
        """Margins, shape (n, n_classes)."""
        return np.asarray(rbf_kernel(X, self.vectors_, gamma=self.gamma) @ self.duals_ + self.intercepts_)


def train_svm(vectors: Floats, truth: Integers) -> Pipeline:
    """Scales vectors of shape (n, n_features) and fits the machines."""
    machines = OneVsRestSvm(C=C, gamma=GAMMA_A_FEATURE / vectors.shape[1])
    return Pipeline([("scale", StandardScaler()), ("svm", machines)]).fit(vectors, truth)


def scores(machine: Pipeline, vectors: Floats) -> Floats:
    """Margins, shape (n, 10)."""
    return np.asarray(machine.decision_function(vectors), np.float32)


def _output_shape(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, operator.raw_operator.duals_.shape[1]])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """exp(-γ (|x|² + |v|² - 2 x·v)) times the duals, plus the intercepts."""
    fitted: OneVsRestSvm = operator.raw_operator
    version = container.target_opset
    x = operator.inputs[0]
    vectors = fitted.vectors_.astype(np.float32)
    lengths = np.square(fitted.vectors_).sum(axis=1).astype(np.float32)
    squares = onnx_ops.OnnxReduceSumSquare_18(x, np.array([1], np.int64), keepdims=1, op_version=version)
    products = onnx_ops.OnnxMatMul(x, np.float32(-2) * vectors.T, op_version=version)
    distances = onnx_ops.OnnxAdd(onnx_ops.OnnxAdd(products, lengths, op_version=version), squares, op_version=version)
    kernel = onnx_ops.OnnxExp(
        onnx_ops.OnnxMul(distances, np.array([-fitted.gamma], np.float32), op_version=version), op_version=version
    )
    margins = onnx_ops.OnnxAdd(
        onnx_ops.OnnxMatMul(kernel, fitted.duals_.astype(np.float32), op_version=version),
        fitted.intercepts_.astype(np.float32),
        op_version=version,
        output_names=operator.outputs,
    )
    margins.add_to(scope, container)


update_registered_converter(OneVsRestSvm, "TonearmOneVsRestSvm", _output_shape, _convert)
