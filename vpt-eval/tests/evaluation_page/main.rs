//! The page about an evaluated run: its numbers, its structure, degenerate runs, and what a real browser makes of it.
//!
//! `VPT_EXAMPLE_PAGES=folder cargo test --release --workspace --test evaluation_page` leaves the pages there to look at;
//! with `VPT_EXAMPLE_IMAGES=folder`, a folder of class folders, those are the pictures of the page with four classes.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod runs;
#[path = "../web_page/mod.rs"]
mod web_page;

use runs::{HOSTILE, four_classes, full_page, page, plain_page, predictions, results, two_classes};
use vpt_eval::metrics::operating_points::BinaryCounts;
use vpt_eval::metrics::{self, Scores};
use vpt_eval::report::format::Unit;
use vpt_eval::report::{EvaluationPage, Example, Gallery, evaluation_html};
use vpt_eval::{Bootstrap, NotDefined, Results};
use web_page::{check_structure, words};

#[test]
fn all_parts_are_there_and_names_are_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let predictions = two_classes(dir.path());
    let html = full_page(&predictions, Some(0.4));
    check_structure(&html);
    let text = words(&html);
    for part in [
        "brain tumours &#60;MRI&#62;",
        "vpt-deep on vit_small_patch16_dinov3, evaluated on 240 images of the test split",
        "ROC curve",
        "Precision–recall curve",
        "Reliability",
        "before temperature scaling",
        "Risk and coverage",
        "Decision curve",
        "Scores by true class",
        "Confusion matrix",
        "at the threshold",
        "By scanner",
        "A &#60;1.5 T&#62;",
        "The most confident errors",
        "Chosen at random",
        "3 test images are also in train",
        "47,620 of 21.6 M",
        "vpt eval runs/train/mri --split test",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!html.contains("<script") && text.contains("&#60;script&#62;alert("));
    // Twelve errors with what the model looks at, twelve others.
    assert_eq!(html.matches("src=\"data:image/jpeg;base64,/9j/").count(), 36);
    let place = dir.path().to_string_lossy();
    assert!(!html.contains(&*place), "the page tells where the images lie");
}

#[test]
fn the_numbers_are_those_of_the_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let mut predictions = two_classes(dir.path());
    predictions.calibration.threshold = Some(0.3);
    let results = results(&predictions);
    let scores = Scores::of(&predictions);
    let ones = scores.ones();
    let value = |name: &str| (metrics::find(name).unwrap().compute)(&scores.view(&ones)).unwrap();
    let html = evaluation_html(&page(&predictions, &results));
    let text = words(&html);
    let share = |value: f64| format!("{} %", Unit::SHARE.number(value));
    assert!(text.contains(&share(value("balanced_accuracy"))));
    for name in ["auroc", "auprc"] {
        let found = results.metrics[name].estimate;
        let [low, high] = [found.ci_low, found.ci_high].map(|end| Unit::SHARE.number(end.unwrap()));
        let area = format!("area {} [{low}, {high}]", share(value(name)));
        assert!(text.contains(&area), "{area}");
    }
    let error = Unit::of(metrics::find("ece").unwrap()).number(value("ece"));
    assert!(text.contains(&format!("bins, is {error}.")), "{error}");
    let probs = predictions.probs().column(1).to_vec();
    let positive: Vec<bool> = predictions.labels.iter().map(|label| label.has(1)).collect();
    let counts = BinaryCounts::at(&probs, &positive, &ones, 0.3);
    let sensitivity = counts.sensitivity();
    let interval = sensitivity.wilson(0.95).unwrap();
    let [low, high] = [interval.low, interval.high].map(|end| Unit::SHARE.number(end));
    let sensitivity_text = share(sensitivity.value().unwrap());
    assert!(text.contains(&format!("sensitivity {sensitivity_text} [{low}, {high}]")));
    assert!(text.contains(&format!("{} of {}", sensitivity.hits, sensitivity.items)));
}

#[test]
fn areas_of_more_classes_are_resampled_like_the_results() {
    let dir = tempfile::tempdir().unwrap();
    let predictions = four_classes(dir.path());
    let results = results(&predictions);
    let text = words(&evaluation_html(&page(&predictions, &results)));
    for row in &results.per_class {
        let area = Unit::SHARE.estimate(&row.auroc).replace(" [", " % [");
        assert!(text.contains(&format!("{}: area {area}", row.class)), "{area}");
    }
    assert_eq!(
        text.matches("Decision curve").count(),
        0,
        "four classes have no positive one"
    );
    assert!(text.contains("Risk and coverage"));
    // After temperature scaling the ranking of a class is another one, and so are its areas.
    let mut warm = predictions.clone();
    warm.calibration.temperature = 3.0;
    let scaled = words(&evaluation_html(&page(&warm, &results)));
    assert!(scaled.contains("glioma: area") && scaled.contains("after temperature 3.000"));
}

#[test]
fn no_run_is_too_odd_for_a_page() {
    let classes = ["a", "b"];
    let alternating = |images: usize| (0..images).map(|i| i % 2).collect::<Vec<_>>();
    let reason = |reason: NotDefined| format!("Not shown: {reason}.");

    for images in [0, 1] {
        let html = plain_page(&predictions(&classes, alternating(images), 1.0, 1.0));
        check_structure(&html);
        let expected = if images == 0 {
            NotDefined::NoImage
        } else {
            NotDefined::OneClass
        };
        assert!(words(&html).contains(&reason(expected)), "{images}");
    }
    let one_class = plain_page(&predictions(&classes, vec![1; 30], 1.0, 1.0));
    check_structure(&one_class);
    assert_eq!(
        words(&one_class).matches(&reason(NotDefined::OneClass)).count(),
        2,
        "ROC and precision"
    );

    let all_right = plain_page(&predictions(&classes, alternating(40), 90.0, 1.0));
    check_structure(&all_right);
    assert!(words(&all_right).contains("No image is taken for a wrong class."));
    check_structure(&plain_page(&predictions(&classes, alternating(40), -90.0, 1.0)));

    let mut constant = predictions(&classes, alternating(40), 1.0, 1.0);
    constant.logits.fill(0.25);
    check_structure(&plain_page(&constant));
    constant.logits.fill(f32::NAN);
    assert!(words(&plain_page(&constant)).contains(&reason(NotDefined::NotFinite)));

    let absent = plain_page(&predictions(&["a", "b", "absent"], alternating(40), 1.0, 1.0));
    check_structure(&absent);
    assert!(words(&absent).contains("A class without images of its own has no curve."));

    let single = plain_page(&predictions(&["only"], vec![0; 5], 1.0, 1.0));
    check_structure(&single);
}

#[test]
fn odd_settings_change_nothing_else() {
    let predictions = predictions(&["a", "b", "c"], (0..60).map(|i| i % 3).collect(), 1.0, 1.0);
    let results = results(&predictions);
    let odd = evaluation_html(&EvaluationPage {
        main_metric: "no such metric",
        ..page(&predictions, &results)
    });
    check_structure(&odd);
    assert!(!odd.contains("before temperature"));
    let unknown = Gallery {
        pairs: vec![],
        errors: vec![Example {
            index: 1_000_000,
            picture: Err(String::new()),
            overlay: None,
        }],
        random: vec![Example::open(&predictions, 0)],
    };
    let html = evaluation_html(&EvaluationPage {
        gallery: unknown,
        ..page(&predictions, &results)
    });
    check_structure(&html);
    assert!(
        words(&html).contains("The picture cannot be read") && !words(&html).contains("confident errors")
    );
}

#[test]
fn two_hundred_classes_have_a_table_of_confusions() {
    let names: Vec<String> = (0..200).map(|i| format!("species {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let predictions = predictions(&names, (0..800).map(|i| i % 200).collect(), 2.0, 1.0);
    let results = Results::from_predictions(
        &predictions,
        &Bootstrap {
            resamples: 20,
            ..Bootstrap::default()
        },
    );
    let html = evaluation_html(&page(&predictions, &results));
    check_structure(&html);
    let text = words(&html);
    assert!(text.contains("The most frequent confusions: 30 of") && !text.contains("Confusion matrix"));
    assert!(text.contains("Of 200 classes the 12 with the most images are drawn."));
}

#[test]
fn the_same_run_gives_the_same_page() {
    let predictions = predictions(&["a", "b", "c"], (0..90).map(|i| i % 3).collect(), 1.0, 1.0);
    assert_eq!(plain_page(&predictions), plain_page(&predictions));
}

#[test]
fn a_browser_shows_the_page_on_a_desk_and_on_a_phone() {
    let dir = tempfile::tempdir().unwrap();
    let two = full_page(&two_classes(&dir.path().join("drawn")), Some(0.4));
    let four = full_page(&four_classes(dir.path()), None);
    let long: Vec<String> = (0..30).map(|i| format!("{HOSTILE} {i}")).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let many = plain_page(&predictions(&long, (0..300).map(|i| i % 30).collect(), 2.0, 1.0));
    web_page::browser::check(&[("two", &two), ("four", &four), ("many", &many)]);
}
