"""Ask the server about pictures or texts.

    python client/client.py FILE_OR_TEXT... [--url URL] [--key KEY] [--label canary] [--grpc HOST:PORT]

REST needs nothing but Python; --grpc needs: pip install tensorflow-serving-api
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

MODEL, INPUT, SIGNATURE = "@{ name }@", "@{ sent }@", "@{ signature }@"


def instance(given):
    """What REST takes for a file's name, or for a text."""
    if INPUT.endswith("_bytes"):
        return {INPUT: {"b64": base64.b64encode(Path(given).read_bytes()).decode()}}
    return {INPUT: given}


def ask(instances, *, url="http://127.0.0.1:8501", key="", label="", timeout=15.0):
    """Answers to a batch of instances, one a row: the outputs by name."""
    part = f"/labels/{label}" if label else ""
    body = json.dumps({"signature_name": SIGNATURE, "instances": instances}).encode()
    headers = {"Content-Type": "application/json", **({"X-Api-Key": key} if key else {})}
    request = urllib.request.Request(f"{url}/v1/models/{MODEL}{part}:predict", body, headers)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        rows = json.loads(answer.read())["predictions"]
    return [row if isinstance(row, dict) else {"": row} for row in rows]


def ask_grpc(contents, *, address, label="", timeout=15.0):
    """The same over gRPC, for bytes."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = MODEL, SIGNATURE
    request.model_spec.version_label = label
    request.inputs[INPUT].CopyFrom(tf.make_tensor_proto(contents, shape=(len(contents),)))
    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", 64 << 20)]) as channel:
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout)
    outputs = {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}
    return [{name: _plain(values[row]) for name, values in outputs.items()} for row in range(len(contents))]


def _plain(value):
    return value.decode() if isinstance(value, bytes) else value.tolist() if hasattr(value, "tolist") else value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("given", nargs="+", help="pictures, or texts")
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--key", default="", help="the API key that nginx knows")
    parser.add_argument("--label", default="", help="stable or canary; the newest version when left out")
    parser.add_argument("--grpc", default="", help="ask there over gRPC, such as 127.0.0.1:8500")
    given = parser.parse_args()
    try:
        if given.grpc:
            is_file = INPUT.endswith("_bytes")
            contents = [Path(one).read_bytes() if is_file else one.encode() for one in given.given]
            rows = ask_grpc(contents, address=given.grpc, label=given.label)
        else:
            rows = ask([instance(one) for one in given.given], url=given.url, key=given.key, label=given.label)
    except urllib.error.HTTPError as fault:
        sys.exit(f"error: {fault.code}: {fault.read().decode(errors='replace').strip()[:300]}")
    except (OSError, ValueError) as fault:
        sys.exit(f"error: {fault}")
    for one, row in zip(given.given, rows):
        print(one, json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
