package com.google.mediapipe.tasks.text.textclassifier

import android.content.Context
import com.google.mediapipe.tasks.components.containers.ClassificationResult

abstract class TextClassifierResult {
    abstract fun classificationResult(): ClassificationResult
}

abstract class TextClassifier : AutoCloseable {
    abstract fun classify(text: String): TextClassifierResult

    companion object {
        @JvmStatic
        fun createFromFile(context: Context, path: String): TextClassifier = TODO()
    }
}
