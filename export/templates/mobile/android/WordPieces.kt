// Texts to token ids as in training: WordPiece as the original BERT cuts texts. Plain Kotlin: it runs on Android and on
// any JVM. Characters that are newer than the device's Unicode may be classed differently.
package com.example.model

import java.text.Normalizer
import java.util.Locale

/**
 * @param vocabulary The tokens by their ids, as the lines of `tokenizer/vocabulary.txt`.
 * @param length Tokens of a text, start and end included; longer texts are cut.
 */
class WordPieces(vocabulary: List<String>, private val length: Int = @{ sequence_length }@) {
    private val ids = vocabulary.withIndex().associate { (id, token) -> token.trimEnd() to id }
    private val longest = vocabulary.maxOf { it.length }

    /** `length` token ids, padded on the right. */
    fun ids(text: String): IntArray {
        val pieces = pieces(text).take(length - 2)
        val found = IntArray(length) { PADDING }
        found[0] = START
        pieces.forEachIndexed { place, id -> found[place + 1] = id }
        found[pieces.size + 1] = END
        return found
    }

    /** 1 for each token of `text`, 0 behind it. */
    fun mask(text: String): IntArray {
        val count = minOf(pieces(text).size + 2, length)
        return IntArray(length) { if (it < count) 1 else 0 }
    }

    private fun pieces(text: String): List<Int> =
        apart(normalized(text)).split(' ').filter { it.isNotEmpty() }.flatMap(::piecesOf)

    private fun piecesOf(word: String): List<Int> {
        if (word.toByteArray(Charsets.UTF_8).size > MAX_BYTES_PER_WORD) return listOf(UNKNOWN)
        val found = mutableListOf<Int>()
        var start = 0
        while (start < word.length) {
            val indicator = if (start > 0) SUFFIX else ""
            var end = minOf(word.length, start + longest)
            while (end > start && indicator + word.substring(start, end) !in ids) end--
            if (end == start) return listOf(UNKNOWN)
            found += ids.getValue(indicator + word.substring(start, end))
            start = end
        }
        return found
    }

    private fun normalized(text: String): String {
        var cleaned = StringBuilder().also { out -> codePoints(text) { out.append(cleanedOf(it)) } }.toString()
@% if strip_accents %@
        val marked = Normalizer.normalize(cleaned, Normalizer.Form.NFD)
        cleaned = StringBuilder().also { out ->
            codePoints(marked) { if (Character.getType(it) != Character.NON_SPACING_MARK.toInt()) out.appendCodePoint(it) }
        }.toString()
@% endif %@
@% if lowercase %@
        // ASCII first: what becomes of I is then the same in every language.
        cleaned = StringBuilder().also { out -> cleaned.forEach { out.append(if (it in 'A'..'Z') it + 32 else it) } }.toString()
        cleaned = cleaned.lowercase(Locale.ROOT)
@% endif %@
        return cleaned
    }

    private fun apart(text: String) = StringBuilder().also { out ->
        codePoints(text) { if (isAlone(it)) out.append(' ').appendCodePoint(it).append(' ') else out.appendCodePoint(it) }
    }.toString()

    private companion object {
        const val START = @{ start_id }@
        const val END = @{ end_id }@
        const val PADDING = @{ padding_id }@
        const val UNKNOWN = @{ unknown_id }@
        const val SUFFIX = "@{ suffix }@"
        const val MAX_BYTES_PER_WORD = @{ max_bytes_per_word }@

        val SPACES = setOf(Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR)
        val REMOVED = setOf(Character.CONTROL, Character.FORMAT, Character.PRIVATE_USE, Character.SURROGATE)
        val PUNCTUATION = setOf(
            Character.CONNECTOR_PUNCTUATION, Character.DASH_PUNCTUATION, Character.START_PUNCTUATION,
            Character.END_PUNCTUATION, Character.INITIAL_QUOTE_PUNCTUATION, Character.FINAL_QUOTE_PUNCTUATION,
            Character.OTHER_PUNCTUATION,
        )
        val IDEOGRAPHS = listOf(
            0x4E00..0x9FFF, 0x3400..0x4DBF, 0x20000..0x2A6DF, 0x2A700..0x2CEAF, 0xF900..0xFAFF, 0x2F800..0x2FA1F,
        )

        inline fun codePoints(text: String, use: (Int) -> Unit) {
            var place = 0
            while (place < text.length) {
                val point = text.codePointAt(place)
                use(point)
                place += Character.charCount(point)
            }
        }

        fun cleanedOf(point: Int): String {
            val type = Character.getType(point).toByte()
            if (point == 9 || point == 10 || point == 13 || type in SPACES) return " "
            if (point == 0xFFFD || type in REMOVED) return ""
            return String(Character.toChars(point))
        }

        fun isAlone(point: Int): Boolean {
            val isAsciiSymbol = point in 33..126 && !Character.isLetterOrDigit(point)
            return isAsciiSymbol || Character.getType(point).toByte() in PUNCTUATION || IDEOGRAPHS.any { point in it }
        }
    }
}
