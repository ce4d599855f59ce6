//! The one place that knows how a module's parameters are called and laid out in files.
//!
//! Files use timm's names and torch's layout. Field names follow timm, so a name is the parameter's path
//! without the `backbone.` in front; linear weights are `[in, out]` in the module and `[out, in]` in files,
//! and the patch projection is a matrix in the module and a convolution kernel in files.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor};

use crate::freed_memory::FreedMemory;
use crate::init::name_id;
use crate::vit::VitConfig;
use crate::{HostTensor, Precision};

/// The patch projection, the one 4-dimensional tensor.
const PATCH_PROJECTION: &str = "patch_embed.proj.weight";

/// What is known of a parameter without reading its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamInfo {
    /// Its identity in the module and the optimiser.
    pub id: ParamId,
    /// Its shape in files.
    pub shape: Vec<usize>,
}

/// Name and description of every parameter of `module`.
pub fn describe<M: Module>(module: &M, vit: &VitConfig) -> BTreeMap<String, ParamInfo> {
    let found = BTreeMap::new();
    visited(module, Describe { vit, found }).found
}

/// The values of the parameters whose name `wanted` accepts, in file layout.
///
/// # Panics
/// When the device cannot deliver its own tensors.
pub fn read<M: Module>(
    module: &M,
    vit: &VitConfig,
    wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, HostTensor> {
    let reader = Read {
        vit,
        wanted,
        gradients: None,
        found: BTreeMap::new(),
    };
    visited(module, reader).found
}

/// The gradients of all parameters that have one, in file layout.
///
/// # Panics
/// When the device cannot deliver its own tensors.
pub fn read_gradients<M: Module>(
    module: &M,
    vit: &VitConfig,
    gradients: &Gradients,
) -> BTreeMap<String, HostTensor> {
    let reader = Read {
        vit,
        wanted: |_: &str| true,
        gradients: Some(gradients),
        found: BTreeMap::new(),
    };
    visited(module, reader).found
}

/// Replaces the value of every parameter that `source` has a tensor for. A tensor that `source` gives away becomes the
/// parameter or is dropped as soon as it has been transposed, so of all tensors at most one is held twice.
///
/// Each replaced parameter gets an identity derived from its name, so that optimiser records match
/// in another process. Whether it requires a gradient is left as it was.
///
/// # Panics
/// When a tensor has another number of values than its parameter (callers compare shapes first).
pub fn load<'a, M: Module>(module: M, source: impl FnMut(&str) -> Option<Cow<'a, HostTensor>>) -> M {
    let freed = FreedMemory::default();
    mapped(module, Load { source, freed })
}

/// The parameters of a module on their device, by name. Handing them to another module copies nothing.
#[derive(Default)]
pub struct SharedTensors(BTreeMap<String, Box<dyn Any + Send + Sync>>);

impl SharedTensors {
    /// Those of `module`.
    pub fn of<M: Module>(module: &M) -> Self {
        let found = Self::default();
        visited(module, Share { found }).found
    }

    /// `module` with these in place of its parameters of the same names and ranks.
    pub fn put_into<M: Module>(&self, module: M) -> M {
        mapped(module, PutShared { shared: self })
    }
}

impl fmt::Debug for SharedTensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Sets for every parameter whether it requires a gradient.
pub fn set_tuned<M: Module>(module: M, tuned: impl Fn(&str) -> bool) -> M {
    mapped(module, SetTuned { tuned })
}

/// Stores the weights of linear layers that `chosen` names in another precision.
pub fn store_linear<M: Module>(module: M, precision: Precision, chosen: impl Fn(&str) -> bool) -> M {
    let freed = FreedMemory::default();
    mapped(
        module,
        StoreLinear {
            precision,
            chosen,
            freed,
        },
    )
}

/// Where a traversal is in the module tree.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    /// The name in files.
    fn name(&self) -> String {
        let path = self.0.join(".");
        if let Some(rest) = path.strip_prefix("tuner.Prompts.") {
            return match rest.strip_prefix("tokens") {
                Some(".0") => "prompts".to_owned(),
                Some(further) => format!("prompts{further}"),
                None => format!("prompt_{rest}"),
            };
        }
        // `head` and its kind.
        if let Some((_, rest)) = path.strip_prefix("head.").and_then(|rest| rest.split_once('.')) {
            return format!("head.{rest}");
        }
        // `tuner`, the kind of tuner, and a path like those of the backbone.
        let added = path.strip_prefix("tuner.").and_then(|rest| rest.split_once('.'));
        let own = added.map_or(&*path, |(_, rest)| rest);
        own.strip_prefix("backbone.").unwrap_or(own).to_owned()
    }
}

/// Sees parameters with their names in files.
trait NamedVisitor {
    fn visit<const R: usize>(&mut self, name: String, param: &Param<Tensor<R>>);
}

/// Changes parameters, told their names in files.
trait NamedMapper {
    fn map<const R: usize>(&mut self, name: &str, param: Param<Tensor<R>>) -> Param<Tensor<R>>;
}

/// A traversal of a module that tells whoever goes along where it is.
struct Named<V> {
    path: Path,
    inner: V,
}

impl<V> Named<V> {
    fn new(inner: V) -> Self {
        Self {
            path: Path::default(),
            inner,
        }
    }
}

impl<V: NamedVisitor> ModuleVisitor for Named<V> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const R: usize>(&mut self, param: &Param<Tensor<R>>) {
        self.inner.visit(self.path.name(), param);
    }
}

impl<V: NamedMapper> ModuleMapper for Named<V> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const R: usize>(&mut self, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        self.inner.map(&self.path.name(), param)
    }
}

/// `visitor` after it has seen all parameters of `module`.
fn visited<M: Module, V: NamedVisitor>(module: &M, visitor: V) -> V {
    let mut named = Named::new(visitor);
    module.visit(&mut named);
    named.inner
}

/// `module` with what `mapper` makes of its parameters.
fn mapped<M: Module, V: NamedMapper>(module: M, mapper: V) -> M {
    module.map(&mut Named::new(mapper))
}

/// Whether a parameter is the weight of a linear layer.
fn is_linear_weight(name: &str, rank: usize) -> bool {
    rank == 2 && name.ends_with(".weight")
}

/// The shape in files of a parameter whose shape in the module is `shape`.
fn file_shape(name: &str, shape: &[usize], vit: &VitConfig) -> Vec<usize> {
    match *shape {
        [_, output] if name == PATCH_PROJECTION => {
            vec![output, vit.in_chans, vit.patch_size[0], vit.patch_size[1]]
        }
        [input, output] if is_linear_weight(name, 2) => vec![output, input],
        _ => shape.to_vec(),
    }
}

/// A row-major `[rows, columns]` matrix transposed.
fn transposed(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| data[row * columns + column]))
        .collect()
}

struct Describe<'a> {
    vit: &'a VitConfig,
    found: BTreeMap<String, ParamInfo>,
}

impl NamedVisitor for Describe<'_> {
    fn visit<const R: usize>(&mut self, name: String, param: &Param<Tensor<R>>) {
        let shape = file_shape(&name, &param.lazy_shape().dims::<R>(), self.vit);
        self.found.insert(name, ParamInfo { id: param.id, shape });
    }
}

struct Read<'a, F> {
    vit: &'a VitConfig,
    wanted: F,
    /// Where to read gradients instead of values.
    gradients: Option<&'a Gradients>,
    found: BTreeMap<String, HostTensor>,
}

impl<F: Fn(&str) -> bool> NamedVisitor for Read<'_, F> {
    fn visit<const R: usize>(&mut self, name: String, param: &Param<Tensor<R>>) {
        if !(self.wanted)(&name) {
            return;
        }
        let value = match self.gradients {
            None => Some(param.val()),
            Some(gradients) => param.val().grad(gradients),
        };
        let Some(value) = value else {
            return;
        };
        let mut tensor = HostTensor::from_tensor(&value).expect("a device delivers its own tensors");
        if is_linear_weight(&name, R) {
            tensor.data = transposed(&tensor.data, tensor.shape[0], tensor.shape[1]);
        }
        tensor.shape = file_shape(&name, &tensor.shape, self.vit);
        self.found.insert(name, tensor);
    }
}

struct Load<F> {
    source: F,
    freed: FreedMemory,
}

impl<'a, F: FnMut(&str) -> Option<Cow<'a, HostTensor>>> NamedMapper for Load<F> {
    fn map<const R: usize>(&mut self, name: &str, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        let Some(tensor) = (self.source)(name) else {
            return param;
        };
        let shape = param.lazy_shape().dims::<R>().to_vec();
        let data = if is_linear_weight(name, R) {
            let data = transposed(&tensor.data, shape[1], shape[0]);
            drop(tensor);
            self.freed.add_floats(data.len());
            data
        } else {
            tensor.into_owned().data
        };
        let device = param.lazy_device();
        let value = HostTensor::new(shape, data).into_tensor(&device);
        param.transform_for_load(value, ParamId::from(name_id(name)))
    }
}

struct Share {
    found: SharedTensors,
}

impl NamedVisitor for Share {
    fn visit<const R: usize>(&mut self, name: String, param: &Param<Tensor<R>>) {
        self.found.0.insert(name, Box::new(param.val()));
    }
}

struct PutShared<'a> {
    shared: &'a SharedTensors,
}

impl NamedMapper for PutShared<'_> {
    fn map<const R: usize>(&mut self, name: &str, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        let shared = self
            .shared
            .0
            .get(name)
            .and_then(|tensor| tensor.downcast_ref::<Tensor<R>>());
        match shared {
            Some(tensor) => param.transform_for_load(tensor.clone(), ParamId::from(name_id(name))),
            None => param,
        }
    }
}

struct StoreLinear<F> {
    precision: Precision,
    chosen: F,
    freed: FreedMemory,
}

impl<F: Fn(&str) -> bool> NamedMapper for StoreLinear<F> {
    fn map<const R: usize>(&mut self, name: &str, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        if !is_linear_weight(name, R) || !(self.chosen)(name) {
            return param;
        }
        self.freed.add_floats(param.lazy_shape().num_elements());
        param.map(|weight| self.precision.store(weight))
    }
}

struct SetTuned<F> {
    tuned: F,
}

impl<F: Fn(&str) -> bool> NamedMapper for SetTuned<F> {
    fn map<const R: usize>(&mut self, name: &str, param: Param<Tensor<R>>) -> Param<Tensor<R>> {
        let tuned = (self.tuned)(name);
        param.set_require_grad(tuned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_paths() {
        let name = |path: &[&str]| Path(path.iter().map(|part| (*part).to_owned()).collect()).name();
        assert_eq!(
            name(&["backbone", "blocks", "3", "attn", "qkv", "weight"]),
            "blocks.3.attn.qkv.weight"
        );
        assert_eq!(name(&["tuner", "Prompts", "tokens", "0"]), "prompts");
        assert_eq!(name(&["tuner", "Prompts", "tokens", "2"]), "prompts.2");
        assert_eq!(name(&["tuner", "Prompts", "proj", "bias"]), "prompt_proj.bias");
        assert_eq!(name(&["tuner", "Prompts", "gate"]), "prompt_gate");
        assert_eq!(
            name(&["tuner", "Lora", "blocks", "3", "attn", "qkv", "lora_A", "weight"]),
            "blocks.3.attn.qkv.lora_A.weight"
        );
        assert_eq!(name(&["tuner", "Ssf", "ssf_scale_1"]), "ssf_scale_1");
        assert_eq!(name(&["head", "Linear", "weight"]), "head.weight");
        assert_eq!(
            name(&["head", "Detection", "pyramid", "smooth", "2", "bias"]),
            "head.pyramid.smooth.2.bias"
        );
    }

    #[test]
    fn transposing_twice_is_the_identity() {
        let data: Vec<f32> = (0..6u8).map(f32::from).collect();
        assert_eq!(transposed(&data, 2, 3), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(transposed(&transposed(&data, 2, 3), 3, 2), data);
    }
}
