"""What LiteRT-LM calls the signatures and tensors of a language model.

The names are those that its executor looks for (LiteRT-LM, `litert_compiled_model_executor_utils.cc`).
"""

DECODE, TOKENS, INPUT_POSITIONS, LOGITS = "decode", "tokens", "input_pos", "logits"


def prefill_name(tokens: int) -> str:
    """The signature that reads so many tokens of a prompt at once.

    Example:
        >>> prefill_name(32)
        'prefill_32'
    """
    return f"prefill_{tokens}"


def cache_names(layers: int) -> list[str]:
    """The tensors of the cache, keys and values of one layer after the other.

    Example:
        >>> cache_names(2)
        ['kv_cache_k_0', 'kv_cache_v_0', 'kv_cache_k_1', 'kv_cache_v_1']
    """
    return [f"kv_cache_{half}_{layer}" for layer in range(layers) for half in "kv"]
