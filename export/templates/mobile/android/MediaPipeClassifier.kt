// The same file in MediaPipe Tasks, which reads labels@{ ", vocabulary" if is_text else ", pixel scaling" }@ and size from its metadata.
package com.example.model

import android.content.Context
@% if is_text %@
import com.google.mediapipe.tasks.text.textclassifier.TextClassifier

class MediaPipeClassifier(context: Context) : AutoCloseable {
    private val classifier = TextClassifier.createFromFile(context, ModelSpec.FILE)

    /** Labels and scores of a text, best first. */
    fun classify(text: String): List<Pair<String, Float>> =
        classifier.classify(text).classificationResult().classifications()[0].categories().map { it.categoryName() to it.score() }
@% else %@
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.vision.imageclassifier.ImageClassifier

class MediaPipeClassifier(context: Context) : AutoCloseable {
    private val classifier = ImageClassifier.createFromFile(context, ModelSpec.FILE)

    /**
     * Labels and scores of pixels at the model's size, best first.
     *
     * MediaPipe would stretch a picture of another size, by a way of its own: fit it before, as `Classifier.pixels` does.
     */
    fun classify(pixels: Pixels): List<Pair<String, Float>> {
        val argb = IntArray(pixels.height * pixels.width) { at ->
            (0 until 3).fold(255) { sum, n -> sum shl 8 or (pixels.values[3 * at + n].toInt() and 255) }
        }
        val bitmap = Bitmap.createBitmap(argb, pixels.width, pixels.height, Bitmap.Config.ARGB_8888)
        val result = classifier.classify(BitmapImageBuilder(bitmap).build())
        return result.classificationResult().classifications()[0].categories().map { it.categoryName() to it.score() }
    }
@% endif %@

    override fun close() = classifier.close()
}
