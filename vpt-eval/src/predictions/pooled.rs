//! The [`Predictions`] of several models as one.

use std::path::PathBuf;

use ndarray::{Array2, Axis, concatenate};

use vpt_data::Label;

use super::{Column, Found, Predictions};
use crate::EvalError;

impl Predictions {
    /// The predictions of several models of one task about different images, such as those of a cross-validation. Each model's
    /// logits are divided by its temperature; thresholds, which differ, are left out.
    pub fn pooled(parts: &[Self]) -> Result<Self, EvalError> {
        let first = parts.first().ok_or(EvalError::NoImages)?;
        if let Some(other) = parts
            .iter()
            .find(|part| (part.kind, &part.classes) != (first.kind, &first.classes))
        {
            return Err(EvalError::Mismatch {
                reason: format!(
                    "{} {:?} and {} {:?}",
                    first.kind, first.classes, other.kind, other.classes
                ),
            });
        }
        let found = Found::joined(parts);
        let scaled: Vec<Array2<f32>> = parts
            .iter()
            .map(|part| {
                let temperature = part.calibration.temperature;
                part.logits.mapv(|logit| (f64::from(logit) / temperature) as f32)
            })
            .collect();
        let rows: Vec<_> = scaled.iter().map(|part| part.view()).collect();
        let logits = concatenate(Axis(0), &rows).map_err(|error| EvalError::Mismatch {
            reason: error.to_string(),
        })?;
        let paths: Vec<PathBuf> = parts.iter().flat_map(|part| part.paths.clone()).collect();
        let labels: Vec<Label> = parts.iter().flat_map(|part| part.labels.clone()).collect();
        let whole = match &found {
            Some(_) => Self {
                paths,
                labels,
                found,
                ..Self::of_samples(&first.classes, &[])
            },
            None => Self::new(first.classes.clone(), paths, labels, logits)?,
        };
        let column = |(place, column): (usize, &Column)| {
            let values = |part: &Self| match part.columns.get(place) {
                Some(column) => column.values.clone(),
                None => vec![String::new(); part.len()],
            };
            Column {
                name: column.name.clone(),
                values: parts.iter().flat_map(values).collect(),
            }
        };
        let grouped = parts.iter().any(|part| !part.groups.is_empty());
        let groups = |part: &Self| match part.groups.is_empty() {
            true => vec![None; part.len()],
            false => part.groups.clone(),
        };
        Ok(Self {
            kind: first.kind,
            columns: first.columns.iter().enumerate().map(column).collect(),
            groups: parts.iter().filter(|_| grouped).flat_map(groups).collect(),
            seconds: parts.iter().map(|part| part.seconds).sum(),
            ..whole
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::predictions;
    use super::*;
    use vpt_data::Label;

    #[test]
    fn parts_are_pooled_at_their_temperatures() {
        let sharp = predictions();
        let mut warm = Predictions {
            groups: vec![Some("p".into()), None],
            ..predictions()
        };
        warm.calibration.temperature = 2.0;
        let pooled = Predictions::pooled(&[sharp.clone(), warm.clone()]).unwrap();
        assert_eq!((pooled.len(), pooled.calibration.temperature), (4, 1.0));
        assert_eq!(pooled.groups, [None, None, Some("p".into()), None]);
        assert_eq!(pooled.logits[[2, 0]], sharp.logits[[0, 0]] / 2.0);
        assert_eq!(pooled.labels, [1, 2, 1, 2].map(Label::One));
        warm.classes[0] = "other".into();
        assert!(Predictions::pooled(&[sharp, warm]).is_err());
        assert!(Predictions::pooled(&[]).is_err());
    }
}
