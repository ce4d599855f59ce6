#!/usr/bin/env python3
"""Fixtures for tuning methods: what PEFT's LoRA and plain PyTorch modules compute on small timm models with random weights.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 timm==1.0.31 peft safetensors
    venv/bin/python scripts/export_methods.py vpt-core/tests/fixtures/golden

Reads `models/NAME/` of that folder and writes `methods/NAME/batch.safetensors` (`pixels`, `labels`) and for each case
`methods/NAME/CASE.safetensors`: `input.*` (what is learned, under the names of task files, at random values), `expect.logits`,
`expect.loss` and `expect.grad.*`. Computed in float64.
"""

import json
import sys
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

CLASSES, RANK, ALPHA, WIDTH, PROMPTS = 5, 3, 12, 6, 4
LAYERS = {"qkv": "attn.qkv", "proj": "attn.proj", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}


def load(folder):
    config = json.loads((folder / "config.json").read_text())
    args = {**config["model_args"], "global_pool": config["global_pool"]}
    model = timm.create_model(config["architecture"], num_classes=config["num_classes"], **args)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval().requires_grad_(False).double()


def blocks_of(model):
    """The blocks in order, with the name of each in task files and what merges patches before it, if anything does."""
    if not hasattr(model, "layers"):
        return [(f"blocks.{i}", block, None) for i, block in enumerate(model.blocks)]
    found = []
    for layer in model.layers:
        merging = layer.downsample if hasattr(layer.downsample, "reduction") else None
        for j, block in enumerate(layer.blocks):
            found.append((f"blocks.{len(found)}", block, merging if j == 0 else None))
    return found


class Case:
    """The tensors that are learned; each is drawn when it is first asked for."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.inputs = {}

    def draw(self, name, *shape, mean=0.0, std=1.0):
        if name not in self.inputs:
            value = mean + std * torch.randn(*shape, generator=self.generator)
            # Rounded to what the file holds.
            self.inputs[name] = value.float().double().requires_grad_(True)
        return self.inputs[name]

    def bottleneck(self, name, x, act):
        """down, act, up."""
        width = x.shape[-1]
        down = F.linear(x, self.draw(f"{name}.down_proj.weight", WIDTH, width, std=width**-0.5),
                        self.draw(f"{name}.down_proj.bias", WIDTH, std=0.1))
        return F.linear(act(down), self.draw(f"{name}.up_proj.weight", width, WIDTH, std=WIDTH**-0.5),
                        self.draw(f"{name}.up_proj.bias", width, std=0.1))

    def scaled(self, name, place, x, channels=-1):
        """A scale and a shift of the channels."""
        shape = [1] * x.ndim
        shape[channels] = x.shape[channels]
        scale = self.draw(f"{name}ssf_scale_{place}", x.shape[channels], mean=1.0, std=0.2)
        shift = self.draw(f"{name}ssf_shift_{place}", x.shape[channels], std=0.2)
        return x * scale.reshape(shape) + shift.reshape(shape)


def behind(module, change):
    """Changes what `module` returns."""
    module.register_forward_hook(lambda _module, _inputs, output: change(output))


def adapter(model, case):
    """Houlsby et al. 2019. What a branch adds passes through `drop_path`, which does nothing here."""
    for name, block, _ in blocks_of(model):
        for half, branch in (("attn", block.drop_path1), ("mlp", block.drop_path2)):
            behind(branch, lambda h, at=f"{name}.adapter_{half}": h + case.bottleneck(at, h, F.gelu))


def adaptformer(model, case):
    """Chen et al. 2022: beside the MLP, from what enters its norm."""
    for name, block, _ in blocks_of(model):
        entered = {}
        block.norm2.register_forward_pre_hook(lambda _module, inputs, kept=entered: kept.update(x=inputs[0]))
        behind(block.drop_path2,
               lambda h, at=f"{name}.adaptmlp", kept=entered: h + 0.1 * case.bottleneck(at, kept["x"], F.relu))


def ssf(model, case):
    """Lian et al. 2022, in the places and under the names of its code."""
    behind(model.patch_embed.proj, lambda x: case.scaled("patch_embed.", 1, x, channels=1))
    if not isinstance(model.patch_embed.norm, torch.nn.Identity):
        behind(model.patch_embed.norm, lambda x: case.scaled("patch_embed.", 2, x))
    for name, block, merging in blocks_of(model):
        if merging is not None:
            behind(merging.norm, lambda x, at=f"{name}.downsample.": case.scaled(at, 1, x))
        places = [(block.norm1, "", 1), (block.attn.qkv, "attn.", 1), (block.attn.proj, "attn.", 2),
                  (block.norm2, "", 2), (block.mlp.fc1, "mlp.", 1), (block.mlp.fc2, "mlp.", 2)]
        for module, part, place in places:
            behind(module, lambda x, at=f"{name}.{part}", place=place: case.scaled(at, place, x))
    behind(model.norm, lambda x: case.scaled("", 1, x))


def lora(targets):
    """PEFT's own layers."""

    def change(model, case):
        names = {id(block): name for name, block, _ in blocks_of(model)}
        paths = {path: names[id(module)] for path, module in model.named_modules() if id(module) in names}
        pattern = r".*\.(" + "|".join(LAYERS[target].replace(".", r"\.") for target in targets) + ")"
        config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=pattern)
        tuned = get_peft_model(model, config).double()
        for path, parameter in list(tuned.named_parameters()):
            if "lora_" not in path:
                continue
            path = path.removeprefix("base_model.model.").replace(".default", "")
            block = max((start for start in paths if path.startswith(start + ".")), key=len)
            name = paths[block] + path.removeprefix(block)
            drawn = case.draw(name, *parameter.shape, std=0.5 * parameter.shape[1] ** -0.5)
            with torch.no_grad():
                parameter.copy_(drawn)
            case.inputs[name] = parameter

    return change


def norm(model, case):
    """The norms themselves."""
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.LayerNorm):
            for part, parameter in module.named_parameters():
                case.inputs[f"{path}.{part}"] = parameter.requires_grad_(True)


def mlp_head(model, case):
    """Three layers: two of the backbone's width, and the head."""
    own, width = model.forward_head, model.num_features

    def forward_head(tokens, pre_logits=False):
        x = own(tokens, pre_logits=True)
        for i in range(2):
            x = F.gelu(F.linear(x, case.draw(f"mlp_head.{i}.weight", width, width, std=width**-0.5),
                                case.draw(f"mlp_head.{i}.bias", width, std=0.1)))
        return x

    model.forward_head = forward_head


def gated(model, case):
    """Yoo et al. 2023: behind each block but the last, what it made of the prompts is mixed with those that entered it."""
    count, at, dim = len(model.blocks), model.num_prefix_tokens, model.embed_dim

    def forward_features(pixels):
        tokens = model.norm_pre(model._pos_embed(model.patch_embed(pixels)))
        prompts = case.draw("prompts", 1, PROMPTS, dim).expand(len(tokens), -1, -1)
        gates = case.draw("prompt_gate", count - 1)
        tokens = torch.cat([tokens[:, :at], prompts, tokens[:, at:]], 1)
        for i, block in enumerate(model.blocks):
            before = tokens[:, at:at + PROMPTS]
            tokens = block(tokens)
            if i + 1 < count:
                gate = gates[i].sigmoid()
                mixed = gate * tokens[:, at:at + PROMPTS] + (1 - gate) * before
                tokens = torch.cat([tokens[:, :at], mixed, tokens[:, at + PROMPTS:]], 1)
        return model.norm(tokens)

    model.forward_features = forward_features


METHODS = {"lora": lora(["qkv"]), "lora_all": lora(list(LAYERS)), "adapter": adapter, "adaptformer": adaptformer, "ssf": ssf,
           "norm": norm, "mlp3": mlp_head, "gated": gated}
CASES = {
    "vit_p8_64": list(METHODS),
    "dinov2_swiglu_reg4_p14_42": ["lora_all", "adapter", "adaptformer", "ssf", "gated"],
    "swin_p4_w4_64": ["lora_all", "adapter", "adaptformer", "ssf"],
}


def put(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)


def export(folder, name, label, seed, pixels, labels):
    model = load(folder / "models" / name)
    case = Case(seed)
    width = model.num_features
    METHODS[label](model, case)
    feature = model.forward_head(model.forward_features(pixels), pre_logits=True)
    logits = F.linear(feature, case.draw("head.weight", CLASSES, width, std=0.3), case.draw("head.bias", CLASSES, std=0.1))
    loss = F.cross_entropy(logits, labels)
    gradients = dict(zip(case.inputs, torch.autograd.grad(loss, list(case.inputs.values()))))
    tensors = {
        "expect.logits": logits,
        "expect.loss": loss.reshape(1),
        **{f"input.{name}": tensor for name, tensor in case.inputs.items()},
        **{f"expect.grad.{name}": tensor for name, tensor in gradients.items()},
    }
    put(folder / "methods" / name / f"{label}.safetensors", {name: tensor.float() for name, tensor in tensors.items()})
    print(f"{name} {label}: {len(case.inputs)} learned tensors, loss {loss.item():.4f}")


def main():
    folder = Path(sys.argv[1])
    for i, (name, cases) in enumerate(CASES.items()):
        seed = 20281125 + 100 * i
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randn(3, 3, *load(folder / "models" / name).patch_embed.img_size, generator=generator)
        labels = torch.randint(0, CLASSES, (3,), generator=generator)
        put(folder / "methods" / name / "batch.safetensors", {"pixels": pixels, "labels": labels})
        for j, label in enumerate(cases):
            export(folder, name, label, seed + 1 + j, pixels.double(), labels)


if __name__ == "__main__":
    main()
