"""The tiny model for the peers: the same weights as Sluice's random:0, in each peer's format.

infinity-emb loads models of Hugging Face's transformers, so open_clip's names are put into theirs;
LitServe's program loads open_clip's own checkpoint.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import save_file

import embedding_service.engine.encoder as engine
from embedding_contract.endpoints import TINY_MODEL

WEIGHTS: Final = "weights.safetensors"
_CONFIGURATION: Final = Path(engine.__file__).parent / "models" / f"{TINY_MODEL}.json"
Weights = dict[str, torch.Tensor]


def write_models(folder: Path) -> tuple[Path, Path]:
    """Write both formats below `folder`; return (the one of transformers, the one of open_clip)."""
    network = cast("torch.nn.Module", engine.load_network(TINY_MODEL, "random:0", "fp32"))
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    shape = json.loads(_CONFIGURATION.read_text())
    theirs, own = folder / "transformers", folder / "open_clip"
    for place in (theirs, own):
        place.mkdir(parents=True, exist_ok=True)
    (own / f"{TINY_MODEL}.json").write_text(json.dumps(shape))
    save_file(weights, own / WEIGHTS)
    save_file(renamed(weights), theirs / "model.safetensors", metadata={"format": "pt"})
    _write_json(theirs / "config.json", clip_config(shape))
    _write_processor(theirs)
    return theirs, own


def clip_config(shape: dict[str, Any]) -> dict[str, Any]:
    """Return config.json of transformers' CLIPModel for a configuration of open_clip."""
    vision, text = shape["vision_cfg"], shape["text_cfg"]
    both = {"hidden_act": "gelu", "projection_dim": shape["embed_dim"]}
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "torch_dtype": "float32",
        "projection_dim": shape["embed_dim"],
        "vision_config": both | {
            "model_type": "clip_vision_model",
            "hidden_size": vision["width"],
            "intermediate_size": 4 * vision["width"],
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision["head_width"],
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
        },
        "text_config": both | {
            "model_type": "clip_text_model",
            "hidden_size": text["width"],
            "intermediate_size": 4 * text["width"],
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"],
            "vocab_size": text["vocab_size"],
        },
    }  # fmt: skip


def renamed(weights: Weights) -> Weights:
    """Return open_clip's weights under the names of transformers' CLIPModel."""
    found = dict(_renamed(weights))
    return {name: tensor.contiguous() for name, tensor in found.items()}


_PLAIN: Final = {
    "logit_scale": "logit_scale",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.": "vision_model.pre_layrnorm.",
    "visual.ln_post.": "vision_model.post_layernorm.",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.": "text_model.final_layer_norm.",
}
_TURNED: Final = {
    "visual.proj": "visual_projection.weight",
    "text_projection": "text_projection.weight",
}
_IN_BLOCK: Final = {
    "attn.out_proj.": "self_attn.out_proj.",
    "ln_1.": "layer_norm1.",
    "ln_2.": "layer_norm2.",
    "mlp.c_fc.": "mlp.fc1.",
    "mlp.c_proj.": "mlp.fc2.",
}


def _renamed(weights: Weights) -> Iterator[tuple[str, torch.Tensor]]:
    for name, tensor in weights.items():
        if ".resblocks." in name or name.startswith("transformer.resblocks."):
            yield from _of_block(name, tensor)
        elif name in _TURNED:
            yield _TURNED[name], tensor.t()
        elif (known := _prefixed(name, _PLAIN)) is not None:
            yield known, tensor
        elif name != "attn_mask":
            raise ValueError(f"open_clip has a weight that this program does not know: {name}")


def _of_block(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    tower, _, rest = name.partition("resblocks.")
    number, _, part = rest.partition(".")
    room = "vision_model" if tower.startswith("visual") else "text_model"
    begin = f"{room}.encoder.layers.{number}."
    if part.startswith("attn.in_proj_"):
        kind = part.removeprefix("attn.in_proj_")
        for third, piece in zip("qkv", tensor.chunk(3), strict=True):
            yield f"{begin}self_attn.{third}_proj.{kind}", piece.clone()
        return
    known = _prefixed(part, _IN_BLOCK)
    if known is None:
        raise ValueError(f"open_clip has a weight that this program does not know: {name}")
    yield begin + known, tensor


def _prefixed(name: str, names: dict[str, str]) -> str | None:
    for ours, theirs in names.items():
        if name == ours or (ours.endswith(".") and name.startswith(ours)):
            return theirs + name[len(ours) :]
    return None


def _write_processor(folder: Path) -> None:
    """Write what AutoProcessor wants: the picture's recipe, and a tokenizer that we do not use."""
    size = {"shortest_edge": 224}
    _write_json(
        folder / "preprocessor_config.json",
        {
            "processor_class": "CLIPProcessor", "image_processor_type": "CLIPImageProcessor",
            "do_resize": True, "size": size, "resample": 3, "do_center_crop": True,
            "crop_size": {"height": 224, "width": 224}, "do_rescale": True,
            "rescale_factor": 1 / 255, "do_normalize": True, "do_convert_rgb": True,
            "image_mean": open_clip.OPENAI_DATASET_MEAN, "image_std": open_clip.OPENAI_DATASET_STD,
        },
    )  # fmt: skip
    tokenizer = SimpleTokenizer()
    words = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {words.get(word, word): index for word, index in tokenizer.encoder.items()}
    _write_json(folder / "vocab.json", vocabulary)
    merges = sorted(tokenizer.bpe_ranks.items(), key=lambda item: int(item[1]))
    lines = [" ".join(pair) for pair, _ in merges]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]) + "\n")
    start, end = words.values()
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json",
        special | {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77},
    )


def _write_json(file: Path, document: dict[str, Any]) -> None:
    file.write_text(json.dumps(document))
