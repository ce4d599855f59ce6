//! What training did to what the backbone knew: proof by hash, the source task asked again, and how features moved.

use std::collections::BTreeMap;

use anyhow::Result;
use vpt_core::task_file::TaskFile;
use vpt_core::weights::{canonical_sha256, is_classifier};
use vpt_core::{Backbone, HostTensor};
use vpt_eval::{
    Bootstrap, Comparison, FeatureExtractor, Forgetting, PredictOptions, Predictions, Results, RunSummary,
    SourceScore, linear_cka,
};

use super::measured::Measured;
use super::source_task::{self, SourceTask};
use crate::progress;
use crate::session::Session;

/// What is asked of each tuned backbone.
pub struct Questions<'a> {
    /// The backbone before.
    pub backbone: &'a Backbone,
    /// Something that it could do.
    pub source: Option<&'a SourceTask>,
    /// Images of the new task, on which features are compared.
    pub samples: &'a [vpt_data::Sample],
    /// Image size of the new task, `[height, width]`.
    pub image_size: [usize; 2],
    /// Stands for those images in the name of what was measured.
    pub data_fingerprint: &'a str,
    /// How intervals are made.
    pub bootstrap: &'a Bootstrap,
}

impl Questions<'_> {
    /// The answers for one method, whose runs (seed and task file) are `tasks`.
    pub fn ask(
        &self,
        method: &str,
        tasks: &[(u64, TaskFile)],
        session: &Session,
        measured: &mut Measured,
    ) -> Result<Forgetting> {
        let changed: Vec<(u64, BTreeMap<String, HostTensor>)> = tasks
            .iter()
            .map(|(seed, task)| (*seed, self.changed(task)))
            .collect();
        let unchanged = changed.iter().all(|(_, tensors)| tensors.is_empty());
        if unchanged {
            return Ok(Forgetting {
                backbone_unchanged: true,
                backbone_sha256: self.backbone.sha256.clone(),
                ..Forgetting::default()
            });
        }
        let states: Vec<String> = changed
            .iter()
            .map(|(_, tensors)| canonical_sha256(tensors))
            .collect();
        let source = self.source.map_or("none", |source| source.fingerprint.as_str());
        let key = format!(
            "forgetting of {method}, backbone {}, changed {}, source {source}, images {}, level {}",
            self.backbone.sha256,
            states.join(" "),
            self.data_fingerprint,
            self.bootstrap.level,
        );
        measured.value(&key, || {
            let first = source_task::with(self.backbone, &changed[0].1);
            let own = first.tensors.iter().filter(|(name, _)| !is_classifier(name));
            let own: BTreeMap<_, _> = own.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
            Ok(Forgetting {
                backbone_unchanged: false,
                backbone_sha256: canonical_sha256(&own),
                source: self
                    .source
                    .map(|source| self.source_score(source, &changed, session))
                    .transpose()?,
                cka: self.cka(&changed, session)?,
            })
        })
    }

    /// The backbone's own tensors that a task has other values for.
    fn changed(&self, task: &TaskFile) -> BTreeMap<String, HostTensor> {
        let other = |(name, tensor): &(&String, &HostTensor)| {
            !is_classifier(name) && self.backbone.tensors.get(*name).is_some_and(|own| own != *tensor)
        };
        let tensors = task.tensors.iter().filter(other);
        tensors
            .map(|(name, tensor)| (name.clone(), tensor.clone()))
            .collect()
    }

    /// The source task before and after, as a comparison of two methods over the seeds.
    fn source_score(
        &self,
        source: &SourceTask,
        changed: &[(u64, BTreeMap<String, HostTensor>)],
        session: &Session,
    ) -> Result<SourceScore> {
        let before = source.predict(self.backbone, &BTreeMap::new(), session)?;
        let mut runs = Vec::new();
        for (seed, tensors) in changed {
            runs.push(self.summary("before", *seed, before.clone()));
            runs.push(self.summary("after", *seed, source.predict(self.backbone, tensors, session)?));
        }
        let metric = "top1";
        let comparison = Comparison::with_metric(&runs, "before", metric, self.bootstrap)?;
        let row = |method: &str| comparison.rows.iter().find(|row| row.method == method);
        Ok(SourceScore {
            task: source.name.clone(),
            metric: metric.to_owned(),
            images: before.len(),
            before: row("before").map(|row| row.score).unwrap_or_default(),
            after: row("after").map(|row| row.score).unwrap_or_default(),
            difference: row("after").and_then(|row| row.difference).unwrap_or_default(),
        })
    }

    fn summary(&self, method: &str, seed: u64, predictions: Predictions) -> RunSummary {
        let few = Bootstrap {
            resamples: 2,
            ..*self.bootstrap
        };
        RunSummary {
            method: method.to_owned(),
            seed,
            results: Results::from_predictions(&predictions, &few),
            predictions,
            epochs: Vec::new(),
            run_dir: std::path::PathBuf::new(),
        }
    }

    /// Mean over the runs of how alike the features are before and after.
    fn cka(&self, changed: &[(u64, BTreeMap<String, HostTensor>)], session: &Session) -> Result<Option<f64>> {
        let features = |tensors: &BTreeMap<String, HostTensor>| {
            let device = session.device()?.device;
            let backbone = source_task::with(self.backbone, tensors);
            let extractor = FeatureExtractor::new(backbone, Some(self.image_size), &device)?;
            let bar = progress::images(session.output, "features", self.samples.len());
            let features = extractor.extract(self.samples, &PredictOptions::default(), &mut |done| {
                bar.set_position(done as u64);
            });
            bar.finish_and_clear();
            anyhow::Ok(features?)
        };
        let before = features(&BTreeMap::new())?;
        let mut alike = Vec::new();
        for (_, tensors) in changed {
            alike.extend(linear_cka(&before, &features(tensors)?));
        }
        let mean = alike.iter().sum::<f64>() / alike.len() as f64;
        Ok((alike.len() == changed.len()).then_some(mean))
    }
}
