//! Reports: pure functions from results to text and pictures. The same input gives the same bytes.

mod comparison_html;
mod comparison_markdown;
mod confusion;
mod curves;
mod forest;
pub mod format;
mod heat_map;
mod plot;
mod scatter;
mod svg;
pub(crate) mod verdict;

pub use comparison_html::comparison_html;
pub use comparison_markdown::comparison_markdown;
pub use confusion::confusion_svg;
pub use curves::curves_svg;
pub use heat_map::heat_maps_png;
