"""The RBF SVM on the core's vectors: a machine a genre, each against the rest, over one set of support vectors.

scikit-learn's SVC decides between ten genres by 45 duels, and its scores are in essence counts of duels won: they rank
well and say next to nothing of how sure they are. Margins against the rest rank as well and can be calibrated.

Beside the margins it says how *familiar* a vector is: its kernel with the support vector most like it, 1 for one that
it has learnt. Noise and speech are far from all music, however sure a margin there may look.
"""

import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from skl2onnx import update_registered_converter
from skl2onnx.algebra import onnx_ops
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tonearm.types import Floats, Integers
from training.config import SvmConfig


@dataclass(frozen=True, slots=True)
class Searched:
    """What the search over inner folds chose, and how many of their tracks it named right."""

    C: float
    gamma_a_feature: float
    accuracy: float


class OneVsRestSvm(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """RBF SVMs, one a class, whose support vectors are kept once, as one set, in float32 as they are served."""

    def __init__(self, C: float, gamma: float) -> None:  # noqa: N803 (scikit-learn's name)
        self.C = C
        self.gamma = gamma

    def fit(self, X: Floats, y: Integers) -> Self:  # noqa: N803
        """Fits vectors of shape (n, n_features) and classes 0, 1, … of shape (n,)."""
        X = np.asarray(X, np.float32)  # noqa: N806
        duals, self.intercepts_ = _machines(rbf_kernel(X.astype(np.float64), gamma=self.gamma), y, self.C)
        supporting = duals.any(axis=1)
        self.vectors_, self.duals_ = X[supporting], duals[supporting]
        return self

    def decision_function(self, X: Floats) -> Floats:  # noqa: N803
        """Margins, shape (n, n_classes)."""
        return np.asarray(self._kernel(X) @ self.duals_ + self.intercepts_)

    def similarity(self, X: Floats) -> Floats:  # noqa: N803
        """The kernel with the most similar support vector, shape (n,)."""
        return np.asarray(self._kernel(X).max(axis=1))

    def _kernel(self, X: Floats) -> Floats:  # noqa: N803
        return np.asarray(rbf_kernel(X, self.vectors_.astype(np.float64), gamma=self.gamma))


def train_svm(vectors: Floats, copies: Floats, truth: Integers, config: SvmConfig, found: Searched) -> Pipeline:
    """Scales, projects and fits.

    Args:
        vectors: shape (n, n_features), of the tracks as they are: scale and projection are learnt from these.
        copies: shape (n, n_copies, n_features), of changed copies of the same tracks.
        truth: shape (n,), indices of genres.
        config: the settings.
        found: C and γ.
    """
    project = Pipeline(_projection(vectors, config)).fit(vectors)
    everything = np.concatenate([vectors, copies.reshape(-1, vectors.shape[1])])
    genres = np.concatenate([truth, np.repeat(truth, copies.shape[1])])
    machines = OneVsRestSvm(found.C, found.gamma_a_feature / vectors.shape[1])
    machines.fit(project.transform(everything), genres)
    return Pipeline([*project.steps, ("svm", machines)])


def search(vectors: Floats, truth: Integers, groups: Integers, config: SvmConfig, seed: int) -> Searched:
    """C and γ that name most tracks right over inner folds that part no artist; copies are left out for speed.

    Args:
        vectors: shape (n, n_features), of training tracks only.
        truth: shape (n,), indices of genres.
        groups: shape (n,), tracks of one group stay together.
        config: the settings, with the grids.
        seed: of the inner folds.
    """
    right = dict.fromkeys(itertools.product(config.C, config.gamma_a_feature), 0)
    inner = StratifiedGroupKFold(config.inner_folds, shuffle=True, random_state=seed)
    for train, test in inner.split(vectors, truth, groups):
        project = Pipeline(_projection(vectors[train], config)).fit(vectors[train])
        known, asked = project.transform(vectors[train]), project.transform(vectors[test])
        for gamma in config.gamma_a_feature:
            learnt = rbf_kernel(known, gamma=gamma / vectors.shape[1])
            between = rbf_kernel(asked, known, gamma=gamma / vectors.shape[1])
            for C in config.C:  # noqa: N806
                duals, intercepts = _machines(learnt, truth[train], C)
                margins = between @ duals + intercepts
                right[C, gamma] += int((margins.argmax(axis=1) == truth[test]).sum())
    C, gamma = max(right, key=lambda pair: right[pair])  # noqa: N806
    return Searched(C, gamma, round(right[C, gamma] / len(truth), 4))


def _machines(kernel: Floats, y: Integers, C: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # noqa: N803
    """A machine a class: duals (n, n_classes), 0 for what supports none, and intercepts (n_classes,).

    A class that an inner fold lacks, in a small collection, is everywhere outside: margin -1.
    """
    duals = np.zeros((len(kernel), int(y.max()) + 1))
    intercepts = np.full(duals.shape[1], -1.0)
    for genre in np.unique(y):
        machine = SVC(C=C, kernel="precomputed").fit(kernel, y == genre)
        duals[machine.support_, genre] = machine.dual_coef_[0]
        intercepts[genre] = machine.intercept_[0]
    return duals, intercepts


def _projection(vectors: Floats, config: SvmConfig) -> list[tuple[str, Any]]:
    # The projection only makes the file small: distances, which are all that the kernel sees, hardly change.
    components = min(config.components, *vectors.shape)
    return [("scale", StandardScaler()), ("project", PCA(components, random_state=0))]


def scores(machine: Pipeline, vectors: Floats) -> Floats:
    """Margins, shape (n, 10)."""
    return np.asarray(machine.decision_function(vectors), np.float32)


def similarity(machine: Pipeline, vectors: Floats) -> Floats:
    """The kernel with the most similar support vector, shape (n,), of vectors (n, n_features)."""
    return np.asarray(machine[-1].similarity(machine[:-1].transform(vectors)), np.float32)


def _parse(scope: Any, model: OneVsRestSvm, inputs: list[Any], custom_parsers: Any = None) -> Any:  # noqa: ARG001
    operator = scope.declare_local_operator("TonearmOneVsRestSvm", model)
    operator.inputs = inputs
    for name in ("margins", "similarity"):
        operator.outputs.append(scope.declare_local_variable(name, FloatTensorType()))
    return operator.outputs


def _output_shapes(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, operator.raw_operator.duals_.shape[1]])
    operator.outputs[1].type = FloatTensorType([None])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """exp(-γ (|x|² + |v|² - 2 x·v)) times the duals, plus the intercepts; and its maximum.

    In double: thousands of duals of either sign cancel, and float32 would lose a part in ten thousand of the margins.
    """
    fitted: OneVsRestSvm = operator.raw_operator
    opset = {"op_version": container.target_opset}
    double, single = 11, 1
    x = onnx_ops.OnnxCast(operator.inputs[0], to=double, **opset)
    vectors = onnx_ops.OnnxCast(np.ascontiguousarray(fitted.vectors_.T), to=double, **opset)
    lengths = np.square(fitted.vectors_.astype(np.float64)).sum(axis=1)
    squares = onnx_ops.OnnxReduceSumSquare_18(x, np.array([1], np.int64), keepdims=1, **opset)
    products = onnx_ops.OnnxMul(onnx_ops.OnnxMatMul(x, vectors, **opset), np.array([-2.0]), **opset)
    distances = onnx_ops.OnnxAdd(onnx_ops.OnnxAdd(products, lengths, **opset), squares, **opset)
    kernel = onnx_ops.OnnxExp(onnx_ops.OnnxMul(distances, np.array([-fitted.gamma]), **opset), **opset)
    margins = onnx_ops.OnnxCast(
        onnx_ops.OnnxAdd(onnx_ops.OnnxMatMul(kernel, fitted.duals_, **opset), fitted.intercepts_, **opset),
        to=single,
        output_names=operator.outputs[:1],
        **opset,
    )
    most = onnx_ops.OnnxReduceMax_18(kernel, np.array([1], np.int64), keepdims=0, **opset)
    nearest = onnx_ops.OnnxCast(most, to=single, output_names=operator.outputs[1:], **opset)
    for output in (margins, nearest):
        output.add_to(scope, container)


update_registered_converter(OneVsRestSvm, "TonearmOneVsRestSvm", _output_shapes, _convert, parser=_parse)
