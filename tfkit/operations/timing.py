"""How fast any model answers on this machine, exported or not: `tfkit.operations.time_model`."""

from dataclasses import asdict, dataclass
from pathlib import Path

from tfkit.artifacts import InputSpec, PixelScaling
from tfkit.benchmarking import Host, LatencyResult, describe_host, measure_latency, noise
from tfkit.opening import (
    find_artifacts,
    given_pixels,
    is_keras_file,
    keras_image,
    keras_text,
    on_raw_pixels_of,
    refuse_unfinished,
)
from tfkit.running import Display, SilentDisplay
from tfkit.terminal import import_tensorflow


@dataclass(frozen=True)
class TimedFile:
    """One model file and its latency on one image of noise or one text of full length.

    Attributes:
        file: Its path.
        kind: Its format and quantisation, such as `tflite int8`; `keras` for a Keras model.
        bytes: Its size.
        latency: How long it took.
    """

    file: Path
    kind: str
    bytes: int
    latency: LatencyResult


@dataclass(frozen=True)
class Timed:
    """What was timed, and on what machine.

    Attributes:
        host: The machine.
        files: One for each file.
    """

    host: Host
    files: tuple[TimedFile, ...]

    def document(self) -> dict[str, object]:
        """The figures as JSON keeps them."""
        models = [
            {"file": str(file.file), "kind": file.kind, "bytes": file.bytes, **asdict(file.latency)}
            for file in self.files
        ]
        return {"host": asdict(self.host), "models": models}


@dataclass(frozen=True)
class Timing:
    """How long is timed.

    Attributes:
        warmup_runs: Runs before the clock starts.
        min_runs: Timed runs, at least.
        max_seconds: Go on timing for so long.
    """

    warmup_runs: int = 10
    min_runs: int = 50
    max_seconds: float = 5.0


def time_model(
    path: str | Path,
    *,
    timing: Timing = Timing(),
    threads: int = 1,
    image_size: int | None = None,
    sequence_length: int | None = None,
    scaling: PixelScaling | None = None,
    custom_objects: str | None = None,
    display: Display | None = None,
) -> Timed:
    """Time a model on one image or text at a time; what `tfkit benchmark` does.

    Args:
        path: A run's folder, a `.tflite` file, a SavedModel's folder or a `.keras` file.
        timing: How long.
        threads: CPU threads, of exported files.
        image_size: Pixels of height and width, for a model that takes any size.
        sequence_length: Tokens of a text, for a Keras model outside of its run.
        scaling: What the model takes for raw pixels, where it does not say.
        custom_objects: A Python file or module that defines a Keras model's own layers; it is run.
        display: Where progress is shown; nowhere when None.

    Returns:
        The latencies in milliseconds, and the machine.

    Raises:
        ModelError: When nothing there can be run.
        RunError: When the run is unfinished.

    Example:
        >>> tfkit.operations.time_model("model_int8.tflite").files[0].latency.latency_ms_p50  # doctest: +SKIP
        0.21
    """
    path, display = Path(path), display or SilentDisplay()
    if is_keras_file(path):
        import_tensorflow()
        from tfkit.models import register_custom_objects

        register_custom_objects(custom_objects)
    host = describe_host()
    refuse_unfinished(path)
    if is_keras_file(path):
        with display.stage(path.name):
            timed = _timed_keras(path, scaling, timing, image_size=image_size, sequence_length=sequence_length)
            return Timed(host, (timed,))
    from tfkit.runtimes import open_runtime

    files = []
    for artifact in find_artifacts(path, image_size=image_size):
        with (
            display.stage(artifact.file_name),
            open_runtime(artifact, threads=threads, scaling=scaling) as runtime,
        ):
            latency = measure_latency(runtime, noise(artifact.input), **asdict(timing))
        kind = f"{artifact.format} {artifact.quantization}".removesuffix(" none")
        files.append(TimedFile(artifact.path, kind, artifact.bytes, latency))
    return Timed(host, tuple(files))


def _timed_keras(
    path: Path,
    said: PixelScaling | None,
    timing: Timing,
    *,
    image_size: int | None,
    sequence_length: int | None,
) -> TimedFile:
    from tfkit.models import load_model_file
    from tfkit.runtimes import KerasRuntime

    model = load_model_file(path)
    file = path / "models" / "float.keras" if path.is_dir() else path
    spec: InputSpec
    if isinstance(getattr(model, "input", None), dict):  # of texts
        spec = keras_text(path, sequence_length=sequence_length)
    else:
        spec = keras_image(model, path, image_size=image_size)
        model = on_raw_pixels_of(model, spec, given_pixels(model, said), path)
    with KerasRuntime(model) as runtime:
        latency = measure_latency(runtime, noise(spec), **asdict(timing))
    return TimedFile(file, "keras", file.stat().st_size, latency)
