"""Turn the GATHER of a token table into EMBEDDING_LOOKUP, the operator that runs on int8 rows."""

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

_OPERATOR = schema.BuiltinOperator


def with_embedding_lookups(flatbuffer: bytes) -> bytes:
    """Replace each GATHER of whole rows of a constant table by an EMBEDDING_LOOKUP, which gives the same.

    The converter writes lookups as GATHER, for which the dynamic quantiser has no rule: the table, half of a small
    BERT, would stay in float. EMBEDDING_LOOKUP takes a table of int8 rows, each with a scale of its own.

    Args:
        flatbuffer: A float32 `.tflite` model of `convert_text_to_float`.

    Returns:
        The model with its lookups replaced.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph = model.subgraphs[0]
    gathers = [operator for operator in graph.operators if _is_lookup(model, graph, operator)]
    if not gathers:
        return flatbuffer
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = _OPERATOR.EMBEDDING_LOOKUP
    code.version = 1
    model.operatorCodes.append(code)
    for operator in gathers:
        operator.opcodeIndex = len(model.operatorCodes) - 1
        table, ids = (int(number) for number in operator.inputs)
        operator.inputs = [ids, table]
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.NONE, None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _is_lookup(model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT) -> bool:
    if model.operatorCodes[operator.opcodeIndex].builtinCode != _OPERATOR.GATHER:
        return False
    table, ids = (graph.tensors[number] for number in operator.inputs)
    data = model.buffers[table.buffer].data
    constant = data is not None and len(data) > 0
    options = operator.builtinOptions
    by_rows = options is None or (options.axis == 0 and options.batchDims == 0)
    return constant and by_rows and len(table.shape) == 2 and len(ids.shape) == 1
