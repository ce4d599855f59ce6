//! Predictions, metrics with intervals, comparison statistics and reports.
//!
//! A model's output on labelled images is a [`Predictions`]; [`metrics`] are pure functions of it, [`Bootstrap`]
//! gives each an interval, and [`Results`] collects them for `results.json`. [`statistics`] holds further intervals and
//! tests. Several runs on the same images make a [`Comparison`]. [`report`] turns all of these into SVG, Markdown and HTML
//! text.

mod attention;
pub mod bootstrap;
mod calibrate;
mod cka;
mod comparison;
pub mod csv;
mod epoch;
mod error;
mod features;
mod find;
mod knn;
mod memory;
pub mod metrics;
mod not_defined;
pub mod overlay;
mod predict;
mod predictions;
mod prevalence;
pub mod report;
mod results;
pub mod statistics;
mod stitch;
mod subgroups;
mod suite;

pub use attention::{PromptAttention, Rollout, prompt_attention, rollout};
pub use bootstrap::{Bootstrap, Estimate, IntervalMethod};
pub use calibrate::{AbstainRule, CalibrationPlan, ThresholdRule};
pub use cka::linear_cka;
pub use comparison::{
    Comparison, ComparisonRow, Costs, FewShotCrossing, FewShotCurve, FewShotPoint, FewShotRun, Forgetting,
    McNemarTests, MethodSearch, Pair, RunCurves, RunSummary, Rung, SeedTest, SourceScore, Trial, TrialEnd,
    few_shot,
};
pub use epoch::EpochRow;
pub use error::EvalError;
pub use features::{FeatureExtractor, FeatureFormat, FeatureKind, FeatureRequest, FeatureShapes};
pub use find::{Finder, FoundBatch, FoundIn, PlaceOutput, Seen, find, in_picture};
pub use knn::Knn;
pub use memory::{available_memory_bytes, peak_memory_bytes, resident_memory_bytes};
pub use not_defined::NotDefined;
pub use predict::{PredictOptions, predict};
pub use predictions::{Column, Found, Predictions};
pub use prevalence::AtPrevalence;
pub use results::{Abstention, ClassRow, MetricValue, PlaceRow, Results};
pub use subgroups::Subgroup;
pub use suite::{Suite, SuiteTask};
