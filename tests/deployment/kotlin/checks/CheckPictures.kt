// How many pictures have the pixels of training: FOLDER of decoded ones, BUNDLE.
import com.example.model.ModelSpec
import com.example.model.fitted
import com.example.model.pixelsOf
import com.example.model.upright
import java.io.File
import java.nio.ByteBuffer

fun main(words: Array<String>) {
    val lines = File(words[1], "golden/pictures.tsv").readLines()
    val right = lines.count { line ->
        val (picture, pixels) = line.split('\t')
        val numbers = ByteBuffer.wrap(File(words[0], "$picture.argb").readBytes()).asIntBuffer()
        val height = numbers.get()
        val width = numbers.get()
        val orientation = numbers.get()
        val argb = IntArray(height * width).also { numbers.get(it) }
        val decoded = pixelsOf(argb, height, width, ModelSpec.IMAGE.channels)
        fitted(upright(decoded, orientation), ModelSpec.IMAGE).values.contentEquals(File(words[1], "golden/$pixels").readBytes())
    }
    println("$right of ${lines.size}")
}
