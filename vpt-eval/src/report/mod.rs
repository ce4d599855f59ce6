//! Reports: pure functions from results to text and pictures. The same input gives the same bytes.

mod axes;
mod base64;
mod class_curves;
mod comparison_html;
mod comparison_markdown;
mod confusion;
mod confusions;
mod curves;
mod decision_curve;
mod evaluated;
mod evaluation_html;
mod figure;
mod forest;
pub mod format;
mod gallery;
mod heat_map;
mod metric_tables;
mod plot;
mod precision_recall;
mod reliability;
mod risk_coverage;
mod roc;
mod scatter;
mod score_histogram;
mod svg;
mod thumbnail;
pub(crate) mod verdict;

pub use comparison_html::comparison_html;
pub use comparison_markdown::comparison_markdown;
pub use confusion::confusion_svg;
pub use curves::curves_svg;
pub use evaluation_html::{CardSection, EvaluationPage, evaluation_html};
pub use gallery::{Example, Gallery, most_confident_errors, random_examples};
pub use heat_map::heat_maps_png;
pub use metric_tables::{SubgroupRow, SubgroupTable};
pub use thumbnail::{attention_thumbnail, thumbnail};
