#!/usr/bin/env python3
"""Expected values for vpt-eval's detection and segmentation metrics, as pycocotools and SciPy compute them.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1 pycocotools==2.0.11
    venv/bin/python scripts/export_dense_metrics.py vpt-eval/tests/fixtures

Writes `detection_random.json` (random boxes with crowds, ties, areas of masks smaller than their boxes, and images drawn
several times) and `contours.json` (random blobs) into that folder. Boundary F1 and Hausdorff distance are written here from
their definitions, with SciPy's erosion and distance transform: MONAI's `compute_hausdorff_distance(percentile=95)`, and
Csurka et al. 2013.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage


def random_set(rng, images, categories, boxes, crowd, decimals):
    truths, found = [], []
    for image in range(images):
        for _ in range(rng.integers(0, boxes + 1)):
            size = np.exp(rng.uniform(np.log(6), np.log(250), 2))
            # Quarters of a pixel are exact in binary, and so are their sums.
            box = np.round(np.concatenate([rng.uniform(0, 300, 2), size]) * 4) / 4
            category = int(rng.integers(0, categories))
            share = rng.choice([1.0, 0.5, 0.75])
            is_crowd = bool(rng.random() < crowd)
            truths.append([image, category, *box.tolist(), float(box[2] * box[3] * share), is_crowd])
            for _ in range(rng.integers(0, 4)):
                moved = box + rng.normal(size=4) * 0.12 * np.repeat([box[2:].mean()], 4)
                moved = np.round(np.maximum(moved, [0, 0, 1, 1]) * 4) / 4
                other = category if rng.random() < 0.9 else int(rng.integers(0, categories))
                found.append([image, other, *moved.tolist(), round(float(rng.random()), decimals)])
        for _ in range(rng.integers(0, 3)):
            box = np.round(np.concatenate([rng.uniform(0, 300, 2), rng.uniform(5, 150, 2)]) * 4) / 4
            found.append([image, int(rng.integers(0, categories)), *box.tolist(), round(float(rng.random()), decimals)])
    return truths, found


def evaluate(images, categories, truths, found, weights):
    """COCO's numbers where image i is there weights[i] times, copies beside each other."""
    copies = [(image, copy) for image in range(images) for copy in range(weights[image])]
    of_image = {place: i + 1 for i, place in enumerate(copies)}
    annotations, results = [], []
    for place, image_id in of_image.items():
        for image, category, *box, area, crowd in truths:
            if image == place[0]:
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": image_id, "category_id": category + 1, "bbox": box, "area": area, "iscrowd": int(crowd)}
                )
        for image, category, *box, score in found:
            if image == place[0]:
                results.append({"image_id": image_id, "category_id": category + 1, "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": i} for i in of_image.values()],
            "categories": [{"id": c + 1, "name": str(c)} for c in range(categories)],
            "annotations": annotations,
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    precision, recall = run.eval["precision"], run.eval["recall"]
    mean = lambda values: float(values.mean()) if (values > -1).all() else None
    return {
        "weights": weights,
        "stats": [None if x == -1 else float(x) for x in run.stats],
        "per_class_ap": [mean(precision[:, :, c, 0, 2]) for c in range(categories)],
        "per_class_ar100": [mean(recall[:, c, 0, 2]) for c in range(categories)],
        "ap_per_iou": [float(p[:, :, 0, 2][p[:, :, 0, 2] > -1].mean()) for p in precision],
    }


def detection():
    rng = np.random.default_rng(20264801)
    sets = []
    # The second one has ties, which is why it is not resampled: pycocotools then mixes the copies of an image.
    for images, categories, boxes, crowd, decimals, draws in [(14, 3, 8, 0.12, 6, 3), (10, 4, 6, 0.2, 1, 0), (3, 1, 60, 0.0, 6, 1)]:
        truths, found = random_set(rng, images, categories, boxes, crowd, decimals)
        weights = [[1] * images]
        weights += [np.bincount(rng.integers(0, images, images), minlength=images).tolist() for _ in range(draws)]
        sets.append(
            {
                "images": images,
                "classes": categories,
                "truths": truths,
                "detections": found,
                "expected": [evaluate(images, categories, truths, found, w) for w in weights],
            }
        )
    return sets


def blobs(rng, size, classes, sigma):
    noise = np.stack([ndimage.gaussian_filter(rng.normal(size=size), sigma) for _ in range(classes)])
    return noise


def contours(truth, pred, tolerance):
    """Boundary F1 and Hausdorff distance 95 of one class, from two masks without unknown pixels."""
    truth_edge, pred_edge = (mask ^ ndimage.binary_erosion(mask) for mask in (truth, pred))
    if not truth.any() and not pred.any():
        return None, None
    if not truth.any() or not pred.any():
        return 0.0, None
    to_truth = ndimage.distance_transform_edt(~truth_edge)[pred_edge]
    to_pred = ndimage.distance_transform_edt(~pred_edge)[truth_edge]
    precision, recall = (to_truth <= tolerance).mean(), (to_pred <= tolerance).mean()
    f1 = 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)
    return float(f1), float(max(np.percentile(to_truth, 95), np.percentile(to_pred, 95)))


def segmentation():
    rng = np.random.default_rng(20264802)
    cases = []
    for size, classes, sigma, noise, tolerance in [((24, 31), 3, 3.0, 0.3, 1.5), ((40, 17), 4, 2.0, 0.8, 1.0), ((16, 16), 5, 4.0, 0.1, 2.0), ((20, 30), 2, 2.5, 0.5, 3.0)]:
        field = blobs(rng, size, classes, sigma)
        truth = field.argmax(0)
        pred = (field + noise * field.std() * blobs(rng, size, classes, 1.0) * 3).argmax(0)
        if classes == 5:
            pred[pred == 4] = 0  # never predicted
            truth[truth == 3] = 1  # only predicted
        scores = [contours(truth == c, pred == c, tolerance) for c in range(classes)]
        cases.append(
            {
                "size": size,
                "classes": classes,
                "tolerance": tolerance,
                "truth": "".join(map(str, truth.ravel())),
                "pred": "".join(map(str, pred.ravel())),
                "boundary_f1": [f1 for f1, _ in scores],
                "hausdorff95": [distance for _, distance in scores],
            }
        )
    return cases


def main(folder):
    for name, document in [("detection_random", detection()), ("contours", segmentation())]:
        (folder / f"{name}.json").write_text(json.dumps(document, allow_nan=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
