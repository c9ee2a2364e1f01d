"""A bundle for browsers: which file, what the page must know of it, and the samples that it checks itself with."""

import base64
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkit.artifacts import Artifact, ImageSpec, RunDirectory, TextSpec
from tfkit.deployment.golden_files import GoldenSamples, tokenized_texts
from tfkit.deployment.lite_files import device_document
from tfkit.deployment.names import check_name
from tfkit.deployment.proved import accepted_file
from tfkit.deployment.word_pieces import VOCABULARY_FILE, refuse_other_tokenizers, word_piece_values
from tfkit.errors import ConfigError, ExportError
from tfkit.files import write_whole
from tfkit.tasks import task_named

LITERT_JS = "2.5.3"
# The browser's way of loading packages by name needs to be told where they lie.
_IMPORTS = {
    "imports": {
        "@litertjs/core": "./node_modules/@litertjs/core/dist/index.js",
        "@litertjs/wasm-utils": "./node_modules/@litertjs/wasm-utils/dist/index.js",
    }
}
_OF_PICTURES = frozenset({"picture_page.js", "pixels.js"})
_OF_TEXTS = frozenset({"text_page.js", "word_pieces.js"})


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
        An accepted `.tflite` file.

    Raises:
        ExportError: When the run has not finished or has changed, has no such file that was accepted, gives vectors,
            or takes texts that are not cut by WordPiece.
    """
    served = accepted_file(run, ("tflite",), file=options.file)
    if not task_named(served.task).has_names:
        raise ExportError(
            f"'{run.path}' gives vectors, and the page shows answers that have names",
            hint="serve it: tfkit package serving RUN",
        )
    refuse_other_tokenizers(run, served)
    return served


def write_web_model(folder: Path, served: Artifact, samples: GoldenSamples) -> None:
    """Copy the file with its vocabulary and golden samples, and write `model.json`.

    Args:
        folder: The bundle's folder.
        served: The file.
        samples: Its golden samples.
    """
    (folder / "golden").mkdir()
    shutil.copyfile(served.path, folder / served.path.name)
    about = device_document(served, samples.expected)
    if isinstance(served.input, TextSpec):
        (folder / "tokenizer").mkdir()
        shutil.copyfile(served.input.tokenizer / VOCABULARY_FILE, folder / "tokenizer" / VOCABULARY_FILE)
        about["text"] |= {"tokenizer": f"tokenizer/{VOCABULARY_FILE}", **word_piece_values(served.input)}
        cut = [{"text": text, "ids": ids} for text, ids in tokenized_texts(served.input, samples)]
        write_whole(folder / "golden/texts.json", json.dumps(cut, ensure_ascii=False) + "\n")
        given: list[dict[str, str]] = [{"text": text} for text in samples.texts]
    else:
        for file in samples.pictures:
            shutil.copyfile(file, folder / "golden" / file.name)
        given = [{"file": f"golden/{file.name}"} for file in samples.pictures]
    rows = zip(given, samples.expected, strict=True)
    about["golden"] = [one | {"scores": [float(score) for score in row]} for one, row in rows]
    write_whole(folder / "model.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")


def web_left_out(served: Artifact) -> frozenset[str]:
    """The templates of the other kind of input.

    Args:
        served: The file.

    Returns:
        Names below `web`.
    """
    return _OF_TEXTS if isinstance(served.input, ImageSpec) else _OF_PICTURES


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
        "is_text": isinstance(served.input, TextSpec),
        "is_integer": served.signature.outputs[0].dtype != "float32",
        "litert_js": LITERT_JS,
        "imports": imports,
        "imports_sha256": base64.b64encode(digest).decode(),
    }
