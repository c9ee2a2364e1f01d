"""Find the tensors of a transformer that eight bits over one range are too few for."""

from dataclasses import dataclass

from tfkit.compression.kinds import treatment_of
from tfkit.graph import LayerGraph, Node, Value


@dataclass(frozen=True)
class WideValues:
    """The `id`s of the `Value`s that need more than eight bits over one range.

    Attributes:
        sums: What a normalisation takes: held in 16 bits.
        normalized: What it gives: held in 16 bits for the next sum, and rounded to eight for Dense layers.
        added: What Dense layers add to a sum: eight bits over a range for each channel.
    """

    sums: frozenset[int] = frozenset()
    normalized: frozenset[int] = frozenset()
    added: frozenset[int] = frozenset()

    def has_16_bits(self, value: Value) -> bool:
        """Whether a tensor is held in 16 bits."""
        return id(value) in self.sums or id(value) in self.normalized


def wide_values(graph: LayerGraph) -> WideValues:
    """The sums that a normalisation takes, the outputs of Dense layers that go into them, and what it gives.

    A few features of a BERT's feed-forward output are a hundred times as large as the others (Bondarenko et al.
    2021, https://arxiv.org/abs/2109.12948), and the normalisation behind brings the small ones up again. Measured on
    MiniLM, 8 bits over one range for these tensors alone put an error of .42 and .33 of their spread on the pooled
    features, more than all others together; this is what makes post-training int8 collapse. Dense layers with 16-bit
    outputs have no quick kernel in LiteRT (40 of MiniLM's 48 ms), so theirs keep 8 bits, a range for each channel.

    Args:
        graph: What `split_layers` gave. Only opened transformers have such tensors: those with an attention mask.

    Returns:
        The tensors.
    """
    if not any(node.kind == "AttentionMask" for node in graph.nodes):
        return WideValues()
    sums: set[int] = set()
    added: set[int] = set()
    for node in graph.nodes:
        if node.kind == "Add" and _goes_into_a_norm_alone(graph, node.output):
            sums.add(id(node.output))
            sources = [_source(value) for value in node.inputs]
            added |= {id(source.output) for source in sources if source and treatment_of(source) == "kernel"}
    normalized = frozenset(id(node.output) for node in graph.nodes if node.kind == "LayerNormalization")
    return WideValues(frozenset(sums), normalized, frozenset(added))


def _goes_into_a_norm_alone(graph: LayerGraph, value: Value) -> bool:
    taker = graph.only_consumer(value)
    while taker is not None and treatment_of(taker) == "absent":
        taker = graph.only_consumer(taker.output)
    return taker is not None and taker.kind == "LayerNormalization"


def _source(value: Value) -> Node | None:
    node = value.node
    while node is not None and treatment_of(node) == "absent":
        node = node.inputs[0].node
    return node
