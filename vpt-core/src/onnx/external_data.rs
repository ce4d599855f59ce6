//! Values of tensors in a file beside the model.

use std::path::Path;

use super::proto::{ModelProto, StringStringEntryProto, Values};
use crate::CoreError;

/// Values begin at multiples of this, so that they can be mapped into memory.
const ALIGNMENT: u64 = 4096;

/// Fewer bytes stay in the model: shapes must be known before the values are read.
const LEAST: usize = 1024;

/// Moves the values of all larger tensors into the file `path` with `.data` behind it; returns its bytes.
///
/// # Errors
/// [`CoreError::Io`].
pub(super) fn move_out(model: &mut ModelProto, path: &Path) -> Result<u64, CoreError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".data");
    let data_path = path.with_file_name(&name);
    let location = name.to_string_lossy();
    let mut place = 0_u64;
    let written = vpt_data::atomic::write(&data_path, |file| {
        for tensor in &mut model.graph.initializer {
            let Values::Raw(bytes) = &tensor.values else {
                continue;
            };
            if bytes.len() < LEAST {
                continue;
            }
            let offset = place.next_multiple_of(ALIGNMENT);
            file.write_all(&vec![0; (offset - place) as usize])?;
            file.write_all(bytes)?;
            place = offset + bytes.len() as u64;
            tensor.values = Values::External(vec![
                StringStringEntryProto::new("location", location.clone()),
                StringStringEntryProto::new("offset", offset.to_string()),
                StringStringEntryProto::new("length", bytes.len().to_string()),
            ]);
        }
        Ok(())
    });
    written.map_err(|error| CoreError::io("write", &data_path, error))?;
    Ok(place)
}
