use super::*;
use crate::VitConfig;
use crate::presets::preset;
use crate::weights::Backbone;

/// A small model of a family, without a head.
fn small(name: &str) -> Backbone {
    let config = VitConfig {
        img_size: [32, 32],
        patch_size: [16, 16],
        embed_dim: 24,
        depth: 2,
        num_heads: 3,
        ..preset(name).unwrap()
    };
    Backbone::random(config, 0, 1)
}

/// timm's tensors under the names of `convention`, query, key and value apart where it keeps them apart.
fn in_the_words_of(convention: &Convention, backbone: &Backbone) -> BTreeMap<String, HostTensor> {
    let own_name = |timm: &str| {
        let (module, leaf) = timm.rsplit_once('.').unwrap_or((timm, ""));
        let block = module
            .split('.')
            .nth(1)
            .filter(|part| part.parse::<usize>().is_ok());
        let named = |rule: &&(&str, &str)| {
            let rule = rule.1.replace('*', block.unwrap_or("*"));
            rule == timm || rule == module
        };
        let (own, of) = convention.rules.iter().find(named)?;
        let own = own.replace('*', block.unwrap_or("*"));
        Some(if of.replace('*', block.unwrap_or("*")) == timm {
            own
        } else {
            format!("{own}.{leaf}")
        })
    };
    let mut own = BTreeMap::new();
    for (name, tensor) in &backbone.tensors {
        if let Some(name) = own_name(name) {
            own.insert(name, tensor.clone());
            continue;
        }
        let rows = tensor.shape[0] / 3;
        for (i, part) in ["q", "k", "v"].iter().enumerate() {
            let shape: Vec<usize> = [rows]
                .into_iter()
                .chain(tensor.shape[1..].iter().copied())
                .collect();
            let count = tensor.numel() / 3;
            let third = HostTensor::new(shape, tensor.data[i * count..][..count].to_vec());
            own.insert(own_name(&name.replace("qkv", part)).expect("a rule"), third);
        }
    }
    own
}

#[test]
fn every_convention_becomes_timms() {
    for (convention, family) in [
        (&timm::TIMM, "deit3_small_patch16_224"),
        (&transformers::VIT, "vit_small_patch16_224"),
        (&transformers::VIT, "deit_small_distilled_patch16_224"),
        (&transformers::VIT, "vit_small_patch14_dinov2"),
        (&transformers::CLIP, "vit_base_patch16_clip_quickgelu_224"),
        (&open_clip::OPEN_CLIP, "vit_base_patch16_clip_224"),
    ] {
        let backbone = small(family);
        let renamed = to_timm(in_the_words_of(convention, &backbone)).unwrap();
        assert_eq!(renamed.origin, convention.origin, "{family}");
        assert_eq!(renamed.notes, Vec::<String>::new(), "{family}");
        assert_eq!(renamed.tensors, backbone.tensors, "{family}");
    }
}

#[test]
fn registers_of_dinov2_have_no_position() {
    let backbone = small("vit_small_patch14_reg4_dinov2");
    let mut published = in_the_words_of(&transformers::VIT, &backbone);
    let patches = &backbone.tensors["pos_embed"];
    let [_, rows, dim] = patches.shape[..] else {
        panic!("{:?}", patches.shape)
    };
    let with_class = [vec![0.0; dim], patches.data.clone()].concat();
    let with_class = HostTensor::new([1, rows + 1, dim], with_class);
    published.insert("embeddings.position_embeddings".into(), with_class);
    published.insert("embeddings.mask_token".into(), HostTensor::full([1, dim], 0.0));
    let renamed = to_timm(published).unwrap();
    assert_eq!(renamed.tensors, backbone.tensors);
    assert_eq!(renamed.notes, ["left out `embeddings.mask_token`"]);
}

/// The rows `from..to` of every three, two … equal parts of a tensor.
fn part(tensor: &HostTensor, index: usize, parts: usize) -> HostTensor {
    let mut shape = tensor.shape.clone();
    shape[0] /= parts;
    let count = tensor.numel() / parts;
    HostTensor::new(shape, tensor.data[index * count..][..count].to_vec())
}

/// DINOv3 as its authors publish it: gates and values apart, registers by another name, biases of keys that a mask
/// takes away, and the periods of the rotary embedding.
#[test]
fn dinov3_of_its_authors() {
    let mut backbone = small("vit_small_plus_patch16_dinov3_qkvb");
    let mut published = BTreeMap::new();
    for (name, tensor) in &mut backbone.tensors {
        let mut put = |name: String, tensor: HostTensor| _ = published.insert(name, tensor);
        if let Some(block) = name.strip_suffix("attn.qkv.bias") {
            let dim = tensor.numel() / 3;
            tensor.data = (0..3 * dim).map(|i| i as f32).collect();
            put(format!("{block}attn.qkv.bias"), tensor.clone());
            let mask = [vec![1.0; dim], vec![0.0; dim], vec![1.0; dim]].concat();
            put(
                format!("{block}attn.qkv.bias_mask"),
                HostTensor::new([3 * dim], mask),
            );
            tensor.data[dim..2 * dim].fill(0.0);
        } else if name.contains("mlp.fc1") {
            put(name.replace("fc1", "w1"), part(tensor, 0, 2));
            put(name.replace("fc1", "w2"), part(tensor, 1, 2));
        } else {
            let name = name
                .replace("mlp.fc2", "mlp.w3")
                .replace("reg_token", "storage_tokens");
            put(name, tensor.clone());
        }
    }
    published.insert("mask_token".into(), HostTensor::full([1, 24], 0.0));
    published.insert("rope_embed.periods".into(), HostTensor::full([2], 1.0));
    let renamed = to_timm(published).unwrap();
    assert_eq!(renamed.tensors, backbone.tensors);
    assert_eq!(renamed.notes, ["left out `mask_token` and `rope_embed`"]);
}

/// EVA-02 as its authors publish it: projections apart and keys without bias, angles in every block.
#[test]
fn eva02_of_its_authors() {
    let mut backbone = small("eva02_base_patch14_224");
    let mut published = BTreeMap::new();
    for (name, tensor) in &mut backbone.tensors {
        let mut put = |name: String, tensor: HostTensor| _ = published.insert(name, tensor);
        if let Some(block) = name.strip_suffix("attn.qkv.bias") {
            let dim = tensor.numel() / 3;
            tensor.data = (0..3 * dim).map(|i| i as f32).collect();
            tensor.data[dim..2 * dim].fill(0.0);
            put(format!("{block}attn.q_bias"), part(tensor, 0, 3));
            put(format!("{block}attn.v_bias"), part(tensor, 2, 3));
            put(
                format!("{block}attn.rope.freqs_cos"),
                HostTensor::full([4, 8], 1.0),
            );
        } else if let Some(block) = name.strip_suffix("attn.qkv.weight") {
            for (index, letter) in ["q", "k", "v"].iter().enumerate() {
                put(
                    format!("{block}attn.{letter}_proj.weight"),
                    part(tensor, index, 3),
                );
            }
        } else if name.contains("mlp.fc1") {
            put(name.replace("fc1", "w1"), part(tensor, 0, 2));
            put(name.replace("fc1", "w2"), part(tensor, 1, 2));
        } else {
            let name = name
                .replace("mlp.fc2", "mlp.w3")
                .replace("mlp.norm", "mlp.ffn_ln");
            put(name, tensor.clone());
        }
    }
    let renamed = to_timm(published).unwrap();
    assert_eq!(renamed.tensors, backbone.tensors);
    assert_eq!(renamed.notes, ["left out 2 tensors of `blocks.*.attn.rope`"]);
}

#[test]
fn a_small_moco_has_twelve_heads() {
    let heads = |prefix: &str, width: usize| {
        let name = format!("{prefix}patch_embed.proj.weight");
        let tensors = BTreeMap::from([(name, HostTensor::full([width, 3, 2, 2], 0.5))]);
        to_timm(tensors).unwrap().num_heads
    };
    assert_eq!(heads("module.base_encoder.", 384), Some(12));
    assert_eq!(heads("module.base_encoder.", 768), None);
    assert_eq!(heads("teacher.backbone.", 384), None);
}

fn tensors(names: &[&str]) -> BTreeMap<String, HostTensor> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), HostTensor::full([2, 2], 0.5)))
        .collect()
}

#[test]
fn wrappers_fall_away() {
    for prefix in ["", "module.", "model.", "state_dict.module.", "teacher.backbone."] {
        let raw = tensors(&[
            &format!("{prefix}patch_embed.proj.weight"),
            &format!("{prefix}blocks.0.norm1.weight"),
            "epoch",
        ]);
        let renamed = to_timm(raw).unwrap();
        let names: Vec<_> = renamed.tensors.keys().map(String::as_str).collect();
        if prefix.is_empty() {
            assert_eq!(
                names,
                ["blocks.0.norm1.weight", "epoch", "patch_embed.proj.weight"]
            );
        } else {
            assert_eq!(
                names,
                ["blocks.0.norm1.weight", "patch_embed.proj.weight"],
                "{prefix}"
            );
            assert_eq!(renamed.notes, ["left out `epoch`"]);
        }
    }
}

#[test]
fn of_teacher_and_student_the_teacher_is_taken() {
    let raw = tensors(&[
        "student.module.backbone.patch_embed.proj.weight",
        "teacher.backbone.patch_embed.proj.weight",
    ]);
    let notes = to_timm(raw).unwrap().notes;
    assert_eq!(
        notes[0],
        "took the model at `teacher.backbone`, not `student.module.backbone`"
    );
    let error = to_timm(tensors(&[
        "a.patch_embed.proj.weight",
        "b.patch_embed.proj.weight",
    ]))
    .unwrap_err();
    assert_eq!(error, "it holds several models: at `a`, `b`");
}

#[test]
fn what_only_pretraining_needs_is_left_out() {
    let raw = tensors(&[
        "patch_embed.proj.weight",
        "mask_token",
        "decoder_blocks.0.norm1.weight",
        "decoder_blocks.1.norm1.weight",
        "head.mlp.0.weight",
    ]);
    let renamed = to_timm(raw).unwrap();
    assert_eq!(renamed.tensors.len(), 1);
    assert_eq!(
        renamed.notes,
        ["left out 2 tensors of `decoder`, `head` and `mask_token`"]
    );
}

#[test]
fn names_that_nobody_knows_stay() {
    let renamed = to_timm(tensors(&["layer1.0.conv1.weight"])).unwrap();
    assert!(renamed.tensors.contains_key("layer1.0.conv1.weight"));
}
