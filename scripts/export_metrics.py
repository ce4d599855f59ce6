#!/usr/bin/env python3
"""Expected values for vpt-eval's metrics and statistics, as scikit-learn, SciPy and statsmodels compute them.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 statsmodels==0.15.0 safetensors==0.8.0
    venv/bin/python scripts/export_metrics.py vpt-eval/tests/fixtures

Reads the predictions in `metrics_inputs.safetensors` of that folder and writes `statistics_expected.json` beside it. What no
library has (DeLong, net benefit, AURC, equal-mass bins) is written here from its definition, by another way than in Rust:
DeLong by all pairs instead of midranks, the curves by sorted arrays instead of a walk over ties.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import optimize, special, stats
from safetensors.numpy import load_file
from sklearn import metrics
from statsmodels.stats.proportion import proportion_confint

BINARY = ["bin_imbalanced", "bin_ties", "bin_anticorrelated"]
MULTICLASS = ["mc7", "mc10_ties", "mc6_absent_and_never_predicted", "mc3_small"]
TARGETS = [0.5, 0.8, 0.9, 0.95, 1.0]


def finite(value):
    """JSON has no infinity and no NaN."""
    return None if value is None or not np.isfinite(value) else float(value)


def operating_points(scores, labels):
    fpr, tpr, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    specificity = 1 - fpr
    at_sensitivity = [int(np.argmax(tpr >= target - 1e-12)) for target in TARGETS]
    at_specificity = [int(np.flatnonzero(specificity >= target - 1e-12)[-1]) for target in TARGETS]
    best = int(np.argmax(np.round(tpr - fpr, 12)))
    return {
        "targets": TARGETS,
        "threshold_at_sensitivity": [finite(thresholds[i]) for i in at_sensitivity],
        "specificity_at_sensitivity": [specificity[i] for i in at_sensitivity],
        "threshold_at_specificity": [finite(thresholds[i]) for i in at_specificity],
        "sensitivity_at_specificity": [tpr[i] for i in at_specificity],
        "youden_threshold": finite(thresholds[best]),
        "youden_j": tpr[best] - fpr[best],
    }


def at_threshold(scores, labels, threshold):
    predicted = (scores >= threshold).astype(int)
    tn, fp, fn, tp = (int(x) for x in metrics.confusion_matrix(labels, predicted).ravel())
    ratios = metrics.class_likelihood_ratios(labels, predicted)
    shares = {
        "accuracy": (tp + tn, tp + tn + fp + fn),
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
    }
    return {
        "threshold": threshold,
        "f1": metrics.f1_score(labels, predicted),
        "lr_positive": finite(ratios[0]),
        "lr_negative": finite(ratios[1]),
        "shares": {
            name: {
                "value": hits / items,
                "wilson_95": proportion_confint(hits, items, 0.05, method="wilson"),
                "wilson_99": proportion_confint(hits, items, 0.01, method="wilson"),
            }
            for name, (hits, items) in shares.items()
        },
        # Bayes' theorem from the odds: prior odds × likelihood ratio.
        "prevalence": 0.02,
        "ppv_at_prevalence": (lambda odds: odds / (1 + odds))(0.02 / 0.98 * ratios[0]),
        "npv_at_prevalence": (lambda odds: 1 / (1 + odds))(0.02 / 0.98 * ratios[1]),
    }


def decision_curve(scores, labels, thresholds):
    n, benefit, treat_all = len(labels), [], []
    for p in thresholds:
        treated = scores >= p
        tp, fp = np.sum(treated & (labels == 1)), np.sum(treated & (labels == 0))
        benefit.append(tp / n - fp / n * p / (1 - p))
        treat_all.append(labels.mean() - (1 - labels.mean()) * p / (1 - p))
    return {"thresholds": thresholds, "model": benefit, "treat_all": treat_all}


def delong_components(scores, labels):
    positive, negative = scores[labels == 1], scores[labels == 0]
    pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return pairs.mean(1), pairs.mean(0)


def delong(columns, labels):
    """AUROCs and their covariance matrix by all pairs (DeLong et al. 1988)."""
    v10, v01 = zip(*(delong_components(scores, labels) for scores in columns))
    covariance = np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])
    return np.mean(v10, axis=1), np.atleast_2d(covariance)


def single_delong(scores, labels):
    (auroc,), ((variance,),) = delong([scores], labels)
    assert abs(auroc - metrics.roc_auc_score(labels, scores)) < 1e-12
    half = stats.norm.ppf(0.975) * np.sqrt(variance)
    logit, scaled = special.logit(auroc), half / (auroc * (1 - auroc))
    return {
        "auroc": auroc,
        "variance": variance,
        "interval": [max(auroc - half, 0), min(auroc + half, 1)],
        "logit_interval": [special.expit(logit - scaled), special.expit(logit + scaled)],
    }


def paired_delong(a, b, labels):
    aurocs, covariance = delong([a, b], labels)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    difference = aurocs[0] - aurocs[1]
    z = difference / np.sqrt(variance)
    half = stats.norm.ppf(0.975) * np.sqrt(variance)
    return {
        "difference": difference,
        "covariance": covariance[0, 1],
        "z": z,
        "p_value": 2 * stats.norm.sf(abs(z)),
        "interval": [difference - half, difference + half],
    }


def other_scores(scores):
    """A second model's scores: mixed with a fixed wave, some of them tied."""
    return np.round(0.6 * scores + 0.4 * (0.5 + 0.5 * np.sin(np.arange(len(scores)) * 12.9898)), 2)


def expected_risk(confidence, correct):
    """Risk on the k surest images, for each k; errors of equal confidence are spread evenly among them."""
    order = np.argsort(-confidence, kind="stable")
    wrong = 1.0 - correct[order]
    for value in np.unique(confidence):
        tie = confidence[order] == value
        wrong[tie] = wrong[tie].mean()
    return np.cumsum(wrong) / np.arange(1, len(wrong) + 1)


def equal_mass_ece(confidence, correct, bins=15):
    """Each image split into `bins` parts, so that every bin holds the same number of parts."""
    order = np.argsort(-confidence, kind="stable")
    confidence, correct = confidence[order], correct[order].astype(float)
    for value in np.unique(confidence):
        tie = confidence == value
        correct[tie] = correct[tie].mean()
    gaps = np.repeat(correct - confidence, bins).reshape(bins, -1)
    return np.abs(gaps.sum(1)).sum() / gaps.size


def reliability(probs, happened, bins=10):
    index = np.clip(np.ceil(probs * bins).astype(int), 1, bins) - 1
    inside = [index == b for b in range(bins)]
    return {
        "items": [int(mask.sum()) for mask in inside],
        "hits": [int(happened[mask].sum()) for mask in inside],
        "mean_probability": [finite(probs[mask].mean()) if mask.any() else None for mask in inside],
    }


def temperature(logits, labels):
    def loss(log_t):
        scaled = logits.astype(np.float64) / np.exp(log_t)
        return np.sum(special.logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels])

    found = optimize.minimize_scalar(loss, bounds=(np.log(0.01), np.log(100)), method="bounded", options={"xatol": 1e-12})
    return {"temperature": np.exp(found.x), "loss": loss(found.x) / len(labels)}


def multiclass(logits, probs, labels):
    predicted = logits.argmax(1)
    confidence, correct = probs[np.arange(len(labels)), predicted], predicted == labels
    one_hot = np.eye(probs.shape[1])[labels]
    return {
        "micro_auroc": metrics.roc_auc_score(one_hot.ravel(), probs.ravel()),
        "micro_auprc": metrics.average_precision_score(one_hot, probs, average="micro"),
        "aurc": expected_risk(confidence, correct).mean(),
        "adaptive_ece": equal_mass_ece(confidence, correct),
        "reliability": reliability(confidence, correct),
        **temperature(logits, labels),
    }


def multi_label():
    """Images of any number of classes; the last class is in none, and logits are rounded so that some are tied."""
    rng = np.random.default_rng(20264702)
    truth = rng.random((60, 5)) < np.array([0.5, 0.3, 0.15, 0.4, 0.0])
    logits = np.round(rng.normal(size=truth.shape) * 1.5 + np.where(truth, 1, -1), 1).astype(np.float32)
    probs = special.expit(logits.astype(np.float64))
    found = probs >= 0.5
    known = truth.any(0)
    sides = np.stack([np.zeros(logits.size), logits.ravel()], axis=1)
    confidence = np.where(found, probs, 1 - probs).ravel()
    correct = (found == truth).ravel()
    bins = np.clip(np.ceil(confidence * 15).astype(int), 1, 15) - 1
    gaps = [(correct[bins == b] - confidence[bins == b]).sum() for b in range(15)]
    each = lambda score: [score(truth[:, c], probs[:, c]) if known[c] else None for c in range(truth.shape[1])]
    return {
        "logits": [[round(float(x), 1) for x in row] for row in logits],
        "labels": [np.flatnonzero(row).tolist() for row in truth],
        "metrics": {
            "exact_match": metrics.accuracy_score(truth, found),
            "hamming_loss": metrics.hamming_loss(truth, found),
            "micro_f1": metrics.f1_score(truth, found, average="micro"),
            # The last class is predicted, so it counts with an F1 of 0.
            "macro_f1": metrics.f1_score(truth, found, average="macro", zero_division=0),
            "auroc": metrics.roc_auc_score(truth[:, known], probs[:, known], average="macro"),
            "auprc": metrics.average_precision_score(truth[:, known], probs[:, known], average="macro"),
            "micro_auroc": metrics.roc_auc_score(truth, probs, average="micro"),
            "micro_auprc": metrics.average_precision_score(truth, probs, average="micro"),
            "log_loss": metrics.log_loss(truth.ravel(), probs.ravel()),
            "brier": metrics.brier_score_loss(truth.ravel(), probs.ravel()),
            "ece": np.abs(gaps).sum() / correct.size,
        },
        "precision": metrics.precision_score(truth, found, average=None, zero_division=0).tolist(),
        "recall": metrics.recall_score(truth, found, average=None, zero_division=0).tolist(),
        "f1": metrics.f1_score(truth, found, average=None, zero_division=0).tolist(),
        "auroc": each(metrics.roc_auc_score),
        "auprc": each(metrics.average_precision_score),
        **temperature(sides, truth.ravel().astype(int)),
    }


def bca():
    """SciPy's intervals from one list of resampled values, of one sample (skewed) and of a difference of two."""
    rng = np.random.default_rng(20264701)

    def case(data, statistic):
        options = {"vectorized": False, "confidence_level": 0.95}
        first = stats.bootstrap(data, statistic, n_resamples=400, rng=rng, method="percentile", **options)
        again = lambda method: stats.bootstrap(
            data, statistic, n_resamples=0, bootstrap_result=first, method=method, **options
        ).confidence_interval
        return {
            "data": [sample.tolist() for sample in data],
            "value": float(statistic(*data)),
            "resampled": first.bootstrap_distribution.tolist(),
            "percentile": list(again("percentile")),
            "bca": list(again("bca")),
        }

    skewed = rng.exponential(size=25)
    return {
        "mean": case((skewed,), np.mean),
        "difference": case((rng.exponential(size=12), rng.normal(size=20)), lambda a, b: np.mean(a) - np.mean(b)),
    }


def plain(value):
    """NumPy's numbers and arrays as Python's."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def main(folder):
    inputs = load_file(folder / "metrics_inputs.safetensors")
    expected = {"bca": bca(), "multi_label": multi_label()}
    for name in BINARY:
        scores, labels = inputs[f"{name}.scores"], inputs[f"{name}.labels"]
        expected[name] = {
            "operating_points": operating_points(scores, labels),
            "at": [at_threshold(scores, labels, threshold) for threshold in (0.3, 0.5)],
            "decision_curve": decision_curve(scores, labels, [0.01, 0.1, 0.25, 0.5, 0.75]),
            "delong": single_delong(scores, labels),
            "paired_delong": paired_delong(scores, other_scores(scores), labels),
            "other_scores": other_scores(scores),
            "reliability": reliability(scores, labels),
        }
        expected[name]["other_scores"] = expected[name]["other_scores"].tolist()
    for name in MULTICLASS:
        logits, labels = inputs[f"{name}.logits"], inputs[f"{name}.labels"]
        probs = special.softmax(logits.astype(np.float64), axis=1)
        expected[name] = multiclass(logits, probs, labels)
    text = json.dumps(plain(expected), indent=1, allow_nan=False)
    (folder / "statistics_expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
