//! The page and the Markdown.

use vpt_eval::{Comparison, Results, RunSummary, report};

use crate::runs::{comparison, full_comparison, runs};
use crate::web_page::{self, check_structure, words};

#[test]
fn what_is_not_known_is_not_invented() {
    let bare = |mut run: RunSummary| {
        run.results = Results {
            method: run.method.clone(),
            ..Results::default()
        };
        run.epochs.clear();
        run
    };
    let comparison = Comparison::new(&runs().into_iter().map(bare).collect::<Vec<_>>(), "linear").unwrap();
    let (html, markdown) = (
        report::comparison_html(&comparison),
        report::comparison_markdown(&comparison),
    );
    check_structure(&html);
    assert!(!markdown.contains("smaller") && !markdown.contains("larger"));
    for part in [
        "What they cost",
        "What they forget",
        "With fewer",
        "Training curves",
        "How the settings",
        "How to repeat",
    ] {
        assert!(!html.contains(part) && !markdown.contains(part), "{part}");
    }
    assert!(markdown.contains("better than the linear probe by"));
}

#[test]
fn reports_are_complete_safe_and_repeatable() {
    let comparison = full_comparison();
    let (html, markdown) = (
        report::comparison_html(&comparison),
        report::comparison_markdown(&comparison),
    );
    assert_eq!(html, report::comparison_html(&full_comparison()));
    check_structure(&html);
    let text = words(&html).replace("&#60;", "<").replace("&#62;", ">");
    for text in [&text, &markdown] {
        for row in &comparison.rows {
            assert!(text.contains(&row.method));
        }
        for part in [
            "What they reach",
            "Every pair",
            "What they cost",
            "With fewer training images",
            "What they forget",
            "How the settings were found",
            "How to repeat it",
            "Full fine-tuning overtakes vpt-deep at about",
            "the loss is not a number",
            "1.02×",
            "12 trials",
            "chosen: optim.lr 1e-3",
        ] {
            assert!(text.contains(part), "{part}");
        }
    }
    assert!(text.contains(&comparison.rows[2].verdict));
    for pair in &comparison.pairs {
        assert!(text.contains(&pair.verdict) && markdown.contains(&pair.verdict));
    }
    assert!(
        html.contains("drawn &#60;fundus&#62;") && !html.contains("<fundus>"),
        "names are escaped"
    );
    // Forest plot, two scatters, few-shot curves, and the training curves of each method.
    assert_eq!(html.matches("<svg").count(), 4 + comparison.rows.len());
    let mut tables = 0;
    for part in markdown.split("\n\n").filter(|part| part.starts_with('|')) {
        let columns = |line: &str| line.replace("\\|", "").matches('|').count();
        let lines: Vec<&str> = part.trim_end().lines().collect();
        assert!(
            lines.iter().all(|line| columns(line) == columns(lines[0])),
            "{part}"
        );
        tables += 1;
    }
    assert_eq!(tables, 5 + comparison.search.len());
}

#[test]
fn a_method_alone_has_a_page() {
    let alone: Vec<RunSummary> = runs().into_iter().filter(|run| run.method == "linear").collect();
    let comparison = Comparison::new(&alone, "linear").unwrap();
    let html = report::comparison_html(&comparison);
    check_structure(&html);
    assert!(!html.contains("Every pair") && html.contains("One method"));
}

#[test]
fn a_browser_shows_the_page_on_a_desk_and_on_a_phone() {
    let full = report::comparison_html(&full_comparison());
    let plain = report::comparison_html(&comparison());
    let mut many: Vec<RunSummary> = Vec::new();
    for i in 0..12 {
        for mut run in runs()
            .into_iter()
            .filter(|run| run.method == ["linear", "vpt-deep"][i % 2])
        {
            run.method = format!(
                "{} with a very-long-name_that-nobody-should-give number {i}",
                run.method
            );
            run.results.tuned_params = Some(500 * (i + 1).pow(3));
            run.results.train_seconds = Some(3.0 * (i + 1) as f64);
            many.push(run);
        }
    }
    let many = Comparison::new(&many, &many[0].method).unwrap();
    let many = report::comparison_html(&many);
    check_structure(&many);
    web_page::browser::check(&[("full", &full), ("plain", &plain), ("many", &many)]);
    if let Some(folder) = std::env::var_os("VPT_EXAMPLE_PAGES") {
        let path = std::path::Path::new(&folder).join("full.md");
        std::fs::write(path, report::comparison_markdown(&full_comparison())).unwrap();
    }
}
