"""`tfkit predict`: what a model says about pictures or texts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkit.artifacts import ResizeMode
from tfkit.errors import DataError, ModelError

if TYPE_CHECKING:
    import numpy as np

# tfkit.data knows them too, but a wrong path is told before TensorFlow is started.
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"})


def predict(
    path: Annotated[
        Path,
        typer.Argument(help="A run's folder, a .tflite file, a SavedModel's folder or a .keras file.", metavar="PATH"),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Pictures or folders of pictures; for a model of texts, texts or .txt files of a text a line.",
            metavar="INPUTS...",
        ),
    ],
    labels: Annotated[Path | None, typer.Option(help="A file with one label a line.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many labels to show for each.")] = 5,
    resize: Annotated[
        ResizeMode, typer.Option(help="How pictures are fitted, for a file that tfkit did not write.")
    ] = "crop",
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> int:
    """Classify pictures with any model, exported or not; or texts with one that tfkit exported."""
    from tfkit.cli.quiet import tensorflow_started
    from tfkit.cli.targets import takes_texts

    of_texts = takes_texts(path)
    given: list[Any] = _texts(inputs) if of_texts else _image_files([Path(word) for word in inputs])
    with tensorflow_started():
        if of_texts:
            model, class_names, scores = _text_scores(path, given, labels=labels)
        else:
            model, class_names, scores = _scores(path, given, labels=labels, resize=resize)
    best = [[(class_names[k], float(row[k])) for k in row.argsort()[::-1][:top]] for row in scores]
    kind = "text" if of_texts else "image"
    if as_json:
        import json

        answers = [
            {kind: str(one), "top": [{"label": label, "score": score} for label, score in row]}
            for one, row in zip(given, best, strict=True)
        ]
        typer.echo(json.dumps({"model": str(model), f"{kind}s": answers}, indent=2, ensure_ascii=False))
    else:
        _show(model, given, best, heading=kind)
        if class_names == tuple(map(str, range(len(class_names)))):
            typer.echo("  labels are numbers: --labels FILE names them, one a line", err=True)
    return 0


def _scores(
    path: Path, files: list[Path], *, labels: Path | None, resize: Any
) -> "tuple[Path, tuple[str, ...], np.ndarray]":
    """The file that answered, its labels, and float32 (n, classes)."""
    from tfkit.cli.targets import find_artifacts, is_keras_file, keras_image, read_labels, run_labels
    from tfkit.runtimes import KerasRuntime, SavedModelRuntime, open_runtime

    if is_keras_file(path):
        from tfkit.models import load_model_file

        model = load_model_file(path)
        scores = KerasRuntime(model).scores(_pixels(files, keras_image(model, path, resize=resize)))
        names = read_labels(labels) if labels else run_labels(path) or tuple(map(str, range(scores.shape[1])))
        if len(names) != scores.shape[1]:
            raise ModelError(f"there are {len(names)} labels; '{path}' gives {scores.shape[1]} scores")
        return path, names, scores
    artifact = _best_artifact(find_artifacts(path, labels=labels, resize=resize))
    with open_runtime(artifact) as runtime:
        if isinstance(runtime, SavedModelRuntime) and runtime.takes_encoded:
            scores = runtime.scores_from_encoded([file.read_bytes() for file in files])
        else:
            scores = runtime.scores(_pixels(files, artifact.input))
    return artifact.path, artifact.class_names or tuple(map(str, range(scores.shape[1]))), scores


def _text_scores(path: Path, texts: list[str], *, labels: Path | None) -> "tuple[Path, tuple[str, ...], np.ndarray]":
    """The file that answered, its labels, and float32 (n, classes)."""
    import numpy as np

    from tfkit.cli.targets import find_artifacts
    from tfkit.data import input_batches
    from tfkit.data.text import TextExamples
    from tfkit.runtimes import SavedModelRuntime, open_runtime

    artifact = _best_artifact(find_artifacts(path, labels=labels))
    numbers = np.zeros(len(texts), np.int32)
    examples = TextExamples(tuple(texts), numbers, tuple(map(str, numbers)), artifact.class_names)
    with open_runtime(artifact) as runtime:
        if isinstance(runtime, SavedModelRuntime) and runtime.takes_encoded:
            scores = runtime.scores_from_encoded([text.encode(errors="replace") for text in texts])
        else:
            batches = input_batches(examples, artifact.input, batch_size=32)
            scores = np.concatenate([runtime.scores(inputs) for inputs in batches])
    return artifact.path, artifact.class_names, scores


def _texts(words: list[str]) -> list[str]:
    """Texts as they are, and the lines of files."""
    found: list[str] = []
    for word in words:
        if word.endswith(".txt") and Path(word).is_file():
            try:
                lines = Path(word).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as fault:
                raise DataError(f"cannot read the texts '{word}': {fault}", hint="one text a line, in UTF-8") from None
            found += [line for line in lines if line.strip()]
        elif word.strip():
            found.append(word)
    if not found:
        raise DataError("there is no text", hint="write it in quotes, or name a .txt file with one text a line")
    return found


def _best_artifact(artifacts: Any) -> Any:
    """Of a run's files the one that ships: int8 where there is one, else the first."""
    return next((artifact for artifact in artifacts if artifact.quantization == "int8"), artifacts[0])


def _pixels(files: list[Path], image: Any) -> Any:
    """uint8 (n, height, width, channels); all files that are no pictures are told at once."""
    import numpy as np
    import tensorflow as tf

    from tfkit.data import decode_image, fit_image

    pixels, faults = [], []
    for file in files:
        try:
            pixels.append(fit_image(decode_image(file.read_bytes(), channels=image.channels), image))
        except (OSError, tf.errors.InvalidArgumentError):
            faults.append(f"'{file}' cannot be read as a picture")
    if faults:
        raise DataError("\n".join(faults), hint="tfkit reads JPEG, PNG, BMP, GIF and WebP")
    return np.stack(pixels)


def _image_files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    faults = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
            files += inside
            faults += [] if inside else [f"there is no picture in '{path}'"]
        elif path.is_file():
            files.append(path)
        else:
            faults.append(f"there is no picture '{path}'")
    if faults:
        raise DataError("\n".join(faults), hint="name JPEG, PNG, BMP, GIF or WebP files, or folders of them")
    return files


def _show(model: Path, given: list[Any], best: list[list[tuple[str, float]]], *, heading: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column(heading, overflow="fold")
    table.add_column("label", overflow="fold")
    table.add_column("score", justify="right", no_wrap=True)
    for one, row in zip(given, best, strict=True):
        for place, (label, score) in enumerate(row):
            style = "" if place == 0 else "dim"
            table.add_row(
                Text(str(one) if place == 0 else ""), Text(label, style=style), Text(f"{score:.3f}", style=style)
            )
        table.add_section()
    console = Console(highlight=False)
    console.print(f"[dim]{model}[/dim]", soft_wrap=True)
    console.print(table)
