//! What the server says of images, as JSON.

use serde::Serialize;
use utoipa::ToSchema;

/// What a task says of the images of a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TaskAnswer {
    /// Name of the task.
    pub task: String,
    /// `classification`, `ordinal`, `multi-label`, `detection` or `segmentation`.
    #[schema(example = "classification")]
    pub kind: String,
    /// Names of the classes, in the order of `probs` and `logits`.
    pub classes: Vec<String>,
    /// One for each image, in the order of the request.
    pub predictions: Vec<Prediction>,
}

/// What several tasks say of the images of a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Answers {
    /// One for each task, in the order of the request.
    pub results: Vec<TaskAnswer>,
}

/// What a task says of one image.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Prediction {
    /// File name that the client gave, or `image 1`.
    pub name: String,
    /// Width and height of the image in pixels, after the rotation that its file asks for.
    pub size: [u32; 2],
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What was found in an image.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Finding {
    /// Of the image as a whole.
    Whole(Whole),
    /// Where objects are.
    Objects {
        /// The likeliest first; those below the task's threshold are left out.
        objects: Vec<Object>,
    },
    /// What each pixel is.
    Masks {
        /// One for each class that has a pixel, in the order of the classes.
        masks: Vec<ClassPixels>,
    },
}

/// Of an image as a whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Whole {
    /// The class, as temperature and threshold of the task decide; of several `A|B`.
    pub label: String,
    /// The classes found, where an image has any number of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// What the head says.
    pub logits: Vec<f32>,
    /// Calibrated probabilities.
    pub probs: Vec<f64>,
    /// Whether the task would rather leave this image to somebody else; absent if it never does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstained: Option<bool>,
    /// Where the task looked, if the request asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<AttentionMap>,
}

/// Attention rollout: how much each patch contributes to what the head reads.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AttentionMap {
    /// Rows and columns.
    pub grid: [usize; 2],
    /// One for each patch, row by row.
    pub values: Vec<f32>,
    /// The part of the image that the patches cover: left, upper, right and lower edge in pixels, beyond its edges where the input is
    /// padded.
    pub bbox: [f64; 4],
    /// The part of what the head reads that is the prompts'.
    pub prompts: f32,
}

/// An object.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Object {
    /// Class.
    pub label: String,
    /// Between 0 and 1.
    pub score: f64,
    /// Left, upper, right and lower edge in pixels of the image.
    pub bbox: [f64; 4],
}

/// The pixels of a class.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClassPixels {
    /// Class.
    pub label: String,
    /// The part of the image that they are.
    pub share: f64,
    /// Which they are.
    pub segmentation: RunLengths,
}

/// Pixels as COCO's compressed run lengths.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunLengths {
    /// Height and width.
    pub size: [u32; 2],
    /// Column by column, as pycocotools writes them.
    pub counts: String,
}
