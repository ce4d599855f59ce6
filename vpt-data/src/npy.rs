//! [`NpyArray`]: the one array of a `.npy` file (NumPy's `numpy.lib.format`, versions 1 to 3).
//!
//! The header is read here and not by a crate, so that no length that a file claims is believed before it is compared with
//! the bytes that are there.

/// An array as its file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyArray<'a> {
    /// Type of the values, such as `<f4` (little-endian float32) or `|u1` (byte).
    pub kind: &'a str,
    /// Whether the first axis runs fastest.
    pub fortran: bool,
    /// Lengths of the axes; none for a single value.
    pub shape: Vec<usize>,
    /// The values' bytes.
    pub values: &'a [u8],
}

impl<'a> NpyArray<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// What is wrong, as the rest of a sentence that begins with the array's name.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let (header, values) = split(bytes).ok_or("is no .npy file")?;
        let kind = between(header, "'descr':", ',')
            .and_then(|text| text.trim().strip_prefix('\'')?.strip_suffix('\''))
            .ok_or("has no plain type")?;
        let fortran = match between(header, "'fortran_order':", ',').map(str::trim) {
            Some("False") => false,
            Some("True") => true,
            _ => return Err("has a header without `fortran_order`".into()),
        };
        let shape = between(header, "'shape':", ')')
            .and_then(|text| text.trim().strip_prefix('('))
            .and_then(axes)
            .ok_or("has a header without `shape`")?;
        Ok(Self {
            kind,
            fortran,
            shape,
            values,
        })
    }

    /// Checks that there are as many values of `width` bytes as the shape says.
    ///
    /// # Errors
    /// As [`NpyArray::parse`].
    pub fn check_size(&self, width: usize) -> Result<(), String> {
        let axes = self.shape.iter();
        let expected = axes
            .clone()
            .try_fold(width, |product: usize, &axis| product.checked_mul(axis));
        if expected == Some(self.values.len()) {
            return Ok(());
        }
        Err(format!(
            "has shape {:?} and {} bytes",
            self.shape,
            self.values.len()
        ))
    }
}

/// Header text and values.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (version, rest) = bytes.strip_prefix(b"\x93NUMPY")?.split_first_chunk::<2>()?;
    let (length, rest) = if version[0] == 1 {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        (u16::from_le_bytes(*length) as usize, rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, values) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, values))
}

/// The text after `key` up to `end`.
fn between<'a>(header: &'a str, key: &str, end: char) -> Option<&'a str> {
    header.split_once(key)?.1.split_once(end).map(|(value, _)| value)
}

/// `3, 4` and `3,` as numbers; nothing for a scalar.
fn axes(text: &str) -> Option<Vec<usize>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().ok()).collect()
}
