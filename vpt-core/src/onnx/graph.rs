//! [`Graph`]: an ONNX graph while it grows.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Tensor;
use half::f16;

use super::proto::{AttributeProto, DataType, GraphProto, NodeProto, TensorProto, ValueInfoProto, Values};
use crate::init::name_id;
use crate::{CoreError, HostTensor};

/// A tensor of a graph, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value(String);

/// Nodes in the order in which they are computed, and the constants that they read. Every node and every constant has a name
/// of its own that begins with the layer's name in timm: `blocks.0.attn.qkv/MatMul`.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    names: BTreeSet<String>,
    /// Constants that many nodes share, by their values.
    shared: BTreeMap<String, Value>,
    half: bool,
}

impl Graph {
    /// An empty graph. `half` stores [weights](Graph::weight) as float16.
    pub fn new(half: bool) -> Self {
        Self {
            half,
            ..Self::default()
        }
    }

    /// An input of the graph.
    pub fn input(&mut self, name: &str) -> Value {
        self.names.insert(name.to_owned());
        Value(name.to_owned())
    }

    /// The graph's message, with the inputs and outputs that it has.
    pub fn finish(self, name: &str, input: Vec<ValueInfoProto>, output: Vec<ValueInfoProto>) -> GraphProto {
        GraphProto {
            node: self.nodes,
            name: name.to_owned(),
            initializer: self.initializers,
            input,
            output,
        }
    }

    /// A node with one output, called `layer` and the name of its operation.
    pub fn node(
        &mut self,
        layer: &str,
        op: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let name = self.unused(format!("{layer}/{op}"));
        self.push(&name, op, inputs, vec![name.clone()], attributes);
        Value(name)
    }

    /// Gives `value` the name of an output of the graph.
    pub fn output(&mut self, name: &str, value: &Value) {
        self.push(name, "Identity", &[value], vec![name.to_owned()], Vec::new());
    }

    /// Splits an axis into `parts` of equal lengths.
    pub fn split<const N: usize>(&mut self, layer: &str, x: &Value, axis: i64, length: usize) -> [Value; N] {
        let lengths = self.ints(&[length as i64; N]);
        let name = self.unused(format!("{layer}/Split"));
        let outputs: [String; N] = std::array::from_fn(|part| format!("{name}:{part}"));
        let axis = vec![AttributeProto::int("axis", axis)];
        self.push(&name, "Split", &[x, &lengths], outputs.to_vec(), axis);
        outputs.map(Value)
    }

    /// What a model learned; stored as float16 where that is wanted and it has more than one axis.
    ///
    /// # Errors
    /// [`CoreError::Setting`] for values that are not finite in the stored type; [`CoreError::Device`].
    pub fn weight<const R: usize>(&mut self, name: &str, tensor: &Tensor<R>) -> Result<Value, CoreError> {
        let tensor = HostTensor::from_tensor(tensor)?;
        if !self.half || R < 2 {
            return self.floats(name, &tensor);
        }
        let finite = tensor.data.iter().all(|&x| f16::from_f32(x).is_finite());
        check_finite(
            finite,
            name,
            "values that float16 can hold; export without `--half`",
        )?;
        let stored = self.unused(format!("{name}.float16"));
        self.initialize(&stored, &tensor.shape, DataType::Float16, tensor.f16_bytes());
        let to = AttributeProto::int("to", DataType::Float as i64);
        let name = self.unused(name.to_owned());
        self.push(&name, "Cast", &[&Value(stored)], vec![name.clone()], vec![to]);
        Ok(Value(name))
    }

    /// A constant that follows from the model's shape, in float32 always.
    ///
    /// # Errors
    /// As [`Graph::weight`].
    pub fn constant<const R: usize>(&mut self, name: &str, tensor: &Tensor<R>) -> Result<Value, CoreError> {
        let tensor = HostTensor::from_tensor(tensor)?;
        self.floats(name, &tensor)
    }

    fn floats(&mut self, name: &str, tensor: &HostTensor) -> Result<Value, CoreError> {
        let finite = tensor.data.iter().all(|x| x.is_finite());
        check_finite(finite, name, "finite values")?;
        let name = self.unused(name.to_owned());
        self.initialize(&name, &tensor.shape, DataType::Float, tensor.f32_bytes());
        Ok(Value(name))
    }

    /// A number, shared by all nodes that read it.
    pub fn scalar(&mut self, value: f32) -> Value {
        let name = format!("float/{value:e}");
        self.share(name, &[], DataType::Float, || value.to_le_bytes().to_vec())
    }

    /// Whole numbers on one axis, shared by all nodes that read them: shapes, places, axes.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
        let name = match texts.join(",") {
            // Names of nodes are looked at; those of long lists are not read.
            long if long.len() > 40 => format!("int64/{:016x}", name_id(&long)),
            short => format!("int64/{short}"),
        };
        let bytes = || values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.share(name, &[values.len()], DataType::Int64, bytes)
    }

    fn share(
        &mut self,
        name: String,
        shape: &[usize],
        data_type: DataType,
        bytes: impl FnOnce() -> Vec<u8>,
    ) -> Value {
        if let Some(value) = self.shared.get(&name) {
            return value.clone();
        }
        let value = Value(self.unused(name.clone()));
        self.initialize(&value.0, shape, data_type, bytes());
        self.shared.insert(name, value.clone());
        value
    }

    fn initialize(&mut self, name: &str, shape: &[usize], data_type: DataType, bytes: Vec<u8>) {
        self.initializers.push(TensorProto {
            dims: shape.iter().map(|&length| length as i64).collect(),
            data_type,
            name: name.to_owned(),
            values: Values::Raw(bytes),
        });
    }

    fn push(
        &mut self,
        name: &str,
        op: &str,
        inputs: &[&Value],
        output: Vec<String>,
        attribute: Vec<AttributeProto>,
    ) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output,
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute,
        });
    }

    /// The name, with a number behind it if it is taken.
    fn unused(&mut self, name: String) -> String {
        let numbered = (1..).map(|number| format!("{name}_{number}"));
        let free = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !self.names.contains(name))
            .unwrap_or(name);
        self.names.insert(free.clone());
        free
    }
}

fn check_finite(finite: bool, name: &str, expected: &str) -> Result<(), CoreError> {
    match finite {
        true => Ok(()),
        false => Err(CoreError::setting(name, "not finite", expected)),
    }
}
