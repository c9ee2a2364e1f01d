// The model in LiteRT's Interpreter: @{ "a text" if is_text else "a picture" }@ in, scores out.
package com.example.model

import android.content.Context
@% if not is_text %@
import android.graphics.BitmapFactory
import android.media.ExifInterface
import java.io.ByteArrayInputStream
@% endif %@
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Interpreter

/** Reads the model, labels@{ " and vocabulary" if is_text else "" }@ from the app's assets. Use it from one thread at a time. */
class Classifier(context: Context, threads: Int = 1) : AutoCloseable {
    val labels: List<String> =
@% if has_labels %@
        context.assets.open("labels.txt").bufferedReader().readLines()
@% else %@
        emptyList()
@% endif %@
    private val interpreter: Interpreter
@% if is_text %@
    private val pieces = WordPieces(context.assets.open("tokenizer/vocabulary.txt").bufferedReader().readLines())
@% endif %@

    init {
        val bytes = context.assets.open(ModelSpec.FILE).use { it.readBytes() }
        val model = buffer(bytes.size).apply { put(bytes); rewind() }
        interpreter = Interpreter(model, Interpreter.Options().setNumThreads(threads))
    }

@% if is_text %@
    fun scores(text: String): FloatArray = scores(pieces.ids(text), pieces.mask(text))

    /** Scores of `ModelSpec.LENGTH` token ids, and 1 for each that is not padding. */
    fun scores(ids: IntArray, mask: IntArray): FloatArray {
        val inputs = mutableMapOf<String, Any>("token_ids" to ints(ids), "padding_mask" to ints(mask))
        if (ModelSpec.SEGMENT_IDS) inputs["segment_ids"] = ints(IntArray(ids.size))
        val output = buffer(ModelSpec.OUTPUTS * ModelSpec.OUTPUT_BYTES)
        interpreter.runSignature(inputs, mapOf<String, Any>(ModelSpec.OUTPUT_NAME to output))
        return scoresOf(output)
    }

    private fun ints(values: IntArray) = buffer(4 * values.size).apply { asIntBuffer().put(values) }
@% else %@
    /** Scores of a JPEG or PNG. */
    fun scores(encoded: ByteArray): FloatArray = scores(pixels(encoded))

    /** What the model is given of a JPEG or PNG: upright and at its size. */
    fun pixels(encoded: ByteArray): Pixels {
        // No scaling and no mixing with a background: pixels as training saw them.
        val options = BitmapFactory.Options().apply { inScaled = false; inPremultiplied = false }
        val bitmap = requireNotNull(BitmapFactory.decodeByteArray(encoded, 0, encoded.size, options)) { "no picture" }
        val argb = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        val decoded = pixelsOf(argb, bitmap.height, bitmap.width, ModelSpec.IMAGE.channels)
        bitmap.recycle()
        val isJpeg = encoded.size > 2 && encoded[0] == 0xFF.toByte() && encoded[1] == 0xD8.toByte()
        val exif = if (isJpeg) ExifInterface(ByteArrayInputStream(encoded)) else null  // API 24; androidx has it before
        val orientation = exif?.getAttributeInt(ExifInterface.TAG_ORIENTATION, 1) ?: 1
        return fitted(upright(decoded, orientation), ModelSpec.IMAGE)
    }

    /** Scores of pixels that are at the model's size already. */
    fun scores(pixels: Pixels): FloatArray {
        val input = buffer(pixels.values.size * if (ModelSpec.INPUT_IS_FLOAT) 4 else 1)
        for (value in pixels.values) {
            if (ModelSpec.INPUT_IS_FLOAT) input.putFloat((value.toInt() and 255).toFloat()) else input.put(value)
        }
        input.rewind()
        val output = buffer(ModelSpec.OUTPUTS * ModelSpec.OUTPUT_BYTES)
        interpreter.run(input, output)
        return scoresOf(output)
    }
@% endif %@

    override fun close() = interpreter.close()

    private fun scoresOf(output: ByteBuffer): FloatArray {
        output.rewind()
        val scores = FloatArray(ModelSpec.OUTPUTS) {
            if (ModelSpec.OUTPUT_BYTES == 4) return@FloatArray output.getFloat()
            val step = output.get().toInt()
            val whole = if (ModelSpec.OUTPUT_IS_SIGNED) step else step and 255
            (whole - ModelSpec.OUTPUT_ZERO) * ModelSpec.OUTPUT_SCALE
        }
        return if (ModelSpec.ONE_SIGMOID) floatArrayOf(1f - scores[0], scores[0]) else scores
    }

    private fun buffer(size: Int) = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())
}
