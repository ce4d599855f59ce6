//! The messages of a model file, as far as this crate writes them: `onnx.proto3` of ONNX 1.12 (IR version 8), by the same names
//! and numbers of fields.

use std::io;

use super::wire::{Fields, Message};

/// A model file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ModelProto {
    pub ir_version: i64,
    pub producer_name: String,
    pub producer_version: String,
    pub doc_string: String,
    pub graph: GraphProto,
    pub opset_import: Vec<OperatorSetIdProto>,
    pub metadata_props: Vec<StringStringEntryProto>,
}

impl Message for ModelProto {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.int(1, self.ir_version)?;
        to.text(2, &self.producer_name)?;
        to.text(3, &self.producer_version)?;
        to.text(6, &self.doc_string)?;
        to.message(7, &self.graph)?;
        to.messages(8, &self.opset_import)?;
        to.messages(14, &self.metadata_props)
    }
}

/// Which operators the nodes mean; the standard ones without a domain.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct OperatorSetIdProto {
    pub domain: String,
    pub version: i64,
}

impl Message for OperatorSetIdProto {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.text(1, &self.domain)?;
        to.int(2, self.version)
    }
}

/// An entry of a table of texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct StringStringEntryProto {
    pub key: String,
    pub value: String,
}

impl StringStringEntryProto {
    pub fn new(key: &str, value: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
        }
    }
}

impl Message for StringStringEntryProto {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.text(1, &self.key)?;
        to.text(2, &self.value)
    }
}

/// Operations in an order in which they can be computed, and the tensors that are part of the model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct GraphProto {
    pub node: Vec<NodeProto>,
    pub name: String,
    pub initializer: Vec<TensorProto>,
    pub input: Vec<ValueInfoProto>,
    pub output: Vec<ValueInfoProto>,
}

impl Message for GraphProto {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.messages(1, &self.node)?;
        to.text(2, &self.name)?;
        to.messages(5, &self.initializer)?;
        to.messages(11, &self.input)?;
        to.messages(12, &self.output)
    }
}

/// An operation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct NodeProto {
    pub input: Vec<String>,
    pub output: Vec<String>,
    pub name: String,
    pub op_type: String,
    pub attribute: Vec<AttributeProto>,
}

impl Message for NodeProto {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.texts(1, &self.input)?;
        to.texts(2, &self.output)?;
        to.text(3, &self.name)?;
        to.text(4, &self.op_type)?;
        to.messages(5, &self.attribute)
    }
}

/// A setting of an operation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AttributeProto {
    pub name: String,
    pub value: Attribute,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Attribute {
    Float(f32),
    Int(i64),
    Ints(Vec<i64>),
}

impl AttributeProto {
    /// A number.
    pub fn float(name: &str, value: f32) -> Self {
        Self::new(name, Attribute::Float(value))
    }

    /// A whole number.
    pub fn int(name: &str, value: i64) -> Self {
        Self::new(name, Attribute::Int(value))
    }

    /// Whole numbers.
    pub fn ints(name: &str, values: &[usize]) -> Self {
        let values = values.iter().map(|&value| value as i64);
        Self::new(name, Attribute::Ints(values.collect()))
    }

    fn new(name: &str, value: Attribute) -> Self {
        Self {
            name: name.to_owned(),
            value,
        }
    }
}

impl Message for AttributeProto {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.text(1, &self.name)?;
        // Each with its `AttributeType`.
        match &self.value {
            Attribute::Float(value) => to.float(2, *value).and_then(|()| to.int(20, 1)),
            Attribute::Int(value) => to.int(3, *value).and_then(|()| to.int(20, 2)),
            Attribute::Ints(values) => to.ints(8, values).and_then(|()| to.int(20, 7)),
        }
    }
}

/// A tensor that is part of the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorProto {
    pub dims: Vec<i64>,
    pub data_type: DataType,
    pub name: String,
    /// Little-endian, row-major.
    pub values: Values,
}

/// Type of a tensor's values, with ONNX's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataType {
    Float = 1,
    Int64 = 7,
    Float16 = 10,
}

/// Where a tensor's values lie.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    /// In the model: `raw_data`.
    Raw(Vec<u8>),
    /// In another file: `external_data`, with `location`, `offset` and `length`.
    External(Vec<StringStringEntryProto>),
}

impl Message for TensorProto {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.ints(1, &self.dims)?;
        to.int(2, self.data_type as i64)?;
        to.text(8, &self.name)?;
        match &self.values {
            Values::Raw(bytes) => to.bytes(9, bytes),
            // `DataLocation::EXTERNAL`.
            Values::External(entries) => to.messages(13, entries).and_then(|()| to.int(14, 1)),
        }
    }
}

/// An input or output of a graph: float32 values of a shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ValueInfoProto {
    pub name: String,
    pub shape: TensorShapeProto,
}

impl ValueInfoProto {
    /// Values of the shape `[batch, rest…]` for any batch.
    pub fn batched(name: &str, rest: &[usize]) -> Self {
        let rest = rest.iter().map(|&length| Dimension::Value(length as i64));
        let batch = Dimension::Param("batch".to_owned());
        Self {
            name: name.to_owned(),
            shape: TensorShapeProto(std::iter::once(batch).chain(rest).collect()),
        }
    }
}

impl Message for ValueInfoProto {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.text(1, &self.name)?;
        to.message(2, &TypeProto(&self.shape))
    }
}

/// A type: always a tensor.
struct TypeProto<'a>(&'a TensorShapeProto);

impl Message for TypeProto<'_> {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.message(1, &TensorTypeProto(self.0))
    }
}

/// `TypeProto.Tensor`.
struct TensorTypeProto<'a>(&'a TensorShapeProto);

impl Message for TensorTypeProto<'_> {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.int(1, DataType::Float as i64)?;
        to.message(2, self.0)
    }
}

/// A shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorShapeProto(pub Vec<Dimension>);

impl Message for TensorShapeProto {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        to.messages(1, &self.0)
    }
}

/// Length of an axis, `TensorShapeProto.Dimension`: a number, or the name of what is not known before the model runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Dimension {
    Value(i64),
    Param(String),
}

impl Message for Dimension {
    fn write(&self, to: &mut Fields<'_>) -> io::Result<()> {
        match self {
            Self::Value(length) => to.int(1, *length),
            Self::Param(name) => to.text(2, name),
        }
    }
}
