"""A bundle for TensorFlow Serving: which model, its versions and labels, and the proof that it answers as it did."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.artifacts import Artifact, RunDirectory, read_manifest
from tfkit.deployment.bundle import read_bundle
from tfkit.deployment.names import check_images, check_name, own_image
from tfkit.deployment.proved import proved_files
from tfkit.deployment.requests import (
    SIGNATURE,
    WARM_UP,
    GoldenRequest,
    answering,
    serving_messages,
    warm_up_records,
)
from tfkit.deployment.servers import body_megabytes, memory_mib, tensorflow_serving
from tfkit.deployment.serving_operators import refused_pictures, serving_since
from tfkit.deployment.tolerances import same_runtime
from tfkit.errors import ConfigError, ExportError

SERVING_IMAGE = "tensorflow/serving:2.19.1"


@dataclass(frozen=True)
class ServingOptions:
    """What a bundle for TensorFlow Serving is told.

    Attributes:
        name: The model's name on the server: small letters, digits and dashes, as Kubernetes has them, 40 at most.
        version: The number of this version, 1 or more.
        image: What the bundle's own image is called where it is pushed to; its tag is the version when None.
        serving_image: The server's image, with a tag.
        previous: A bundle whose versions are served beside this one; its newest stays `stable`, this one is `canary`.

    Example:
        >>> ServingOptions("digits").version
        1
    """

    name: str
    version: int = 1
    image: str | None = None
    serving_image: str = SERVING_IMAGE
    previous: Path | None = None

    def __post_init__(self) -> None:
        faults = check_name(self.name)
        if self.version < 1:
            faults.append(f"the version must be 1 or more; got {self.version}")
        faults += check_images(self.image, self.serving_image)
        if faults:
            raise ConfigError("; ".join(faults), hint="name the model with --name, such as ants-or-bees")

    @property
    def image_name(self) -> str:
        """The bundle's own image.

        Example:
            >>> ServingOptions("digits", version=3).image_name
            'registry.example.com/digits:3'
        """
        return self.image or own_image(self.name, self.version)


def served_model(run: RunDirectory) -> Artifact:
    """The SavedModel of a run that was accepted; all its bytes are compared.

    Args:
        run: The run.

    Returns:
        What is served.

    Raises:
        ExportError: When the run has not finished, made no SavedModel, or has changed; or its SavedModel was refused.

    Example:
        >>> served_model(RunDirectory(Path("runs/digits"))).path.name  # doctest: +SKIP
        '1'
    """
    results = proved_files(run)
    found = [artifact for artifact in read_manifest(run.artifacts) if artifact.format == "saved_model"]
    if not found:
        raise ExportError(
            f"'{run.path}' has no SavedModel, which is what TensorFlow Serving takes",
            hint="run the recipe again with saved_model among export.formats",
        )
    for result in results:
        if result["format"] == "saved_model" and not result["accepted"]:
            reasons = " ".join(result["refusals"]) or "see report.html"
            raise ExportError(f"the SavedModel of '{run.path}' was refused: {reasons}", hint="mend the model first")
    return found[0]


def model_versions(options: ServingOptions) -> tuple[dict[int, str], dict[str, int]]:
    """The versions that the bundle of `options.previous` holds, and the labels of all.

    Args:
        options: What the bundle is told.

    Returns:
        SHA-256 by older version; labels and their versions.

    Raises:
        ExportError: When there is no such bundle, it is damaged, of another model, or has this version already.
    """
    if options.previous is None:
        return {}, {"stable": options.version}
    older = read_bundle(options.previous)
    if older is None or older.kind != "serving":
        raise ExportError(f"'{options.previous}' is no bundle for TensorFlow Serving", hint="name one with --previous")
    if older.model != options.name:
        raise ExportError(
            f"'{options.previous}' serves '{older.model}', not '{options.name}'", hint=f"say --name {older.model}"
        )
    versions = {int(number): sha256 for number, sha256 in older.versions.items()}
    newest = max(versions)
    if options.version <= newest:
        raise ExportError(
            f"'{options.previous}' has version {newest} already", hint=f"say --model-version {newest + 1}"
        )
    return {newest: versions[newest]}, {"stable": newest, "canary": options.version}


def write_model(
    folder: Path, served: Artifact, options: ServingOptions, *, sent: str, requests: Sequence[GoldenRequest]
) -> Path:
    """Copy the SavedModel under its number, with the requests that warm it up, and the stable version beside it.

    Args:
        folder: The bundle's folder.
        served: The SavedModel.
        options: What the bundle is told.
        sent: The name of its input.
        requests: What warms it up.

    Returns:
        The version's folder.
    """
    import tensorflow as tf

    versions = folder / "models" / options.name
    path = versions / str(options.version)
    shutil.copytree(served.path, path, ignore=shutil.ignore_patterns(".*"))
    (path / WARM_UP).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path / WARM_UP)) as writer:
        for record in warm_up_records(options.name, sent, [request.sent for request in requests]):
            writer.write(record)
    for number in model_versions(options)[0]:
        assert options.previous is not None
        shutil.copytree(options.previous / "models" / options.name / str(number), versions / str(number))
    return path


def serving_values(
    run: RunDirectory, served: Artifact, options: ServingOptions, *, sent: str, request_bytes: int
) -> dict[str, Any]:
    """What the templates of `serving` name.

    Args:
        run: The run that was packaged.
        served: Its SavedModel.
        options: What the bundle is told.
        sent: The name of its input.
        request_bytes: The largest body of a golden request.

    Returns:
        Names, numbers and limits.
    """
    _, labels = model_versions(options)
    (proved,) = [one for one in proved_files(run) if one["format"] == "saved_model"]
    seconds = proved["latency_ms_p50"] / 1000
    return {
        "server": tensorflow_serving(options.name, tuple(labels)),
        "name": options.name,
        "version": options.version,
        "versions": sorted(set(labels.values())),
        "labels": labels,
        "image": options.image_name,
        "serving_image": options.serving_image,
        "sent": sent,
        "refused_pictures": refused_pictures(options.serving_image) if sent.endswith("_bytes") else "",
        "signature": SIGNATURE,
        "body_megabytes": body_megabytes(request_bytes),
        "memory_mib": memory_mib(256, 4, served.bytes),
        "slow_seconds": round(max(0.1, 10 * seconds), 2),
        "task": served.task,
        "measured_ms": round(1000 * seconds, 1),
    }


def checked_serving(
    folder: Path, options: ServingOptions, *, requests: Sequence[GoldenRequest], expected: Mapping[str, np.ndarray]
) -> tuple[str, ...]:
    """Read a bundle's files as a server would, and have its model answer the warm-up requests.

    Args:
        folder: The bundle's folder.
        options: What it was told.
        requests: The golden requests with the answers of the run's SavedModel.
        expected: What the run's proof got for them, by output.

    Returns:
        What was found right, in sentences.

    Raises:
        ExportError: When a file cannot be read as it must, or an answer differs.
    """
    import tensorflow as tf
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    logs, _ = serving_messages()
    config = text_format.Parse(
        (folder / "config/models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    policies = [one.model_version_policy.specific for one in config.model_config_list.config]
    listed = {number for policy in policies for number in policy.versions}
    there = {int(path.name) for path in (folder / "models" / options.name).iterdir()}
    if listed != there:
        raise ExportError(f"models.config serves the versions {sorted(listed)}, and there are {sorted(there)}")
    path = folder / "models" / options.name / str(options.version)
    since = serving_since(path, options.serving_image)
    answer, replayed = answering(path), []
    for record in tf.data.TFRecordDataset(str(path / WARM_UP)).as_numpy_iterator():
        request = logs.PredictionLog.FromString(record).predict_log.request
        (values,) = request.inputs.values()
        replayed.append(answer(list(tf.make_ndarray(values))))
    alone, together = replayed[:-1], replayed[-1]
    for number, request in enumerate(requests):
        for got in (*alone[number], together[number]):
            _refuse_other_answer(request.answer, got.answer, f"golden request {number}")
    for name, values in expected.items():
        for number, value in enumerate(values.tolist()):
            _refuse_other_answer({name: value}, together[number].answer, f"golden sample {number}")
    return (
        f"models.config was read by TensorFlow Serving's own messages: versions {', '.join(map(str, sorted(there)))}",
        f"{len(replayed)} warm-up requests were replayed through the bundle's model, one by one and as a batch",
        f"TensorFlow Serving knows all of its operators from {since} on (older ones were not asked)",
        f"its answers to {len(requests)} golden samples are those of the run's proof",
    )


def _refuse_other_answer(wanted: Mapping[str, Any], got: Mapping[str, Any], what: str) -> None:
    for name, value in wanted.items():
        if not _alike(value, got[name]):
            raise ExportError(f"the bundle's model answers {what} with {name} {got[name]}, not {value}")


def _alike(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, list):
        return len(wanted) == len(got) and all(map(_alike, wanted, got))
    return abs(wanted - got) <= same_runtime(wanted) if isinstance(wanted, float) else bool(wanted == got)
