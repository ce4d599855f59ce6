#!/usr/bin/env python3
"""Fixtures for families of backbones, as timm and transformers compute them on small random models.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 timm==1.0.31 transformers==5.24.0 safetensors
    venv/bin/python scripts/export_golden.py vpt-core/tests/fixtures/golden

For each model: `models/NAME/` with `config.json` and `model.safetensors` (what a user has), `io.safetensors` (every intermediate
output) and `io_HxW.safetensors` (another image size); for some, `vpt/NAME/` with prompts: logits, losses and gradients of the
official form (arXiv 2203.12119), in which prompts are tokens like any other and are overwritten before each block.
A model with `transformers` is built by that library and keeps its names and its `config.json`.
"""

import contextlib
import functools
import json
import math
import sys
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
import timm.models.beit
import timm.models.swin_transformer
from timm.models.swin_transformer import window_partition, window_reverse
from safetensors.torch import save_file

torch.set_num_threads(2)

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}

# Seeds count from the first: new models are added at the end.
TIMM = [
    {"name": "dinov2_swiglu_reg4_p14_42", "architecture": "vit_giant_patch14_reg4_dinov2", "args": {"img_size": 42, **SMALL}},
    {"name": "eva02_p14_42", "architecture": "eva02_small_patch14_224", "args": {"img_size": 42, **SMALL}, "size": (28, 56)},
    {"name": "eva02_norm_p14_42", "architecture": "eva02_base_patch14_224", "args": {"img_size": 42, **SMALL}, "prompts": True},
    {"name": "eva02_clip_p16_48", "architecture": "eva02_base_patch16_clip_224", "args": {"img_size": 48, **SMALL}},
    {"name": "dinov3_p16_48", "architecture": "vit_small_patch16_dinov3", "args": {"img_size": 48, **SMALL}, "size": (64, 32), "prompts": True},
    {"name": "dinov3_plus_p16_48", "architecture": "vit_small_plus_patch16_dinov3_qkvb", "args": {"img_size": 48, **SMALL}},
    {"name": "beitv2_p16_48", "architecture": "beitv2_base_patch16_224", "args": {"img_size": 48, **SMALL}, "size": (64, 80), "prompts": True},
    {"name": "siglip_p16_48", "architecture": "vit_base_patch16_siglip_224", "args": {"img_size": 48, **SMALL}, "stats": HALF,
     "prompts": True},
    {"name": "swin_p4_w4_64", "architecture": "swin_tiny_patch4_window7_224", "size": (48, 80), "prompts": True,
     "args": {"img_size": 64, "embed_dim": 8, "depths": [2, 2, 2], "num_heads": [1, 2, 4], "window_size": 4}},
]

TRANSFORMERS = [
    {"name": "hf_dinov3_p16_48", "class": "DINOv3ViT",
     "config": {"image_size": 48, "patch_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 64, "num_register_tokens": 4}},
    {"name": "hf_dinov3_gated_p16_48", "class": "DINOv3ViT",
     "config": {"image_size": 48, "patch_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 64, "num_register_tokens": 4, "use_gated_mlp": True, "hidden_act": "silu"}},
    {"name": "hf_dinov2_swiglu_p14_42", "class": "Dinov2",
     "config": {"image_size": 42, "patch_size": 14, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                "mlp_ratio": 4, "use_swiglu_ffn": True}},
    {"name": "hf_siglip_p16_48", "class": "SiglipVision",
     "config": {"image_size": 48, "patch_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 64}},
    {"name": "hf_beit_p16_48", "class": "Beit",
     "config": {"image_size": 48, "patch_size": 16, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 64, "use_relative_position_bias": True}},
    {"name": "hf_swin_p4_w4_64", "class": "Swin",
     "config": {"image_size": 64, "patch_size": 4, "embed_dim": 8, "depths": [2, 2, 2], "num_heads": [1, 2, 4], "window_size": 4}},
]

CLASSES = 5


def generator(seed):
    return torch.Generator().manual_seed(seed)


def randn(g, *shape):
    return torch.randn(*shape, generator=g)


def fill(model, seed):
    """Random weights in which every parameter matters: scales about 1, biases away from 0."""
    g = generator(seed)
    state = model.state_dict()
    for name in sorted(state):
        shape = state[name].shape
        if "gamma" in name or "lambda" in name:
            value = 0.2 + torch.rand(shape, generator=g)
        elif name.endswith("bias"):
            value = 0.1 * randn(g, *shape)
        elif len(shape) == 1:
            value = 1 + 0.15 * randn(g, *shape)
        elif any(part in name for part in ("token", "probe", "latent", "position", "pos_embed")):
            value = 0.5 * randn(g, *shape)
        else:
            value = randn(g, *shape) * 1.2 / math.sqrt(shape[1:].numel())
        state[name] = value
    model.load_state_dict(state)
    return model.eval()


def put(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


def put_json(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def embedded(model, pixels):
    """Tokens that enter the first block, and the arguments of the blocks (Eva's rotary embedding)."""
    if hasattr(model, "rel_pos_bias"):  # Beit
        patches = model.patch_embed(pixels)
        return torch.cat([model.cls_token.expand(len(patches), -1, -1), patches], 1), {}
    tokens = model._pos_embed(model.patch_embed(pixels))
    tokens, rope = tokens if isinstance(tokens, tuple) else (tokens, None)
    return model.norm_pre(tokens), {} if rope is None else {"rope": rope}


def is_swin(model):
    return hasattr(model, "layers")


@torch.no_grad()
def trace_swin(model, pixels):
    """Patches as a sequence, row by row; the norm behind the patches is the model's own, before the first block."""
    patches = model.patch_embed.proj(pixels).permute(0, 2, 3, 1)
    tokens = model.patch_embed.norm(patches)
    out = {"pixels": pixels, "embed": patches.flatten(1, 2), "embed_norm_pre": tokens.flatten(1, 2)}
    blocks = 0
    for layer in model.layers:
        tokens = layer.downsample(tokens)
        for block in layer.blocks:
            tokens = block(tokens)
            out[f"block.{blocks}"] = tokens.flatten(1, 2)
            blocks += 1
    out["features"] = model.norm(tokens).flatten(1, 2)
    torch.testing.assert_close(out["features"], model.forward_features(pixels).flatten(1, 2))
    out["pooled"] = model.forward_head(model.norm(tokens), pre_logits=True)
    out["logits"] = model(pixels)
    return out


@torch.no_grad()
def trace(model, pixels):
    if is_swin(model):
        return trace_swin(model, pixels)
    patches = model.patch_embed(pixels)
    tokens, options = embedded(model, pixels)
    out = {"pixels": pixels, "patch_embed": patches.flatten(1, 2) if patches.ndim == 4 else patches, "embed": tokens}
    for i, block in enumerate(model.blocks):
        tokens = block(tokens, **options)
        out[f"block.{i}"] = tokens
    out["features"] = model.norm(tokens)
    torch.testing.assert_close(out["features"], model.forward_features(pixels))
    out["pooled"] = model.forward_head(out["features"], pre_logits=True)
    out["logits"] = model(pixels)
    return out


def build(spec, **more):
    return timm.create_model(spec["architecture"], num_classes=CLASSES, **spec["args"], **more)


def export_timm(out, spec, seed):
    folder = out / "models" / spec["name"]
    mean, std = spec.get("stats", IMAGENET)
    size = spec["args"]["img_size"]
    model = fill(build(spec), seed)
    put_json(folder / "config.json", {
        "architecture": spec["architecture"], "num_classes": CLASSES, "num_features": model.num_features,
        "global_pool": model.global_pool, "model_args": spec["args"],
        "pretrained_cfg": {"input_size": [3, size, size], "interpolation": "bicubic", "crop_pct": 1.0, "mean": mean, "std": std},
    })
    put(folder / "model.safetensors", model.state_dict())
    put(folder / "io.safetensors", trace(model, randn(generator(seed + 1), 2, 3, size, size)))
    if "size" in spec:
        height, width = spec["size"]
        if is_swin(model):
            other = build({**spec, "args": {**spec["args"], "img_size": (height, width)}}).eval()
            other.load_state_dict(timm.models.swin_transformer.checkpoint_filter_fn(model.state_dict(), other))
        elif hasattr(model, "rel_pos_bias"):
            resized = {**spec, "args": {**spec["args"], "img_size": (height, width)}}
            other = build(resized).eval()
            other.load_state_dict(timm.models.beit.checkpoint_filter_fn(model.state_dict(), other))
        else:
            other = build(spec, **({} if "dinov3" in spec["name"] else {"dynamic_img_size": True})).eval()
            other.load_state_dict(model.state_dict())
        io = trace(other, randn(generator(seed + 2), 2, 3, height, width))
        put(folder / f"io_{height}x{width}.safetensors", {name: io[name] for name in ("pixels", "embed", "features", "pooled", "logits")})
    if spec.get("prompts"):
        export_prompts(out / "vpt" / spec["name"], model, seed + 3)


@contextlib.contextmanager
def without_bias(model, at, count):
    """Beit with no bias for the `count` prompts that stand at position `at`."""
    attentions = [block.attn for block in model.blocks if getattr(block.attn, "relative_position_bias_table", None) is not None]

    def padded(own):
        bias = own()
        tokens = bias.shape[-1]
        places = torch.tensor([*range(at), *range(at + count, tokens + count)])
        wide = bias.new_zeros(1, bias.shape[1], tokens + count, tokens + count)
        wide[:, :, places[:, None], places[None, :]] = bias
        return wide

    for attention in attentions:
        attention._get_rel_pos_bias = functools.partial(padded, attention._get_rel_pos_bias)
    yield
    for attention in attentions:
        del attention._get_rel_pos_bias


def prompted_window_attention(block, tokens, prompts):
    """Normalised patches [B, H, W, C] and prompts [B, P, C] through the attention of a Swin block. Prompts take part in every
    window, without bias and mask, and what the windows of an image make of them is averaged."""
    batch, height, width, dim = tokens.shape
    count, attn, size, shift = prompts.shape[1], block.attn, block.window_size, block.shift_size
    tokens = torch.roll(tokens, (-shift[0], -shift[1]), (1, 2))
    tokens = F.pad(tokens, (0, 0, 0, -width % size[1], 0, -height % size[0]))
    padded = tokens.shape[1:3]
    windows = window_partition(tokens, size).flatten(1, 2)
    each = len(windows) // batch
    windows = torch.cat([prompts.repeat_interleave(each, 0), windows], 1)
    q, k, v = attn.qkv(windows).unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    bias = attn._get_rel_pos_bias()
    if block.attn_mask is not None:
        bias = bias + block.attn_mask.unsqueeze(1)
    bias = F.pad(bias, (count, 0, count, 0))
    scores = (q * attn.scale) @ k.mT + bias.expand(each, -1, -1, -1).repeat(batch, 1, 1, 1)
    windows = attn.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
    prompts, windows = windows[:, :count], windows[:, count:]
    tokens = window_reverse(windows.unflatten(1, size), size, *padded)[:, :height, :width]
    tokens = torch.roll(tokens, tuple(shift), (1, 2))
    return tokens, prompts.unflatten(0, (batch, each)).mean(1)


def prompted_swin(model, pixels, head, prompts, deep):
    """The official form for Swin: between stages prompts are taken four times, where patches are merged by four; the average
    that the head reads is over prompts and patches."""
    tokens = model.patch_embed(pixels)
    batch, count = len(tokens), prompts.shape[1]
    prompts, first = prompts.expand(batch, -1, -1), []
    fresh = iter([]) if deep is None else iter([prompts[0], *(prompt for of_stage in deep for prompt in of_stage)])
    for layer in model.layers:
        tokens = layer.downsample(tokens)
        if hasattr(layer.downsample, "reduction"):
            prompts = layer.downsample.reduction(layer.downsample.norm(prompts.repeat(1, 1, 4)))
        for block in layer.blocks:
            new = next(fresh, None)
            prompts = prompts if new is None else new.expand(batch, -1, -1)
            mixed, mixed_prompts = prompted_window_attention(block, block.norm1(tokens), block.norm1(prompts))
            tokens, prompts = tokens + mixed, prompts + mixed_prompts
            tokens, prompts = (x + block.mlp(block.norm2(x)) for x in (tokens, prompts))
            first.append(tokens[:, 0, 0])
    feature = model.norm(torch.cat([prompts, tokens.flatten(1, 2)], 1)).mean(1)
    return F.linear(feature, *head), feature, torch.cat([tokens.flatten() for tokens in first])


def prompted(model, pixels, head, prompts, deep):
    """Logits, feature and first tokens of the official form."""
    if is_swin(model):
        return prompted_swin(model, pixels, head, prompts, deep)
    at = 1 if model.cls_token is not None else model.patch_embed.num_patches
    with without_bias(model, at, prompts.shape[1]):
        return prompted_blocks(model, pixels, head, prompts, deep)


def prompted_blocks(model, pixels, head, prompts, deep):
    tokens, options = embedded(model, pixels)
    batch, count = tokens.shape[0], prompts.shape[1]
    # Behind the class token; at the end of a sequence without one. Neither changes the results.
    at = 1 if model.cls_token is not None else tokens.shape[1]
    sets = [prompts] if deep is None else [prompts] + [deep[i:i + 1] for i in range(deep.shape[0])]
    first = []
    for i, block in enumerate(model.blocks):
        if i == 0:
            tokens = torch.cat([tokens[:, :at], sets[0].expand(batch, -1, -1), tokens[:, at:]], 1)
        elif i < len(sets):
            tokens = torch.cat([tokens[:, :at], sets[i].expand(batch, -1, -1), tokens[:, at + count:]], 1)
        if options:
            block.attn.num_prefix_tokens = model.num_prefix_tokens + count
        tokens = block(tokens, **options)
        first.append(tokens[:, 0])
    for block in model.blocks if options else []:
        block.attn.num_prefix_tokens = model.num_prefix_tokens
    # What the backbone's own head reads. As in the official form, an average is over prompts and patches.
    own, prompts = torch.cat([tokens[:, :at], tokens[:, at + count:]], 1), tokens[:, at:at + count]
    tokens = model.norm(torch.cat([own, prompts], 1) if model.global_pool == "avg" else own)
    feature = model.forward_head(tokens, pre_logits=True)
    return F.linear(feature, *head), feature, torch.stack(first)


def export_prompts(folder, model, seed):
    g = generator(seed)
    size, dim = model.patch_embed.img_size, model.embed_dim
    pixels, labels = randn(g, 3, 3, *size), torch.randint(0, CLASSES, (3,), generator=g)
    weights = 0.5 + torch.rand(CLASSES, generator=g)
    put(folder / "batch.safetensors", {"pixels": pixels, "labels": labels, "class_weights": weights})
    for case in ("shallow", "deep"):
        width = model.num_features
        inputs = {"prompt_embeddings": randn(g, 1, 3, dim), "head.weight": randn(g, CLASSES, width) * 0.3, "head.bias": randn(g, CLASSES) * 0.1}
        if case == "deep" and is_swin(model):
            for stage, layer in enumerate(model.layers):
                inputs[f"deep_prompt_embeddings_{stage}"] = randn(g, len(layer.blocks) - (stage == 0), 3, dim * 2**stage)
        elif case == "deep":
            inputs["deep_prompt_embeddings"] = randn(g, len(model.blocks) - 1, 3, dim)
        model.requires_grad_(False)
        inputs = {name: tensor.requires_grad_(True) for name, tensor in inputs.items()}
        head = (inputs["head.weight"], inputs["head.bias"])
        deep = [tensor for name, tensor in inputs.items() if name.startswith("deep_")]
        deep = (deep or None) if is_swin(model) else next(iter(deep), None)
        logits, feature, first = prompted(model, pixels, head, inputs["prompt_embeddings"], deep)
        loss = F.cross_entropy(logits, labels)
        gradients = dict(zip(inputs, torch.autograd.grad(loss, list(inputs.values()), retain_graph=True)))
        # Weights are not divided out: the sum over the batch, over its size.
        weighted = (F.cross_entropy(logits, labels, reduction="none") * weights[labels]).mean()
        expect = {"logits": logits, "feature": feature, "cls_per_block": first, "loss": loss.reshape(1), "weighted_loss": weighted.reshape(1)}
        put(folder / f"{case}.safetensors", {
            **{f"input.{name}": tensor for name, tensor in inputs.items()},
            **{f"expect.{name}": tensor for name, tensor in expect.items()},
            **{f"expect.grad.{name}": tensor for name, tensor in gradients.items()},
        })


@torch.no_grad()
def export_transformers(out, spec, seed):
    import transformers

    folder = out / "models" / spec["name"]
    config = getattr(transformers, spec["class"] + "Config")(**spec["config"])
    model = fill(getattr(transformers, spec["class"] + "Model")(config), seed)
    model.save_pretrained(folder)
    size = spec["config"]["image_size"]
    pixels = randn(generator(seed + 1), 2, 3, size, size)
    result = model(pixels)
    put(folder / "io.safetensors", {"pixels": pixels, "features": result.last_hidden_state, "pooled": result.pooler_output})


def main():
    out = Path(sys.argv[1])
    for i, spec in enumerate(TIMM):
        export_timm(out, spec, 20261125 + 100 * i)
    for i, spec in enumerate(TRANSFORMERS):
        export_transformers(out, spec, 20271125 + 100 * i)


if __name__ == "__main__":
    main()
