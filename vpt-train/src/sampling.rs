//! [`Sampling`]: which training images make up an epoch.

use serde::{Deserialize, Serialize};

/// Which training images make up an epoch (`--sampling`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Every image once.
    Shuffle,
    /// As many images, of every class equally many (to within one): images of small classes come several times, augmented
    /// anew each time; of large classes each epoch has a part.
    Balanced,
}
