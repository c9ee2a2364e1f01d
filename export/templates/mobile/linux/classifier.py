"""The model of this bundle in LiteRT, on any Linux: `python3 classifier.py --check`, or with texts or picture files.

It needs `pip install -r requirements.txt`, and no TensorFlow.
"""

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from ai_edge_litert.interpreter import Interpreter

BUNDLE = Path(__file__).resolve().parents[1]
ABOUT = json.loads((BUNDLE / "model.json").read_text(encoding="utf-8"))


class Model:
    """Scores of the model's own inputs; `threads` processors work on one run."""

    def __init__(self, threads: int = 1) -> None:
        self._interpreter = Interpreter(str(BUNDLE / ABOUT["file"]), num_threads=threads)
        self._run = self._interpreter.get_signature_runner()

    def scores(self, **inputs: np.ndarray) -> np.ndarray:
        """float32 (scores,) of inputs by name, each with a first axis of 1."""
        (output,) = ABOUT["outputs"]
        feed = {one["name"]: np.zeros(one["shape"], one["dtype"]) for one in ABOUT["inputs"]}
        feed |= {name: values.astype(feed[name].dtype) for name, values in inputs.items()}
        scores = self._run(**feed)[output["name"]].reshape(-1).astype(np.float32)
        if output["scale"]:
            scores = (scores - np.float32(output["zero_point"])) * np.float32(output["scale"])
        # One sigmoid unit is two classes.
        return np.concatenate([1 - scores, scores]) if ABOUT["one_sigmoid"] else scores


class Pictures:
    """What a model of pictures is given: raw pixels 0..255, upright and at its size."""

    def __init__(self) -> None:
        import pixels

        self._pixels, self._image = pixels, SimpleNamespace(**ABOUT["image"])

    def inputs(self, given: str) -> dict[str, np.ndarray]:
        """The model's input of a JPEG or PNG file."""
        return self.of_pixels(self.pixels(Path(given).read_bytes()))

    def of_pixels(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """The model's input of uint8 (height, width, channels)."""
        return {ABOUT["inputs"][0]["name"]: pixels[None]}

    def pixels(self, encoded: bytes) -> np.ndarray:
        """uint8 (height, width, channels) of an encoded picture."""
        decoded = self._pixels.decode_on_host(encoded, channels=self._image.channels)
        if decoded is None:
            raise ValueError("it is no JPEG or PNG that can be read")
        return self._pixels.fit_on_host(decoded, self._image)

    def golden(self) -> list[dict[str, np.ndarray]]:
        """The inputs of the golden samples."""
        shape = (-1, self._image.height, self._image.width, self._image.channels)
        return [self.of_pixels(one) for one in golden("pixels.bin", "u1").reshape(shape)]

    def check(self) -> bool:
        """Compare the pixels of pictures of many shapes with those of training."""
        rows, same = table("pictures.tsv"), 0
        for picture, wanted in rows:
            found = self.pixels((BUNDLE / "golden" / picture).read_bytes()).reshape(-1).astype(int)
            apart = np.abs(found - np.fromfile(BUNDLE / "golden" / wanted, "u1")).max()
            same += bool(apart <= (0 if picture.endswith(".png") else 2))  # JPEG decoders may differ by a grey level
        print(f"{same} of {len(rows)} pictures have the pixels of training")
        return same == len(rows)


class Texts:
    """What a model of texts is given: token ids."""

    def __init__(self) -> None:
        from word_pieces import WordPieces

        self._pieces = WordPieces(BUNDLE / "tokenizer", ABOUT["text"]["sequence_length"])

    def inputs(self, given: str) -> dict[str, np.ndarray]:
        """The model's inputs of a text."""
        return self._pieces.tensors(given)

    def golden(self) -> list[dict[str, np.ndarray]]:
        """The inputs of the golden samples."""
        rows = zip(golden("token_ids.bin", "<i4"), golden("padding_mask.bin", "<i4"), strict=True)
        return [{"token_ids": ids[None], "padding_mask": mask[None]} for ids, mask in rows]

    def check(self) -> bool:
        """Compare the token ids of texts that break tokenisers with those of training."""
        rows = [(bytes.fromhex(text).decode(), list(map(int, ids.split()))) for text, ids in table("texts.tsv")]
        same = sum(self._pieces.ids(text) == ids for text, ids in rows)
        print(f"{same} of {len(rows)} texts have the token ids of training")
        return same == len(rows)


def golden(name: str, kind: str) -> np.ndarray:
    """A golden file's numbers, one row for each sample."""
    return np.fromfile(BUNDLE / "golden" / name, kind).reshape(ABOUT["samples"], -1)


def table(name: str) -> list[list[str]]:
    """The rows of a golden table."""
    return [line.split("\t") for line in (BUNDLE / "golden" / name).read_text().splitlines()]


def check(model: Model, inputs: Pictures | Texts) -> bool:
    """Answer the golden samples, and compare."""
    expected = golden("expected.bin", "<f4")
    found = np.stack([model.scores(**one) for one in inputs.golden()])
    right = int((np.abs(found - expected).max(axis=1) <= ABOUT["apart"]).sum())
    print(f"{right} of {len(expected)} samples are answered as in the model's proof")
    return inputs.check() and right == len(expected)


def main() -> int:
    """Check, or show the scores of what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="answer the golden samples")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("given", nargs="*", help="texts, or JPEG and PNG files")
    words = parser.parse_args()
    model, inputs = Model(words.threads), Texts() if "text" in ABOUT else Pictures()
    for one in words.given:
        scores = model.scores(**inputs.inputs(one)).tolist()
        named = list(zip(ABOUT["class_names"] or map(str, range(len(scores))), scores, strict=True))
        if ABOUT["class_names"] and ABOUT["task"] != "regression":
            named = sorted(named, key=lambda pair: -pair[1])[:5]
        print(one, *(f"{name} {score:.4g}" for name, score in named), sep="  ")
    if words.given and not words.check:
        return 0
    right = check(model, inputs)
    print("OK" if right else "FAILED")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
