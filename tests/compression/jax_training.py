"""Trains a quantisation-aware model on the backend of its process: `python jax_training.py START.npz START.keras OUT`.

Run by test_jax_backend.py, once with KERAS_BACKEND=jax and once with tensorflow.
"""

import sys
from pathlib import Path

import keras
import numpy as np

from tfkit.compression import FreezeRanges, quantize_aware, settle_biases

if __name__ == "__main__":
    arrays, start, out = np.load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    student = quantize_aware(keras.saving.load_model(start), arrays["pixels"])
    student.compile(
        keras.optimizers.SGD(1e-3), "categorical_crossentropy", jit_compile=keras.backend.backend() == "jax"
    )
    student.fit(
        arrays["pixels"],
        arrays["targets"],
        batch_size=16,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[FreezeRanges(after_epochs=1)],
    )
    settle_biases(student)
    student.save(out / "student.keras")
    np.savez(out / "trained.npz", backend=keras.backend.backend(), scores=student.predict(arrays["pixels"], verbose=0))
