import numpy as np

from training.evaluation import robustness


def test_figures_of_corruptions() -> None:
    labels = np.array([0, 1, 2, 3])
    sure, unsure = 0.95 * np.eye(10) + 0.005, 0.5 * np.eye(10) + 0.05
    answers = {
        robustness.UNCHANGED: {"svm": sure[[0, 1, 2, 4]], "ensemble": sure[[0, 1, 2, 4]]},
        "noise": {"svm": sure[labels], "ensemble": np.array([sure[0], sure[9], unsure[9], sure[3]])},
    }
    found = robustness.damages(answers, labels, uncertain_below=0.8)
    assert found[robustness.UNCHANGED] == {
        "same_answer": 1,
        "right": {"svm": 0.75, "ensemble": 0.75},
        "wrongly_certain": 0.25,
    }
    assert found["noise"] == {"same_answer": 0.25, "right": {"svm": 1, "ensemble": 0.5}, "wrongly_certain": 0.25}
    assert "wrongly_certain" not in robustness.damages(answers, labels)["noise"]
