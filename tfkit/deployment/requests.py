"""Requests with the answers they must get: a run's golden samples as clients send them, and as servers warm up."""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkit.artifacts import RunDirectory
from tfkit.errors import ExportError
from tfkit.files import write_whole

SIGNATURE = "serving_default"
WARM_UP = Path("assets.extra") / "tf_serving_warmup_requests"
_INSTALL = "pip install 'tfkit[serving]'"


@dataclass(frozen=True)
class GoldenRequest:
    """One input as a client sends it, and what a server must answer.

    Attributes:
        sent: An encoded picture, or a text in UTF-8.
        answer: The outputs by name: a text, a number, or a list of numbers.
    """

    sent: bytes
    answer: dict[str, Any]


def golden_requests(run: RunDirectory) -> tuple[bytes, ...]:
    """What the golden samples of a run are when a client sends them.

    Args:
        run: A finished run.

    Returns:
        Encoded pictures, or texts in UTF-8.

    Raises:
        ExportError: When the run has no golden samples, or their bytes have changed.
    """
    described = run.golden / "golden.json"
    if not described.is_file():
        raise ExportError(f"'{run.golden}' holds no golden samples", hint="run the recipe again")
    run.vouches_for(described)
    said = json.loads(described.read_text(encoding="utf-8"))
    if "images" in said:
        files = [run.golden / one["file"] for one in said["images"]]
        for file in files:
            run.vouches_for(file)
        return tuple(file.read_bytes() for file in files)
    return tuple(one["text"].encode() for one in said["texts"])


Answering = Callable[[Sequence[bytes]], tuple[GoldenRequest, ...]]


def answering(saved_model: Path) -> Answering:
    """Load a SavedModel, to send requests to its `serving_default`.

    Args:
        saved_model: The folder of one version.

    Returns:
        A function that sends some in one batch, and gives them back with their answers.

    Raises:
        ExportError: When it takes several inputs, or no strings.

    Example:
        >>> answering(run.artifacts / "saved_model/1")(pictures)[0].answer["labels"]  # doctest: +SKIP
        'bees'
    """
    import tensorflow as tf

    from tfkit.runtimes.saved_model_worker import load_text_operators

    load_text_operators(tf)
    function = tf.saved_model.load(str(saved_model)).signatures[SIGNATURE]
    taken = function.structured_input_signature[1]
    if len(taken) != 1 or next(iter(taken.values())).dtype.name != "string":
        raise ExportError(f"'{saved_model}' takes {', '.join(taken)}; expected one input of strings")
    (name,) = taken

    def answer(sent: Sequence[bytes]) -> tuple[GoldenRequest, ...]:
        outputs = function(**{name: tf.constant(list(sent))})
        rows = {output: [_plain(row) for row in values.numpy()] for output, values in sorted(outputs.items())}
        return tuple(GoldenRequest(one, {name: rows[name][place] for name in rows}) for place, one in enumerate(sent))

    return answer


def _plain(row: Any) -> Any:
    if isinstance(row, bytes):
        return row.decode()
    return row.tolist() if hasattr(row, "tolist") else row


def rest_document(name: str, requests: Sequence[bytes]) -> dict[str, Any]:
    """The body of a request to TensorFlow Serving's REST interface, in its row format.

    What is named `..._bytes` is sent in base64, as https://www.tensorflow.org/tfx/serving/api_rest says.

    Args:
        name: The input.
        requests: What is sent.

    Example:
        >>> rest_document("texts", [b"hello"])["instances"]
        [{'texts': 'hello'}]
        >>> rest_document("image_bytes", [b"hello"])["instances"]
        [{'image_bytes': {'b64': 'aGVsbG8='}}]
    """

    def value(sent: bytes) -> Any:
        return {"b64": base64.b64encode(sent).decode()} if name.endswith("_bytes") else sent.decode()

    return {"signature_name": SIGNATURE, "instances": [{name: value(sent)} for sent in requests]}


def write_requests(folder: Path, name: str, requests: Sequence[GoldenRequest]) -> None:
    """Write `golden/requests.json`: each request as REST takes it, and the answer that belongs to it.

    Args:
        folder: The bundle's folder.
        name: The input.
        requests: The requests.
    """
    instances = rest_document(name, [request.sent for request in requests])["instances"]
    rows = [{"instance": instance, "answer": one.answer} for instance, one in zip(instances, requests, strict=True)]
    (folder / "golden").mkdir()
    write_whole(folder / "golden/requests.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def warm_up_records(model: str, name: str, requests: Sequence[bytes]) -> Iterator[bytes]:
    """What a server runs through a model before it takes requests: one request a record, then all in a batch.

    The format is that of https://www.tensorflow.org/tfx/serving/saved_model_warmup: `PredictionLog` messages.

    Args:
        model: The model's name on the server.
        name: The input.
        requests: What clients send.

    Raises:
        ExportError: Without the package `tensorflow-serving-api`.
    """
    import tensorflow as tf

    logs, predict = serving_messages()
    for some in [*([one] for one in requests), list(requests)]:
        request = predict.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, SIGNATURE
        request.inputs[name].CopyFrom(tf.make_tensor_proto(some, shape=(len(some),)))
        yield logs.PredictionLog(predict_log=logs.PredictLog(request=request)).SerializeToString()


def serving_messages() -> tuple[Any, Any]:
    """The modules of TensorFlow Serving's messages: prediction logs, and requests.

    Raises:
        ExportError: Without the package `tensorflow-serving-api`.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        raise ExportError("a bundle for TensorFlow Serving needs tensorflow-serving-api", hint=_INSTALL) from None
    return prediction_log_pb2, predict_pb2
