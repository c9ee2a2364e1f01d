"""The engines of CPU servers, asked on this machine by their own libraries: onnxruntime and OpenVINO."""

from collections.abc import Mapping
from importlib import util
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, ImageSpec, RunDirectory
from tfkit.deployment.decoding import fed_tensors
from tfkit.deployment.tolerances import other_engine
from tfkit.errors import ExportError

Engine = Literal["triton", "openvino"]


def graph_tensors(served: Artifact) -> tuple[dict[str, str], str]:
    """What the file's graph calls its inputs, by the names that the decoder gives, and its output."""
    names = [one.name for one in fed_tensors(served)]
    if served.format == "onnx":
        by_place = [served.signature.inputs[0].name] if isinstance(served.input, ImageSpec) else names
        return dict(zip(names, by_place, strict=True)), served.signature.outputs[0].name
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(served.path))
    output = str(interpreter.get_output_details()[0]["name"])
    if isinstance(served.input, ImageSpec):
        return {names[0]: str(interpreter.get_input_details()[0]["name"])}, output
    taken = interpreter.get_signature_runner().get_input_details()
    return {name: str(taken[name]["name"]) for name in names}, output


def answers_here(
    served: Artifact, feed: Mapping[str, NDArray[np.generic]], engine: Engine
) -> NDArray[np.float32] | None:
    """What the engine's own library answers on this machine.

    Args:
        served: The file.
        feed: The golden samples, decoded, by the names of the file's graph.
        engine: The engine.

    Returns:
        Scores, float32 (samples, width); None where the library is not installed here.
    """
    library = "onnxruntime" if engine == "triton" else "openvino"
    if util.find_spec(library) is None:
        return None
    rows, count = [], len(next(iter(feed.values())))
    if engine == "triton":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(served.path), providers=["CPUExecutionProvider"])
        found = session.run(None, dict(feed))[0]
        return np.asarray(found, np.float32)
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(served.path), "CPU", settings)
    for row in range(count):
        result = compiled({name: values[row : row + 1] for name, values in feed.items()})
        rows.append(np.asarray(result[compiled.outputs[0]], np.float32).reshape(-1))
    (output,) = served.signature.outputs
    values = np.stack(rows)
    return values if output.scale is None else (values - (output.zero_point or 0)) * np.float32(output.scale)


def checked_engine(
    run: RunDirectory, served: Artifact, engine: Engine, proved: NDArray[np.float32]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Have the engine's library answer the golden samples.

    Args:
        run: The run.
        served: Its file.
        engine: The engine.
        proved: What the file answered in the run's proof.

    Returns:
        What was checked, and what was not, in sentences.

    Raises:
        ExportError: When the answers are further from the proof than rounding explains.
    """
    library = "onnxruntime" if engine == "triton" else "OpenVINO"
    names, _ = graph_tensors(served)
    run.vouches_for(run.golden / "inputs.npz")
    with np.load(run.golden / "inputs.npz") as arrays:
        feed = {names[one.name]: arrays[one.name].astype(one.dtype) for one in fed_tensors(served)}
    found = answers_here(served, feed, engine)
    if found is None:
        return (), (f"{library} is not installed here: whether it answers as the run's proof is not known",)
    apart = float(np.abs(found - proved).max()) if found.shape == proved.shape else float("inf")
    if not apart <= other_engine(served, proved):
        raise ExportError(
            f"{library} answers the golden samples of '{served.path}' {apart:.3g} apart from the run's proof",
            hint="name another file with --file, or another --engine",
        )
    return (
        f"{library} answers {len(proved)} golden samples with {served.path.name}; scores are {apart:.3g} apart",
    ), ()
