//! The page about an evaluated run: its numbers, its structure, degenerate runs, and what a real browser makes of it.
//!
//! `VPT_EXAMPLE_PAGES=folder cargo test --release -p vpt-eval --test evaluation_page` leaves the pages there to look at;
//! with `VPT_EXAMPLE_IMAGES=folder`, a folder of class folders, those are the pictures of the page with four classes.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ndarray::Array2;
use rand::RngExt;
use vpt_core::{Backbone, Classifier, MethodConfig, VitConfig};
use vpt_eval::metrics::operating_points::BinaryCounts;
use vpt_eval::metrics::temperature::fit_temperature;
use vpt_eval::metrics::{self, Scores};
use vpt_eval::report::format::Unit;
use vpt_eval::report::{
    CardSection, EvaluationPage, Example, Gallery, SubgroupRow, SubgroupTable, attention_thumbnail,
    evaluation_html, most_confident_errors, random_examples,
};
use vpt_eval::{Bootstrap, Estimate, NotDefined, Predictions, Results};

const HOSTILE: &str =
    "<script>alert('x')</script> \"quoted\" & a very long name, which nobody should ever give to a class";

fn bootstrap() -> Bootstrap {
    Bootstrap {
        resamples: 200,
        ..Bootstrap::default()
    }
}

/// Logits around the label; `skill` is how far they are apart, `sure` by what they are too large.
fn predictions(classes: &[&str], labels: Vec<usize>, skill: f32, sure: f32) -> Predictions {
    let mut noise = vpt_data::rng::rng(11, &[]);
    let logits = Array2::from_shape_fn((labels.len(), classes.len()), |(i, class)| {
        let bell: f32 = (0..6).map(|_| noise.random::<f32>() - 0.5).sum::<f32>() * 1.4;
        sure * (bell + if labels[i] == class { skill } else { 0.0 })
    });
    let paths = labels.iter().enumerate();
    let paths = paths
        .map(|(i, label)| PathBuf::from(format!("/data/test/{label}/{i:04}.png")))
        .collect();
    Predictions::new(
        classes.iter().map(|&name| name.to_owned()).collect(),
        paths,
        labels,
        logits,
    )
    .unwrap()
}

fn results(predictions: &Predictions) -> Results {
    Results {
        task: "brain tumours <MRI>".into(),
        split: "test".into(),
        method: "vpt-deep".into(),
        model: "vit_small_patch16_dinov3".into(),
        seed: Some(42),
        date: Some("2026-11-25T16:00:00Z".into()),
        ..Results::from_predictions(predictions, &bootstrap())
    }
}

fn page<'a>(predictions: &'a Predictions, results: &'a Results) -> EvaluationPage<'a> {
    EvaluationPage {
        results,
        predictions,
        main_metric: "balanced_accuracy",
        temperature: 1.0,
        threshold: None,
        subgroups: Vec::new(),
        gallery: Gallery::default(),
        data_card: Vec::new(),
        model_card: Vec::new(),
        commands: Vec::new(),
    }
}

fn plain_page(predictions: &Predictions) -> String {
    let results = results(predictions);
    evaluation_html(&page(predictions, &results))
}

/// A page with everything on it. Pictures are drawn ones, or real ones where an environment variable names a folder.
fn full_page(predictions: &Predictions, threshold: Option<f64>) -> String {
    let results = results(predictions);
    let temperature = fit_temperature(&predictions.logits, &predictions.labels).value;
    let config = VitConfig {
        img_size: [96, 96],
        embed_dim: 24,
        depth: 2,
        num_heads: 2,
        ..vpt_core::preset("vit_tiny_patch16_224").unwrap()
    };
    let mut backbone = Backbone::random(config, 0, 3);
    backbone.preprocess.input_size = [96, 96];
    let device = burn::tensor::Device::flex();
    let model = Classifier::new(&backbone, &MethodConfig::linear(), 2, [96, 96], 1, &device).unwrap();
    let example = |index: usize| {
        let picture = vpt_data::decode(&predictions.paths[index]).ok();
        let overlay = picture
            .map(|picture| attention_thumbnail(&model, &picture, &backbone.preprocess, &device).unwrap());
        Example {
            overlay,
            ..Example::open(predictions, index)
        }
    };
    let gallery = Gallery {
        errors: most_confident_errors(predictions, 12)
            .into_iter()
            .map(example)
            .collect(),
        random: random_examples(predictions, 12, 7)
            .into_iter()
            .map(|index| Example::open(predictions, index))
            .collect(),
    };
    let estimate = |value: f64| Estimate {
        value: Some(value),
        ci_low: Some(value - 0.05),
        ci_high: Some(value + 0.03),
    };
    let group = |name: &str, images, value| SubgroupRow {
        name: name.to_owned(),
        images,
        values: vec![estimate(value), Estimate::default()],
    };
    let text = |pairs: &[&str]| pairs.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    evaluation_html(&EvaluationPage {
        temperature,
        threshold,
        gallery,
        subgroups: vec![SubgroupTable {
            by: "scanner".into(),
            metrics: text(&["top1", "log_loss"]),
            rows: vec![group("A <1.5 T>", 120, 0.81), group("B", 80, 0.77)],
        }],
        data_card: vec![
            CardSection {
                title: "Images".into(),
                columns: text(&["class", "train", "val", "test"]),
                rows: predictions
                    .classes
                    .iter()
                    .map(|class| vec![class.clone(), "1,200".into(), "150".into(), "150".into()])
                    .collect(),
                notes: Vec::new(),
            },
            CardSection {
                title: "Leaks".into(),
                notes: text(&["3 test images are also in train: left out of all numbers."]),
                ..CardSection::default()
            },
        ],
        model_card: [
            ("backbone", "vit_small_patch16_dinov3"),
            (
                "sha256",
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
            ("method", "vpt-deep, 10 prompts"),
            ("tuned parameters", "47,620 of 21.6 M"),
            ("task file", "192 kB"),
            ("preprocessing", "224 × 224, bicubic, crop 0.9"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        commands: text(&[
            "vpt train --data-dir brain --model vit_small_patch16_dinov3 --method vpt-deep --num-tokens 10 --epochs 30 --experiment mri",
            "vpt eval runs/train/mri --split test --report report.html",
        ]),
        ..page(predictions, &results)
    })
}

/// Two classes, drawn pictures of the back of the eye.
fn two_classes(folder: &Path) -> Predictions {
    let labels: Vec<usize> = (0..240).map(|i| usize::from(i % 3 == 0)).collect();
    let mut predictions = predictions(&["normal", HOSTILE], labels, 1.1, 2.5);
    let dataset = vpt_data::fundus::draw_dataset(folder, 1, [1, 1, 6], 96).unwrap();
    let pictures: Vec<PathBuf> = dataset
        .split(vpt_data::Split::Test)
        .iter()
        .map(|sample| sample.path.clone())
        .collect();
    for (i, path) in predictions.paths.iter_mut().enumerate() {
        path.clone_from(&pictures[i % pictures.len()]);
    }
    predictions
}

fn four_classes(folder: &Path) -> Predictions {
    let names = ["glioma", "meningioma", "notumor", "pituitary"];
    let mut found: Vec<(PathBuf, usize)> = Vec::new();
    if let Some(real) = std::env::var_os("VPT_EXAMPLE_IMAGES") {
        for (label, name) in names.iter().enumerate() {
            let mut files: Vec<_> = fs::read_dir(Path::new(&real).join(name))
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            files.sort();
            found.extend(files.into_iter().map(|file| (file, label)));
        }
    } else {
        found.extend((0..300).map(|i| (folder.join(format!("missing/{i}.png")), i % 4)));
    }
    let labels = found.iter().map(|(_, label)| *label).collect();
    let mut predictions = predictions(&names, labels, 1.6, 1.8);
    predictions.paths = found.into_iter().map(|(path, _)| path).collect();
    predictions
}

/// The page without its styles, pictures and tags.
fn words(html: &str) -> String {
    let body = &html[html.find("<body>").unwrap()..];
    let mut text = String::new();
    for part in body.split('<').skip(1) {
        let (_, after) = part.split_once('>').unwrap();
        text.push_str(after);
        text.push(' ');
    }
    text.replace('\u{a0}', " ")
}

/// Base64 holds any word sooner or later.
fn without_pictures(html: &str) -> String {
    let mut parts = html.split("base64,");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text += "base64,";
        text += &part[part.find('"').unwrap()..];
    }
    text
}

/// Elements are closed, in order; nothing but the page's own elements; headings are never skipped.
fn check_structure(html: &str) {
    let html = &without_pictures(html);
    let body = html.split_once("</style>").unwrap().1;
    let mut open: Vec<&str> = vec!["html", "head"];
    let mut heading = 0;
    for part in body.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap();
        let name = tag.split([' ', '/', '\n']).find(|name| !name.is_empty()).unwrap();
        assert_ne!(name, "script");
        if let Some(level) = name
            .strip_prefix('h')
            .and_then(|level| level.parse::<usize>().ok())
            && !tag.starts_with('/')
        {
            assert!(level <= heading + 1, "h{level} after h{heading}");
            heading = level;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') && !["img", "meta", "br"].contains(&name) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"));
    for landmark in ["<header>", "<nav aria-label", "<main>", "<footer"] {
        assert_eq!(html.matches(landmark).count(), 1, "{landmark}");
    }
    assert_eq!(html.matches("<svg").count(), html.matches("role=\"img\"").count());
    assert_eq!(html.matches("<svg").count(), html.matches("<title>").count() - 1);
    assert_eq!(
        html.matches("<figure>").count(),
        html.matches("<figcaption>").count()
    );
    assert!(!html.contains("http") && !html.contains("url(") && !html.contains("@import"));
    assert_eq!(
        html.matches("src=").count(),
        html.matches("src=\"data:image/jpeg;base64,").count()
    );
    for bad in ["NaN", "inf\"", "None", "Some("] {
        assert!(!html.contains(bad), "{bad}");
    }
}

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
    let predictions = two_classes(dir.path());
    let results = results(&predictions);
    let scores = Scores::of(&predictions);
    let ones = scores.ones();
    let value = |name: &str| (metrics::find(name).unwrap().compute)(&scores.view(&ones)).unwrap();
    let html = evaluation_html(&EvaluationPage {
        threshold: Some(0.3),
        ..page(&predictions, &results)
    });
    let text = words(&html);
    let share = |value: f64| format!("{} %", Unit::SHARE.number(value));
    assert!(text.contains(&share(value("balanced_accuracy"))));
    for name in ["auroc", "auprc"] {
        let found = results.metrics[name];
        let [low, high] = [found.ci_low, found.ci_high].map(|end| Unit::SHARE.number(end.unwrap()));
        let area = format!("area {} [{low}, {high}]", share(value(name)));
        assert!(text.contains(&area), "{area}");
    }
    let error = Unit::of(metrics::find("ece").unwrap()).number(value("ece"));
    assert!(text.contains(&format!("bins, is {error}.")), "{error}");
    let probs = predictions.probs().column(1).to_vec();
    let positive: Vec<bool> = predictions.labels.iter().map(|label| *label == 1).collect();
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
    let scaled = words(&evaluation_html(&EvaluationPage {
        temperature: 3.0,
        ..page(&predictions, &results)
    }));
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
    for temperature in [f64::NAN, 0.0, -2.0, f64::INFINITY] {
        let odd = evaluation_html(&EvaluationPage {
            temperature,
            threshold: Some(f64::NAN),
            main_metric: "no such metric",
            ..page(&predictions, &results)
        });
        check_structure(&odd);
        assert!(!odd.contains("before temperature"));
    }
    let unknown = Gallery {
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
    assert_eq!(html.matches("Axis").count(), 0);
}

#[test]
fn the_same_run_gives_the_same_page() {
    let predictions = predictions(&["a", "b", "c"], (0..90).map(|i| i % 3).collect(), 1.0, 1.0);
    assert_eq!(plain_page(&predictions), plain_page(&predictions));
}

/// What a browser says about a page at a width.
#[derive(Debug)]
struct Seen {
    broken_images: usize,
    images: usize,
    empty_drawings: usize,
    drawings: usize,
    headings: usize,
    overflow: i64,
    errors: usize,
}

/// Appended to a copy of a page: writes what it finds into an attribute. A headless window is never narrower than 500 pixels, so a
/// phone is a frame of its own in an otherwise empty page.
const LOOK: &str = "<script>
const frame = document.createElement('iframe');
let errors = 0;
window.onerror = () => { errors++ };
frame.style = 'border:0;height:800px;width:WIDTHpx';
frame.onload = () => {
  const page = frame.contentDocument, root = page.documentElement;
  const all = name => [...page.querySelectorAll(name)];
  const box = element => element.getBoundingClientRect();
  document.body.dataset.seen = [
    all('img').filter(img => !(img.complete && img.naturalWidth > 0)).length, all('img').length,
    all('svg').filter(svg => !(box(svg).width > 20 && box(svg).height > 20)).length, all('svg').length,
    all('h1,h2,h3').filter(heading => box(heading).height > 0).length,
    root.scrollWidth - root.clientWidth, errors].join(' ');
};
frame.srcdoc = document.getElementById('page').textContent;
document.body.append(frame);
</script>";

fn look(browser: &Path, html: &str, width: u32) -> Seen {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("look.html");
    let text = html.replace('&', "&amp;").replace('<', "&lt;");
    let outer = format!(
        "<!doctype html><meta charset=utf-8><body><textarea id=page hidden>{text}</textarea>{}",
        LOOK.replace("WIDTH", &width.to_string())
    );
    fs::write(&file, outer).unwrap();
    let output = dir.path().join("dom.html");
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .arg("--window-size=1280,900")
        .arg(format!(
            "--user-data-dir={}",
            dir.path().join("profile").display()
        ))
        .arg(&file)
        .stdout(fs::File::create(&output).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_mins(2) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the browser took more than two minutes");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let dom = fs::read_to_string(&output).unwrap();
    let (_, seen) = dom
        .split_once("data-seen=\"")
        .expect("the browser ran the script");
    let numbers: Vec<i64> = seen
        .split('"')
        .next()
        .unwrap()
        .split(' ')
        .map(|n| n.parse().unwrap())
        .collect();
    let at = |i: usize| numbers[i] as usize;
    Seen {
        broken_images: at(0),
        images: at(1),
        empty_drawings: at(2),
        drawings: at(3),
        headings: at(4),
        overflow: numbers[5],
        errors: at(6),
    }
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().find_map(|name| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    })
}

#[test]
fn a_browser_shows_the_page_on_a_desk_and_on_a_phone() {
    let dir = tempfile::tempdir().unwrap();
    let two = full_page(&two_classes(&dir.path().join("drawn")), Some(0.4));
    let four = full_page(&four_classes(dir.path()), None);
    let long: Vec<String> = (0..30).map(|i| format!("{HOSTILE} {i}")).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let many = plain_page(&predictions(&long, (0..300).map(|i| i % 30).collect(), 2.0, 1.0));
    let pages = [("two", &two), ("four", &four), ("many", &many)];
    if let Some(folder) = std::env::var_os("VPT_EXAMPLE_PAGES") {
        for (name, html) in pages {
            fs::write(Path::new(&folder).join(format!("{name}.html")), html).unwrap();
        }
    }
    let Some(browser) = browser() else {
        assert!(
            std::env::var_os("VPT_REQUIRE_BROWSER").is_none(),
            "no browser on PATH"
        );
        println!("skipped: neither chromium, chromium-browser nor google-chrome on PATH");
        return;
    };
    for (name, html) in pages {
        for width in [1200, 360] {
            let seen = look(&browser, html, width);
            println!("{name} at {width}: {seen:?}");
            assert_eq!(
                (seen.broken_images, seen.empty_drawings, seen.errors),
                (0, 0, 0),
                "{name} at {width}"
            );
            assert_eq!(seen.images, html.matches("<img").count(), "{name}");
            assert_eq!(seen.drawings, html.matches("<svg").count(), "{name}");
            let headings: usize = ["<h1", "<h2", "<h3"]
                .iter()
                .map(|tag| html.matches(tag).count())
                .sum();
            assert_eq!(seen.headings, headings, "{name}");
            assert!(
                seen.overflow <= 0,
                "{name} is {} pixels wider than {width}",
                seen.overflow
            );
        }
    }
}
