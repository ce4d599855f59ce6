use super::*;
use ndarray::Array2;

/// Two classes; one image for each (probability of the second, is of the second).
fn predictions(images: &[(f64, bool)]) -> Predictions {
    let logits = Array2::from_shape_fn((images.len(), 2), |(i, class)| {
        let probability = images[i].0;
        (if class == 1 {
            probability
        } else {
            1.0 - probability
        })
        .ln() as f32
    });
    let paths = (0..images.len()).map(|i| format!("{i}.png").into()).collect();
    let labels: Vec<usize> = images.iter().map(|image| usize::from(image.1)).collect();
    Predictions::new(vec!["healthy".into(), "ill".into()], paths, labels, logits).unwrap()
}

fn screening() -> Predictions {
    predictions(&[
        (0.95, true),
        (0.8, true),
        (0.6, false),
        (0.4, true),
        (0.3, false),
        (0.2, false),
        (0.1, true),
        (0.05, false),
    ])
}

fn threshold(rule: &str) -> f64 {
    let plan = CalibrationPlan {
        threshold: Some(rule.parse().unwrap()),
        ..CalibrationPlan::default()
    };
    let (calibration, notes) = plan.fit(&screening());
    assert!(notes.is_empty(), "{notes:?}");
    calibration.threshold.unwrap()
}

#[test]
fn thresholds_lie_between_the_images_they_part() {
    let near = |got: f64, expected: f64| assert!((got - expected).abs() < 1e-6, "{got} {expected}");
    near(threshold("sensitivity=0.75"), 0.35);
    near(threshold("sensitivity=1"), 0.075);
    near(threshold("specificity=1"), 0.7);
    near(threshold("specificity=0.75"), 0.35);
    near(threshold("youden"), 0.7);
    // One missed image for ten false alarms: everything but the last is called.
    near(threshold("cost=10"), 0.075);
    near(threshold("cost=0.1"), 0.7);
}

#[test]
fn the_chosen_threshold_reaches_its_target_where_it_was_chosen() {
    let mut data = screening();
    data.calibration.threshold = Some(threshold("sensitivity=0.75"));
    let metrics = crate::metrics::evaluate(&data);
    assert_eq!((metrics["sensitivity"], metrics["specificity"]), (0.75, 0.75));
}

#[test]
fn each_class_has_its_own_threshold_where_an_image_has_several() {
    let paths = (0..4).map(|i| format!("{i}.png").into()).collect();
    let classes = ["mass", "effusion", "never"].map(str::to_owned).to_vec();
    let logits = ndarray::array![
        [2.0, -1.0, 0.0],
        [1.0, -2.0, 0.1],
        [0.0, -3.0, 0.2],
        [-1.0, -4.0, 0.3]
    ];
    let labels = vec![
        Label::many([0, 1]),
        Label::many([1]),
        Label::many([]),
        Label::many([]),
    ];
    let data = Predictions::new(classes, paths, labels, logits).unwrap();
    let plan = CalibrationPlan {
        temperature: false,
        threshold: Some(ThresholdRule::Youden),
        abstain: Some(AbstainRule::Coverage(0.5)),
    };
    let (calibration, notes) = plan.fit(&data);
    assert_eq!((calibration.threshold, calibration.abstain_below), (None, None));
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert!(
        note.contains("`never`") && note.contains("0.5 is taken"),
        "{note}"
    );
    let decided = Predictions { calibration, ..data };
    assert_eq!(
        decided.called(),
        [
            Label::many([0, 1, 2]),
            Label::many([1, 2]),
            Label::many([2]),
            Label::many([2])
        ]
    );
}

#[test]
fn abstaining_leaves_the_least_certain_out() {
    let least = |rule: &str| {
        let plan = CalibrationPlan {
            abstain: Some(rule.parse().unwrap()),
            ..CalibrationPlan::default()
        };
        plan.fit(&screening())
    };
    let answered = |calibration: Calibration| {
        let data = Predictions {
            calibration,
            ..screening()
        };
        data.decisions()
            .iter()
            .filter(|decision| !decision.abstained)
            .count()
    };
    assert_eq!(answered(least("coverage=0.5").0), 5, "both of 0.8 or none");
    assert_eq!(least("coverage=1").0.abstain_below, None);
    assert_eq!(
        answered(least("error=0.25").0),
        6,
        "then two wrong ones come at once"
    );
    let (few, notes) = least("error=0.001");
    assert_eq!(answered(few), 2, "the third is wrong");
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let plan = CalibrationPlan {
        temperature: true,
        threshold: Some(ThresholdRule::Youden),
        abstain: Some(AbstainRule::Error(0.1)),
    };
    let (calibration, notes) = plan.fit(&predictions(&[(0.9, true), (0.8, true)]));
    assert_eq!((calibration.temperature, calibration.threshold), (1.0, None));
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[1].contains("`youden`") && notes[1].contains("one class"),
        "{notes:?}"
    );
    let (calibration, notes) = plan.fit(&predictions(&[(0.9, false), (0.8, true), (0.1, false)]));
    assert_eq!(calibration.abstain_below, Some(1.0));
    assert!(notes.iter().any(|note| note.contains("`error=0.1`")), "{notes:?}");
    assert_eq!(
        plan.fit(&predictions(&[])).0.abstain_below,
        Some(1.0),
        "nothing is known of any image"
    );
}

#[test]
fn rules_read_as_they_are_written() {
    for text in ["youden", "sensitivity=0.95", "specificity=0.9", "cost=5"] {
        assert_eq!(text.parse::<ThresholdRule>().unwrap().to_string(), text);
    }
    for text in ["coverage=0.9", "error=0.02"] {
        assert_eq!(text.parse::<AbstainRule>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "sensitivity",
        "sensitivity=1.5",
        "sensitivity=0",
        "cost=-1",
        "cost=NaN",
        "f1=1",
    ] {
        assert!(text.parse::<ThresholdRule>().is_err(), "{text}");
    }
    assert!("error=2".parse::<AbstainRule>().is_err());
}
