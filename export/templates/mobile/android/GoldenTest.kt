// An instrumented test: the app on the device answers the golden samples as the model's proof says.
// src/androidTest/java/com/example/model/GoldenTest.kt; the folder golden belongs into src/androidTest/assets.
package com.example.model

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith

@RunWith(AndroidJUnit4::class)
class GoldenTest {
    private val instrumentation = InstrumentationRegistry.getInstrumentation()

    private fun golden(name: String) = instrumentation.context.assets.open("golden/$name").use { it.readBytes() }

    private fun numbers(name: String) = ByteBuffer.wrap(golden(name)).order(ByteOrder.LITTLE_ENDIAN)

    @Test
    fun samplesAreAnsweredAsInTheProof() {
        val expected = numbers("expected.bin").asFloatBuffer()
        val near = @{ apart }@f // on another processor
@% if is_text %@
        val ids = numbers("token_ids.bin").asIntBuffer()
        val masks = numbers("padding_mask.bin").asIntBuffer()
@% else %@
        val all = golden("pixels.bin")
        val size = ModelSpec.IMAGE.height * ModelSpec.IMAGE.width * ModelSpec.IMAGE.channels
@% endif %@
        Classifier(instrumentation.targetContext).use { classifier ->
            for (number in 0 until ModelSpec.SAMPLES) {
@% if is_text %@
                val row = IntArray(ModelSpec.LENGTH).also(ids::get)
                val scores = classifier.scores(row, IntArray(ModelSpec.LENGTH).also(masks::get))
@% else %@
                val image = ModelSpec.IMAGE
                val pixels = all.copyOfRange(number * size, (number + 1) * size)
                val scores = classifier.scores(Pixels(pixels, image.height, image.width, image.channels))
@% endif %@
                assertEquals(ModelSpec.SCORES, scores.size)
                for (score in scores) assertEquals("sample $number", expected.get(), score, near)
            }
        }
    }

@% if is_text %@
    @Test
    fun textsHaveTheTokenIdsOfTraining() {
        val vocabulary = instrumentation.targetContext.assets.open("tokenizer/vocabulary.txt").bufferedReader().readLines()
        val pieces = WordPieces(vocabulary)
        for (line in String(golden("texts.tsv")).lines().filter { it.isNotEmpty() }) {
            val (hex, ids) = line.split('\t')
            val text = String(hex.chunked(2).map { it.toInt(16).toByte() }.toByteArray(), Charsets.UTF_8)
            val wanted = ids.split(' ').map { it.toInt() }
            assertEquals(hex, wanted, pieces.ids(text).take(wanted.size))
            assertEquals(hex, wanted.size, pieces.mask(text).sum())
        }
    }
@% else %@
    @Test
    fun picturesHaveThePixelsOfTraining() {
        Classifier(instrumentation.targetContext).use { classifier ->
            for (line in String(golden("pictures.tsv")).lines().filter { it.isNotEmpty() }) {
                val (picture, pixels) = line.split('\t')
                val wanted = golden(pixels)
                val found = classifier.pixels(golden(picture)).values
                val apart = wanted.indices.maxOf { abs((wanted[it].toInt() and 255) - (found[it].toInt() and 255)) }
                // Another JPEG decoder may differ by a grey level or two.
                assertTrue("$picture: $apart grey levels apart", apart <= if (picture.endsWith(".png")) 0 else 2)
            }
        }
    }
@% endif %@
}
