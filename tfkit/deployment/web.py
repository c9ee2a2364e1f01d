"""A bundle for browsers: which file, what the page must know of it, and the samples that it checks itself with."""

import base64
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, ImageSpec, RunDirectory, read_manifest
from tfkit.deployment.names import check_name
from tfkit.deployment.proved import accepted_file, proved_answers
from tfkit.errors import ConfigError, ExportError
from tfkit.files import write_whole

LITERT_JS = "2.5.3"
# The browser's way of loading packages by name needs to be told where they lie.
_IMPORTS = {
    "imports": {
        "@litertjs/core": "./node_modules/@litertjs/core/dist/index.js",
        "@litertjs/wasm-utils": "./node_modules/@litertjs/wasm-utils/dist/index.js",
    }
}
_APART = 1e-4


@dataclass(frozen=True)
class WebOptions:
    """What a bundle for browsers is told.

    Attributes:
        name: What the model is called: small letters, digits and dashes, 40 at most.
        file: Which of the run's files; the smallest kind that was accepted when None: int8 first.
        title: What stands above the page; the name when None.

    Raises:
        ConfigError: When a name is none, or the title holds markup.

    Example:
        >>> WebOptions("digits").title is None
        True
    """

    name: str
    file: str | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        faults = check_name(self.name)
        if self.title is not None and (not self.title.isprintable() or set(self.title) & set("<>&\"'")):
            faults.append(f"the title '{self.title!r}' holds line breaks, quotes or markup")
        if faults:
            raise ConfigError("; ".join(faults), hint="name the model with --name, such as ants-or-bees")


def web_model(run: RunDirectory, options: WebOptions) -> Artifact:
    """The file of a run that a browser is given.

    Args:
        run: The run.
        options: What the bundle is told.

    Returns:
        An accepted `.tflite` file of pictures.

    Raises:
        ExportError: When the run has not finished or has changed, takes no pictures, or has no such file that was
            accepted.
    """
    artifacts = [one for one in read_manifest(run.artifacts) if one.format == "tflite"]
    if artifacts and not isinstance(artifacts[0].input, ImageSpec):
        raise ExportError(
            f"'{run.path}' is a model of texts, and the page has no tokeniser",
            hint="serve it: tfkit package serving RUN",
        )
    return accepted_file(run, ("tflite",), file=options.file)


def web_document(served: Artifact, golden: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page must know: `model.json`.

    Args:
        served: The file.
        golden: The samples: the file and the scores of each.

    Returns:
        Plain values.
    """
    image, (given,), (output,) = served.input, served.signature.inputs, served.signature.outputs
    assert isinstance(image, ImageSpec)
    return {
        "version": 1,
        "file": served.path.name,
        "sha256": served.sha256,
        "task": served.task,
        "image": {"height": image.height, "width": image.width, "channels": image.channels, "resize": image.resize},
        "input": {"dtype": given.dtype, "shape": [1, *image.shape]},
        "output": {"dtype": output.dtype, "scale": output.scale, "zero_point": output.zero_point},
        "class_names": list(served.class_names),
        "thresholds": list(served.thresholds),
        "golden": list(golden),
    }


def write_web_model(folder: Path, run: RunDirectory, served: Artifact) -> int:
    """Copy the file and the golden samples, and write `model.json`; the file must answer them as it was proved to.

    Args:
        folder: The bundle's folder.
        run: The run.
        served: Its file.

    Returns:
        How many samples there are.

    Raises:
        ExportError: When the samples have changed, or the file answers otherwise.
    """
    described = run.golden / "golden.json"
    run.vouches_for(described)
    said = json.loads(described.read_text(encoding="utf-8"))
    expected = proved_answers(run, served)
    files = [run.golden / one["file"] for one in said["images"]]
    run.vouches_for(*files)
    _refuse_other_answers(served, files, expected)
    (folder / "golden").mkdir()
    for file in files:
        shutil.copyfile(file, folder / "golden" / file.name)
    shutil.copyfile(served.path, folder / served.path.name)
    golden = [
        {"file": f"golden/{file.name}", "scores": [float(score) for score in row]}
        for file, row in zip(files, expected, strict=True)
    ]
    write_whole(folder / "model.json", json.dumps(web_document(served, golden), indent=2, ensure_ascii=False) + "\n")
    return len(files)


def _refuse_other_answers(served: Artifact, files: Sequence[Path], expected: NDArray[np.float32]) -> None:
    from tfkit.data import picture_pixels
    from tfkit.runtimes import open_runtime

    assert isinstance(served.input, ImageSpec)
    pixels = np.stack([picture_pixels(file.read_bytes(), served.input) for file in files])
    with open_runtime(served) as runtime:
        apart = float(np.abs(runtime.scores(pixels) - expected).max())
    if not apart <= _APART:
        raise ExportError(
            f"'{served.path}' answers its golden samples otherwise than in the run's proof: {apart:.3g} apart",
            hint="run the recipe again on this machine",
        )


def web_values(served: Artifact, options: WebOptions) -> dict[str, Any]:
    """What the templates of `web` name.

    Args:
        served: The file.
        options: What the bundle is told.

    Returns:
        Names and numbers.
    """
    imports = json.dumps(_IMPORTS)
    digest = hashlib.sha256(imports.encode()).digest()
    return {
        "name": options.name,
        "title": options.title or options.name,
        "file": served.path.name,
        "is_integer": served.signature.outputs[0].dtype != "float32",
        "litert_js": LITERT_JS,
        "imports": imports,
        "imports_sha256": base64.b64encode(digest).decode(),
    }
