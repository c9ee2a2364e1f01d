"""Answers of MediaPipe Tasks, from what a file's metadata says: MODEL INPUTS.npz ANSWERS.npz.

The inputs hold `pixels` (RGB pictures) or `texts`; the scores come with the labels that MediaPipe gave them. With
`segment` the pictures are segmented: confidences and the classes of each pixel. With `detect` (the least score) objects
are found in them: for each the picture, the score, top, left, bottom and right in pixels, and the label.
"""

import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, text, vision

model, inputs, answers = sys.argv[1:]
given = np.load(inputs)
base = BaseOptions(model_asset_path=model)


def image_rows(pixels):
    with vision.ImageClassifier.create_from_options(vision.ImageClassifierOptions(base_options=base)) as classifier:
        for picture in pixels:
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
            yield classifier.classify(image).classifications[0].categories


def masks(pixels):
    options = vision.ImageSegmenterOptions(base_options=base, output_category_mask=True, output_confidence_masks=True)
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        for picture in pixels:
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
            found = segmenter.segment(image)
            scores = [np.squeeze(mask.numpy_view()).copy() for mask in found.confidence_masks]
            yield np.stack(scores, axis=-1), np.squeeze(found.category_mask.numpy_view()).copy(), list(segmenter.labels)


def objects(pixels, least):
    options = vision.ObjectDetectorOptions(base_options=base, score_threshold=least, max_results=-1)
    with vision.ObjectDetector.create_from_options(options) as detector:
        for number, picture in enumerate(pixels):
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
            for found in detector.detect(image).detections:
                box, best = found.bounding_box, found.categories[0]
                corners = box.origin_y, box.origin_x, box.origin_y + box.height, box.origin_x + box.width
                yield (number, best.score, *corners), best.category_name


def text_rows(texts):
    with text.TextClassifier.create_from_options(text.TextClassifierOptions(base_options=base)) as classifier:
        for sentence in texts:
            yield classifier.classify(str(sentence)).classifications[0].categories


def vectors(texts):
    with text.TextEmbedder.create_from_options(text.TextEmbedderOptions(base_options=base)) as embedder:
        return [np.asarray(embedder.embed(str(sentence)).embeddings[0].embedding) for sentence in texts]


try:
    if "detect" in given.files:
        rows, labels = zip(*objects(given["pixels"], float(given["detect"])), strict=True)
        np.savez(answers, answers=np.array(rows), labels=np.array(labels).astype(str))
        sys.exit()
    if "segment" in given.files:
        scores, classes, labels = zip(*masks(given["pixels"]), strict=True)
        np.savez(answers, answers=np.stack(scores), classes=np.stack(classes), labels=np.array(labels[0]).astype(str))
        sys.exit()
    if "embed" in given.files:
        np.savez(answers, answers=np.stack(vectors(given["texts"])))
        sys.exit()
    rows = list(image_rows(given["pixels"]) if "pixels" in given.files else text_rows(given["texts"]))
except (RuntimeError, ValueError, NotImplementedError) as fault:
    sys.exit(f"refused: {str(fault).splitlines()[0]}")
scores = np.zeros((len(rows), len(rows[0])), np.float32)
labels = np.full(len(rows[0]), "", dtype=object)
for row, categories in enumerate(rows):
    for category in categories:
        scores[row, category.index] = category.score
        labels[category.index] = category.category_name
np.savez(answers, answers=scores, labels=labels.astype(str))
