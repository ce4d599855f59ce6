//! Several tasks as one page: a table across them, then the metrics of each.

use askama::Template;

use super::figure::{Row, Table};
use super::format::{method_title, metric_title};
use super::metric_tables::{class_table, metrics_table};
use super::suite_row::SuiteRow;
use crate::{Suite, SuiteTask};

#[derive(Template)]
#[template(path = "suite.html")]
struct Page<'a> {
    suite: &'a Suite,
    summary: String,
    table: Table,
    sections: Vec<Section>,
}

struct Section {
    title: String,
    about: String,
    tables: Vec<Table>,
}

/// A self-contained HTML page about a suite.
pub fn suite_html(suite: &Suite) -> String {
    let backbones = match suite.backbones {
        1 => "one backbone".to_owned(),
        several => format!("{several} backbones"),
    };
    let section = |task: &SuiteTask| Section {
        title: task.name.clone(),
        about: format!(
            "{} ({}), {} on {}: {} of the {} split. Decisions: {}. Task file: {}.",
            task.results.task,
            task.kind,
            method_title(&task.results.method),
            task.results.model,
            super::evaluated::images(task.results.images),
            task.results.split,
            task.results.calibration,
            task.file.display(),
        ),
        tables: [
            Some(metrics_table(&task.results, &task.main_metric)),
            class_table(&task.results),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    let page = Page {
        summary: format!(
            "{} tasks, each measured on {backbones} in memory.",
            suite.tasks.len()
        ),
        table: table(suite),
        sections: suite.tasks.iter().map(section).collect(),
        suite,
    };
    // Rendering into a String fails only if a Display implementation does, and ours are numbers and strings.
    page.render().unwrap_or_default()
}

fn table(suite: &Suite) -> Table {
    let row = |task: &SuiteTask| -> Row {
        let row = SuiteRow::of(task);
        let titled = SuiteRow {
            method: method_title(&row.method).to_owned(),
            metric: metric_title(&row.metric),
            ..row
        };
        titled.cells().to_vec().into()
    };
    Table {
        caption: "Each task by its own metric, with intervals. What is better when larger is in percent."
            .to_owned(),
        columns: SuiteRow::TITLES.map(str::to_owned).into(),
        rows: suite.tasks.iter().map(row).collect(),
        ends_in_text: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bootstrap, Predictions, Results};
    use ndarray::Array2;
    use vpt_data::TaskKind;

    #[test]
    fn every_task_has_its_row_and_its_numbers() {
        let logits = Array2::from_shape_fn((20, 2), |(i, class)| f32::from(u8::from(i % 2 == class)));
        let paths = (0..20).map(|i| format!("{i}.png").into()).collect();
        let labels = (0..20).map(|i| usize::from(i % 2 == 1 && i > 2)).collect();
        let predictions = Predictions::new(vec!["a".into(), "<b>".into()], paths, labels, logits).unwrap();
        let options = Bootstrap {
            resamples: 50,
            ..Bootstrap::default()
        };
        let task = |name: &str| SuiteTask {
            name: name.to_owned(),
            file: "x.safetensors".into(),
            kind: TaskKind::Classification,
            main_metric: "top1".into(),
            results: Results::from_predictions(&predictions, &options),
        };
        let html = suite_html(&Suite::new(
            "ward <3>".into(),
            1,
            vec![task("chest"), task("eyes")],
        ));
        assert!(html.contains("ward &#60;3&#62;") && html.contains("&#60;b&#62;"));
        assert!(html.contains("#task-1\">chest") && html.contains("id=\"task-2\""));
        assert!(html.contains("one backbone") && html.contains("90.0 ["));
        assert!(!html.contains("http"), "nothing comes from elsewhere");
    }
}
