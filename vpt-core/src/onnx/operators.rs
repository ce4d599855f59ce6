//! The operators that the layers are made of, one method each; shapes are known when the graph is built, all but the batch.

use super::graph::{Graph, Value};
use super::proto::AttributeProto;

impl Graph {
    /// `a + b`, with axes of length one repeated.
    pub fn add(&mut self, layer: &str, a: &Value, b: &Value) -> Value {
        self.node(layer, "Add", &[a, b], Vec::new())
    }

    /// `a · b` of each element.
    pub fn mul(&mut self, layer: &str, a: &Value, b: &Value) -> Value {
        self.node(layer, "Mul", &[a, b], Vec::new())
    }

    /// `a · factor`.
    pub fn scale(&mut self, layer: &str, a: &Value, factor: f64) -> Value {
        let factor = self.scalar(factor as f32);
        self.mul(layer, a, &factor)
    }

    /// `a − b`.
    pub fn sub(&mut self, layer: &str, a: &Value, b: &Value) -> Value {
        self.node(layer, "Sub", &[a, b], Vec::new())
    }

    /// The product of the matrices on the last two axes.
    pub fn matmul(&mut self, layer: &str, a: &Value, b: &Value) -> Value {
        self.node(layer, "MatMul", &[a, b], Vec::new())
    }

    /// Another shape: 0 keeps the length of the axis at the same place, −1 takes what is left.
    pub fn reshape(&mut self, layer: &str, x: &Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.node(layer, "Reshape", &[x, &shape], Vec::new())
    }

    /// The axes in another order.
    pub fn transpose(&mut self, layer: &str, x: &Value, order: &[usize]) -> Value {
        let order = vec![AttributeProto::ints("perm", order)];
        self.node(layer, "Transpose", &[x], order)
    }

    /// `start..end` of an axis.
    pub fn slice(&mut self, layer: &str, x: &Value, axis: i64, start: usize, end: usize) -> Value {
        let [start, end, axis] = [start as i64, end as i64, axis].map(|number| self.ints(&[number]));
        self.node(layer, "Slice", &[x, &start, &end, &axis], Vec::new())
    }

    /// The values one behind the other.
    pub fn concat(&mut self, layer: &str, values: &[&Value], axis: i64) -> Value {
        self.node(layer, "Concat", values, vec![AttributeProto::int("axis", axis)])
    }

    /// The entries `index` of an axis.
    pub fn gather(&mut self, layer: &str, x: &Value, index: &[i64], axis: i64) -> Value {
        let index = self.ints(index);
        self.node(
            layer,
            "Gather",
            &[x, &index],
            vec![AttributeProto::int("axis", axis)],
        )
    }

    /// The mean over an axis, which is gone then.
    pub fn mean(&mut self, layer: &str, x: &Value, axis: usize) -> Value {
        let attributes = vec![
            AttributeProto::ints("axes", &[axis]),
            AttributeProto::int("keepdims", 0),
        ];
        self.node(layer, "ReduceMean", &[x], attributes)
    }

    /// Softmax over the last axis.
    pub fn softmax(&mut self, layer: &str, x: &Value) -> Value {
        self.node(layer, "Softmax", &[x], vec![AttributeProto::int("axis", -1)])
    }

    /// `x` with a first axis of length one repeated as often as `like`'s first axis is long; `rank` is the number of `x`'s axes.
    pub fn repeat_as(&mut self, layer: &str, x: &Value, rank: usize, like: &Value) -> Value {
        let first = vec![AttributeProto::int("start", 0), AttributeProto::int("end", 1)];
        let count = self.node(layer, "Shape", &[like], first);
        // Axes of length one take the other's length.
        let ones = self.ints(&vec![1; rank - 1]);
        let shape = self.concat(layer, &[&count, &ones], 0);
        self.node(layer, "Expand", &[x, &shape], Vec::new())
    }

    /// `x` with axes of length one repeated to `shape`.
    pub fn expand(&mut self, layer: &str, x: &Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.node(layer, "Expand", &[x, &shape], Vec::new())
    }

    /// `x` with `after` zeros behind each axis.
    pub fn pad(&mut self, layer: &str, x: &Value, after: &[usize]) -> Value {
        let pads: Vec<i64> = after
            .iter()
            .map(|_| 0)
            .chain(after.iter().map(|&n| n as i64))
            .collect();
        let pads = self.ints(&pads);
        self.node(layer, "Pad", &[x, &pads], Vec::new())
    }
}
