use super::*;
use crate::IntervalMethod;
use crate::statistics::Proportion;
use ndarray::array;

fn results() -> Results {
    let logits = array![
        [2.0, 0.0, 0.0],
        [0.0, 1.0, 0.5],
        [0.0, 0.5, 1.0],
        [0.3, 0.2, 0.1],
        [0.0, 2.0, 0.1]
    ];
    let paths = (0..5).map(|i| format!("{i}.png").into()).collect();
    let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
    let mut predictions = Predictions::new(classes, paths, vec![0, 1, 1, 0, 1], logits).unwrap();
    predictions.seconds = Some(0.5);
    Results::from_predictions(
        &predictions,
        &Bootstrap {
            resamples: 200,
            ..Bootstrap::default()
        },
    )
}

#[test]
fn numbers_land_in_their_fields() {
    let results = results();
    assert_eq!(results.value("top1"), Some(0.8));
    assert_eq!(results.metrics["top1"].n, 5);
    assert!(!results.metrics["log_loss"].higher_is_better);
    assert!(
        !results.metrics.contains_key("top5"),
        "top-5 of three classes says nothing"
    );
    assert_eq!(results.images_per_second, Some(10.0));
    assert_eq!(results.confusion_matrix, [[2, 0, 0], [0, 2, 1], [0, 0, 0]]);
    let [a, b, c] = &results.per_class[..] else {
        panic!("three classes")
    };
    assert_eq!(
        (a.support, a.predicted, a.precision.value, a.recall.value),
        (2, 2, Some(1.0), Some(1.0))
    );
    assert_eq!(a.recall.ci_high, Some(1.0));
    let wilson = Proportion::new(2, 2).wilson(0.95).unwrap();
    assert_eq!(a.recall.ci_low, Some(wilson.low), "of two images");
    assert_eq!(a.recall.ci_method, Some(IntervalMethod::Wilson));
    assert!((b.recall.value.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(
        (c.support, c.recall.value, c.precision.value, c.auroc.value),
        (0, None, Some(0.0), None)
    );
}

#[test]
fn json_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.json");
    let saved = Results {
        method: "linear".into(),
        seed: Some(u64::MAX),
        ..results()
    };
    saved.save(&path).unwrap();
    let loaded = Results::load(&path).unwrap();
    assert_eq!(
        (&loaded.method, loaded.seed, &loaded.per_class[2]),
        (&saved.method, saved.seed, &saved.per_class[2])
    );
    let text = std::fs::read_to_string(&path).unwrap();
    // Through the same parser: serde_json reads floats to within an ulp or two.
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&loaded).unwrap(), read);
}

#[test]
fn other_documents_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.json");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Results::load(&path).unwrap_err().to_string()
    };
    assert!(load("{\"schema\": \"vpt-results/9\"}").contains("`vpt-results/9`"));
    assert!(load("{\"schema\"").contains("no vpt-results/1 document"));
}
