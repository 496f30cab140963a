"""The RBF SVM on the core's vectors."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tonearm.types import Floats, Integers

C = 20.0
GAMMA_A_FEATURE = 0.5
"""γ is this over the number of features: after scaling, distances grow with that number."""


def train_svm(vectors: Floats, truth: Integers) -> Pipeline:
    """Scales vectors of shape (n, n_features) and fits the SVM; its decision values are one against the rest."""
    n_features = vectors.shape[1]
    machine = SVC(C=C, gamma=GAMMA_A_FEATURE / n_features, decision_function_shape="ovr")
    return Pipeline([("scale", StandardScaler()), ("svc", machine)]).fit(vectors, truth)


def scores(machine: Pipeline, vectors: Floats) -> Floats:
    """Decision values, shape (n, 10)."""
    return np.asarray(machine.decision_function(vectors), np.float32)
