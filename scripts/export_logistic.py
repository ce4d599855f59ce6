#!/usr/bin/env python3
"""What scikit-learn's LogisticRegression finds on small problems, for the tests of `vpt-train/src/logistic.rs`.

    python3 -m venv venv && venv/bin/pip install scikit-learn
    venv/bin/python scripts/export_logistic.py > vpt-train/tests/fixtures/logistic.json

Each problem: features [N, D], targets [N, C], the strength of the penalty on the mean loss, weights [C, D] and biases [C] of the
solution, and the mean loss there without the penalty. Targets that are shares of classes are rows of weight for scikit-learn.
"""

import json
import sys

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression

IMAGES, DIM, CLASSES = 48, 5, 4


def solve(features, labels, weights, l2, images):
    model = LogisticRegression(C=1 / (l2 * images), tol=1e-12, max_iter=100000)
    model.fit(features, labels, sample_weight=weights)
    return model.coef_, model.intercept_


def several_classes(features, targets, l2):
    """Every image once for each class, weighing its share."""
    rows, labels = np.repeat(features, CLASSES, axis=0), np.tile(np.arange(CLASSES), len(features))
    weights, bias = solve(rows, labels, targets.ravel(), l2, len(features))
    logits = features @ weights.T + bias
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return weights, bias, -(targets * log_p).sum() / len(features)


def several_questions(features, targets, l2, positive):
    solutions = [solve(features, targets[:, c].astype(int), np.where(targets[:, c] > 0, positive[c], 1.0), l2, len(features)) for c in range(CLASSES)]
    weights, bias = np.concatenate([s[0] for s in solutions]), np.concatenate([s[1] for s in solutions])
    logits = features @ weights.T + bias
    loss = positive * targets * np.logaddexp(0, -logits) + (1 - targets) * np.logaddexp(0, logits)
    return weights, bias, loss.sum() / len(features)


def main():
    rng = np.random.default_rng(0)
    labels = rng.choice(CLASSES, IMAGES, p=[0.5, 0.2, 0.2, 0.1])
    features = np.round(rng.normal(size=(IMAGES, DIM)) + 1.5 * rng.normal(size=(CLASSES, DIM))[labels], 3)
    hard = np.eye(CLASSES)[labels]
    balanced = IMAGES / (CLASSES * np.bincount(labels, minlength=CLASSES))
    soft = np.round(balanced[labels, None] * (0.8 * hard + 0.05), 3)
    many = (rng.random((IMAGES, CLASSES)) < 1 / (1 + np.exp(-features[:, :CLASSES]))).astype(float)
    positive = np.array([1.0, 2.0, 0.5, 3.0])
    problems = {"hard": (hard, 1e-2, None), "weak": (hard, 1e-4, None), "soft_and_weighted": (soft, 1e-2, None), "many": (many, 1e-2, positive)}
    found = {}
    for name, (targets, l2, positive) in problems.items():
        solution = several_classes(features, targets, l2) if positive is None else several_questions(features, targets, l2, positive)
        found[name] = {"targets": targets.ravel().tolist(), "l2": l2, "positive_weights": None if positive is None else positive.tolist(),
                       "weights": solution[0].ravel().tolist(), "bias": solution[1].tolist(), "loss": solution[2]}
    json.dump({"scikit_learn": sklearn.__version__, "images": IMAGES, "dim": DIM, "classes": CLASSES, "features": features.ravel().tolist(),
               "problems": found}, sys.stdout)


if __name__ == "__main__":
    main()
