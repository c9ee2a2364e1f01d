"""What clients send, made into the tensors of the file as in training; and its scores, made into labels.

It needs numpy, and for pictures Pillow and simplejpeg: no TensorFlow. described.json lies beside it.
"""

import json
import pathlib

import numpy as np

MOST_BYTES = 64 << 20  # of one picture or text


class Refused(Exception):  # noqa: N818 - it is the client's error
    """What came is no input of this model; says why."""


class Decoder:
    """Reads described.json in a folder.

    Attributes:
        said: What stands there.
        sent: The name under which encoded pictures, or texts, are sent.
        taken: The file's own tensors by name.
    """

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.said = json.loads((folder / "described.json").read_text(encoding="utf-8"))
        self.sent, self.taken = self.said["sent"], {tensor["name"]: tensor for tensor in self.said["inputs"]}
        if self.said["kind"] == "image":
            import pixels

            self._pixels, self._image, self._decode = pixels, _Size(**self.said["image"]), self._pictures
        else:
            import word_pieces

            self._words, self._decode = word_pieces, self._texts
            self._pieces = word_pieces.WordPieces(lambda name: (folder / "tokenizer" / name).read_bytes())

    def tensors(self, given):
        """What the file is fed with, by name: decoded from what was sent encoded, or taken as it came.

        Args:
            given: The request's arrays by name, each with a row for each example.
        """
        names = set(given)
        if names == {self.sent}:
            return self._decode([self._content(row) for row in given[self.sent].reshape(-1)])
        if names != set(self.taken):
            wanted = f"'{self.sent}' alone, or {' and '.join(map(repr, self.taken))}"
            came = " and ".join(map(repr, sorted(names))) or "nothing"
            raise Refused(f"the request holds {came}; expected {wanted}")
        if len({len(rows) for rows in given.values()}) != 1:
            raise Refused("the inputs have different numbers of rows")
        if self.said["kind"] == "text":
            self._refuse_other_ids(given)
        return given

    def answers(self, scores):
        """The outputs by name, a row for each example, from what the file gave: float32 (n, width)."""
        said = self.said
        if said["gives"] != "scores":
            return {said["gives"]: scores}
        names, limits = np.array(said["class_names"], dtype=object), np.array(said["thresholds"], np.float32)
        if said["task"] == "multilabel":
            found = scores >= (limits if len(limits) else np.float32(0.5))
            return {"scores": scores, "labels": np.where(found, names[None], "").astype(object)}
        chosen = (scores[:, 1] >= limits[0]).astype(np.int64) if len(limits) else scores.argmax(axis=1)
        return {"scores": scores, "labels": names[chosen][:, None]}

    def _content(self, row):
        content = row if isinstance(row, bytes) else str(row).encode()
        if not content and self.said["kind"] == "image":
            raise Refused(f"'{self.sent}' is empty")
        if len(content) > MOST_BYTES:
            raise Refused(f"'{self.sent}' holds {len(content)} bytes; at most {MOST_BYTES} are taken")
        return content

    def _pictures(self, rows):
        decoded = []
        for number, content in enumerate(rows):
            found = self._pixels.decode_on_host(content, channels=self._image.channels)
            if found is None:
                raise Refused(f"picture {number} is no whole JPEG or PNG of grey or RGB ({len(content)} bytes)")
            decoded.append(self._pixels.fit_on_host(found, self._image))
        ((name, tensor),) = self.taken.items()
        return {name: np.stack(decoded).astype(tensor["dtype"])}

    def _texts(self, rows):
        length, ids = self.said["text"]["sequence_length"], []
        for number, content in enumerate(rows):
            try:
                text = content.decode()
            except UnicodeDecodeError:
                raise Refused(f"text {number} is no UTF-8") from None
            if (letter := self._words.unknown_letter(text)) is not None:
                raise Refused(
                    f"text {number} holds {letter!a}, a letter that is not sure to be tokenised here as in "
                    f"training; send {' and '.join(self.taken)} made by tfkit's own tokeniser"
                )
            ids.append(self._pieces.row(text, length))
        both = np.array(ids, np.int32)
        return {"token_ids": both[:, 0], "padding_mask": both[:, 1]}

    def _refuse_other_ids(self, given):
        ids, mask = given["token_ids"], given["padding_mask"]
        size = self.said["text"]["vocabulary_size"]
        if ids.min(initial=0) < 0 or ids.max(initial=0) >= size:
            raise Refused(f"token_ids must be in [0, {size})")
        if not np.isin(mask, (0, 1)).all() or not mask[:, 0].all():
            raise Refused("padding_mask must be 1 for tokens, the first among them, and 0 behind them")


class _Size:
    """How large a picture is to be, as pixels.fit_on_host asks for it."""

    def __init__(self, height, width, channels, resize):
        self.height, self.width, self.channels, self.resize = height, width, channels, resize
