#!/usr/bin/env python3
"""Expected values for vpt-eval's comparison statistics, as SciPy, statsmodels and NumPy compute them.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0
    venv/bin/python scripts/export_comparison.py vpt-eval/tests/fixtures

Writes `comparison_expected.json` into that folder. The variance over seeds and images, which no library has, is written here
by covariances between seeds, as Obuchowski and Rockette give its parts; in Rust it comes from variances of means.
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

DISCORDANT = [(0, 0), (0, 1), (5, 0), (3, 3), (1, 7), (12, 5), (40, 22), (130, 171), (1000, 1100)]


def discordant_pairs():
    """McNemar's exact test; the mid-p-value after Fagerland et al. 2013 from the binomial distribution."""
    rows = []
    for a, b in DISCORDANT:
        exact = mcnemar([[17, a], [b, 4]], exact=True).pvalue
        n, fewer = a + b, min(a, b)
        assert n == 0 or abs(exact - stats.binomtest(a, n, 0.5).pvalue) < 1e-9
        at = stats.binom.pmf(fewer, n, 0.5)
        mid = 1 - at / 2 if a == b else 2 * stats.binom.cdf(fewer, n, 0.5) - at
        rows.append({"a": a, "b": b, "exact": float(exact), "mid": float(mid)})
    return rows


def holm(rng):
    lists = [[0.01, 0.04, 0.03, 0.5], [0.02], [0.2, 0.2, 0.9], [0.05, 0.05, 1e-7, 1.0]]
    lists += [list(rng.uniform(size=size) ** 3) for size in (6, 15, 28)]
    return [{"p": p, "holm": list(multipletests(p, method="holm")[1])} for p in lists]


def student():
    degrees = [0.7, 1, 2, 2.5, 4, 9.3, 30, 299, 5000.5, 1e7]
    at = [-40.0, -6.0, -2.1, -0.3, 0.0, 1.7, 4.0]
    p = [1e-9, 0.001, 0.025, 0.2, 0.5, 0.8, 0.975, 0.9995]
    return [
        {
            "degrees": df,
            "t": at,
            "cdf": [float(stats.t.cdf(t, df)) for t in at],
            "p": p,
            "quantile": [float(stats.t.ppf(q, df)) for q in p],
        }
        for df in degrees
    ]


def crossed(rng, seeds_a, seeds_b, units, seed_sd, own_sd):
    """Seeds of two methods: values on the images, and on resamples of them that all seeds share."""
    resamples = 40
    shared = rng.normal(0, 0.01, resamples)

    def method(seeds, centre):
        values = centre + rng.normal(0, seed_sd, seeds)
        common = shared + rng.normal(0, 0.006, resamples)
        return values, values[:, None] + common + rng.normal(0, own_sd, (seeds, resamples))

    (a, resampled_a), (b, resampled_b) = method(seeds_a, 0.83), method(seeds_b, 0.80)
    both = np.cov(np.vstack([resampled_a, resampled_b]), ddof=1) * units / (units - 1)
    weights = np.concatenate([np.full(seeds_a, 1 / seeds_a), np.full(seeds_b, -1 / seeds_b)])
    images = weights @ both @ weights
    seed_variance, uncertain = 0.0, 0.0
    for values, block in ((a, both[:seeds_a, :seeds_a]), (b, both[seeds_a:, seeds_a:])):
        seeds = len(values)
        if seeds == 1:
            continue
        between = (block.sum() - np.trace(block)) / (seeds * (seeds - 1))
        interaction = (np.trace(block) / seeds - between) / seeds
        spread = np.var(values, ddof=1) / seeds
        seed_variance += max(spread - interaction, 0)
        uncertain += (max(spread, interaction / 2) if seeds == 2 else spread) ** 2 / (seeds - 1)
    variance = images + seed_variance
    degrees = min(max(variance**2 / uncertain, 1) if uncertain else np.inf, units - 1)
    difference, error = a.mean() - b.mean(), np.sqrt(variance)
    return {
        "units": units,
        "a": list(a),
        "b": list(b),
        "resampled_a": resampled_a.tolist(),
        "resampled_b": resampled_b.tolist(),
        "difference": difference,
        "standard_error": error,
        "degrees": degrees,
        "p": 2 * stats.t.sf(abs(difference) / error, degrees),
        "interval": list(stats.t.interval(0.95, degrees, difference, error)),
        "detectable": (stats.t.ppf(0.975, degrees) + stats.t.ppf(0.8, degrees)) * error,
    }


def main():
    rng = np.random.default_rng(5)
    expected = {
        "mcnemar": discordant_pairs(),
        "holm": holm(rng),
        "student": student(),
        "crossed": [
            crossed(rng, 1, 1, 300, 0.01, 0.01),
            crossed(rng, 3, 3, 300, 0.01, 0.008),
            crossed(rng, 2, 5, 120, 0.03, 0.002),
            crossed(rng, 1, 3, 80, 0.01, 0.01),
            crossed(rng, 3, 3, 40, 0.001, 0.03),
            crossed(rng, 2, 2, 200, 0.002, 0.02),
        ],
    }
    text = json.dumps(expected)
    (Path(sys.argv[1]) / "comparison_expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
