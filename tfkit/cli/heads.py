"""What a Keras model's outputs are: one softmax score a class, or something that argmax would misread."""

from pathlib import Path
from typing import Any

from tfkit.errors import ModelError


def head_of(model: Any, path: Path) -> str:
    """What a reader of the scores must know, empty for softmax scores.

    Raises:
        ModelError: When the model has several outputs, or a single unit, which is no score a class.
    """
    if len(model.outputs) != 1:
        shown = ", ".join(f"'{name}' {tuple(tensor.shape)}" for name, tensor in _named_outputs(model))
        raise ModelError(
            f"'{path}' has {len(model.outputs)} outputs: {shown}; expected one, a score a class",
            hint="save a model of one output: keras.Model(model.inputs, model.outputs[0])",
        )
    activation = getattr(getattr(model.layers[-1], "activation", None), "__name__", "")
    if len(model.output.shape) == 2 and model.output.shape[-1] == 1:
        ends = "one sigmoid unit" if activation == "sigmoid" else "one unit, not a sigmoid"
        two = "give it two scores, concatenate([1 - y, y]), and save that model: over .5 is then the second class"
        hint = two if activation == "sigmoid" else "tfkit exports classifiers; numbers and logits of one unit are none"
        raise ModelError(f"'{path}' ends in {ends}; expected one score for each of two or more classes", hint=hint)
    if activation == "sigmoid":
        return "ends in sigmoid units: scores of several labels that do not sum to 1; the label shown is the largest"
    if activation == "linear":
        return "ends in linear units: the scores are logits, not probabilities; end it in softmax for those"
    return ""


def _named_outputs(model: Any) -> list[tuple[str, Any]]:
    names = getattr(model, "output_names", None) or [tensor.name for tensor in model.outputs]
    return list(zip(names, model.outputs, strict=True))
