"""Find the tensors of a transformer that eight bits are too few for."""

from tfkit.compression.rules import treatment_of
from tfkit.graph import LayerGraph, Node, Value


def wide_values(graph: LayerGraph) -> frozenset[int]:
    """The sums that a normalisation takes, and the Dense layers that add to them: they are held in 16 bits.

    A few features of a BERT's feed-forward output are a hundred times as large as the others (Bondarenko et al.
    2021, https://arxiv.org/abs/2109.12948), and the normalisation behind brings the small ones up again. Measured on
    MiniLM, 8 bits for these tensors alone put an error of .42 and .33 of their spread on the pooled features, more
    than all others together; this is what makes post-training int8 collapse.

    Args:
        graph: What `split_layers` gave. Only opened transformers have such tensors: those with an attention mask.

    Returns:
        The `id`s of the `Value`s.
    """
    if not any(node.kind == "AttentionMask" for node in graph.nodes):
        return frozenset()
    found: set[int] = set()
    for node in graph.nodes:
        if node.kind == "Add" and _goes_into_a_norm_alone(graph, node.output):
            found.add(id(node.output))
            sources = [_source(value) for value in node.inputs]
            found |= {id(source.output) for source in sources if source and treatment_of(source) == "kernel"}
    return frozenset(found)


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
