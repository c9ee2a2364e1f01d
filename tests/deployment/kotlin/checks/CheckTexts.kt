// How many of a bundle's golden texts have the token ids of training: BUNDLE.
import com.example.model.WordPieces
import java.io.File

fun main(words: Array<String>) {
    val pieces = WordPieces(File(words[0], "tokenizer/vocabulary.txt").readLines())
    val lines = File(words[0], "golden/texts.tsv").readLines()
    val right = lines.count { line ->
        val (hex, ids) = line.split('\t')
        val text = String(hex.chunked(2).map { it.toInt(16).toByte() }.toByteArray(), Charsets.UTF_8)
        val wanted = ids.split(' ').map { it.toInt() }
        val found = pieces.ids(text)
        val padded = found.drop(wanted.size).all { it == found.last() }
        found.take(wanted.size) == wanted && pieces.mask(text).sum() == wanted.size && padded
    }
    println("$right of ${lines.size}")
}
