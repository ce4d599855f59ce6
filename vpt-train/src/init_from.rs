//! `--init-from`: the starting point is what another run learnt.

use std::collections::BTreeMap;
use std::path::Path;

use vpt_core::{HostTensor, TaskFile};

use crate::TrainError;

/// `tuned` with the tensors of the task file `path` in it, whether its head is among them, and a sentence on
/// what was taken over. The head is taken over only where the classes are the same, in the same order.
///
/// # Errors
/// [`TrainError::Core`] when the file cannot be read; [`TrainError::Setting`] when it is for another backbone, or when none
/// or not all of its tensors fit those that the method tunes.
pub fn init_from(
    path: &Path,
    mut tuned: BTreeMap<String, HostTensor>,
    classes: &[String],
    backbone_sha256: &str,
) -> Result<(BTreeMap<String, HostTensor>, bool, String), TrainError> {
    let unfit = |allowed: String| TrainError::Setting {
        flag: "--init-from",
        value: path.display().to_string(),
        allowed: format!("a task file {allowed}"),
    };
    let task = TaskFile::load(path)?;
    let found = &task.metadata.backbone.sha256;
    if found != backbone_sha256 {
        return Err(unfit(format!(
            "for the backbone with sha256 {backbone_sha256} (this one is for {found})"
        )));
    }
    let same_classes = task.metadata.task.classes == classes;
    let mut taken = Vec::new();
    for (name, tensor) in task.tensors {
        if name.starts_with("head.") && !same_classes {
            continue;
        }
        let Some(slot) = tuned.get_mut(&name) else {
            return Err(unfit(format!(
                "of the same method (tensor `{name}` of `{}` is not tuned)",
                task.metadata.method
            )));
        };
        if slot.shape != tensor.shape {
            let (found, expected) = (&tensor.shape, &slot.shape);
            return Err(unfit(format!(
                "whose tensor `{name}` is {expected:?} (it is {found:?})"
            )));
        }
        *slot = tensor;
        taken.push(name);
    }
    if taken.is_empty() {
        return Err(unfit("with prompts, or with a head for the same classes".into()));
    }
    let head = if same_classes {
        ""
    } else {
        "; the head starts anew, the classes differ"
    };
    let what = match taken.len() {
        ..=4 => taken.join(", "),
        many => format!("{many} tensors"),
    };
    let head_taken = taken.iter().any(|name| name.starts_with("head."));
    Ok((
        tuned,
        head_taken,
        format!("started from {what} of `{}`{head}", path.display()),
    ))
}
