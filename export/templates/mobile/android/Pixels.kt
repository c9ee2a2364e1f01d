// Brings decoded pixels to a model's size as tfkit does in training: the same sums in the same order, in Float.
// Plain Kotlin: it runs on Android and on any JVM.
package com.example.model

import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

/** What a model takes: `crop` cuts what does not fit from the middle, `pad` adds black, `stretch` does neither. */
class ImageSize(val height: Int, val width: Int, val channels: Int, val resize: String)

/** Pixels 0..255, channels last: red, green, blue, or grey alone. */
class Pixels(val values: ByteArray, val height: Int, val width: Int, val channels: Int)

/** Pixels of a bitmap, 0xAARRGGBB, with the channels of a model: grey is the luma of colours (BT.601). */
fun pixelsOf(argb: IntArray, height: Int, width: Int, channels: Int): Pixels {
    val out = ByteArray(argb.size * channels)
    for (n in argb.indices) {
        val red = argb[n] shr 16 and 255
        val green = argb[n] shr 8 and 255
        val blue = argb[n] and 255
        if (channels == 3) {
            out[3 * n] = red.toByte()
            out[3 * n + 1] = green.toByte()
            out[3 * n + 2] = blue.toByte()
        } else {
            out[n] = (if (red == green && green == blue) red else luma(red, green, blue)).toByte()
        }
    }
    return Pixels(out, height, width, channels)
}

private fun luma(red: Int, green: Int, blue: Int): Int {
    val unit = 1f / 255f
    val sum = red * unit * 0.2989f + green * unit * 0.587f + blue * unit * 0.114f
    return (sum * 255.5f).toInt()
}

/** Turns a picture as its EXIF orientation (1 to 8) says. */
fun upright(given: Pixels, orientation: Int): Pixels {
    if (orientation !in 2..8) return given
    val turned = orientation >= 5
    val height = if (turned) given.width else given.height
    val width = if (turned) given.height else given.width
    val out = ByteArray(given.values.size)
    for (row in 0 until height) {
        val up = if (orientation in intArrayOf(3, 4, 7, 8)) height - 1 - row else row
        for (column in 0 until width) {
            val left = if (orientation in intArrayOf(2, 3, 6, 7)) width - 1 - column else column
            val from = if (turned) left * given.width + up else up * given.width + left
            val to = row * width + column
            for (n in 0 until given.channels) out[to * given.channels + n] = given.values[from * given.channels + n]
        }
    }
    return Pixels(out, height, width, given.channels)
}

/** The pixels at the size of a model. */
fun fitted(given: Pixels, image: ImageSize): Pixels {
    if (given.height == image.height && given.width == image.width) return given
    val down = given.height.toFloat() / image.height
    val across = given.width.toFloat() / image.width
    var pixels = given
    var height = image.height
    var width = image.width
    if (image.resize == "crop") {
        val ratio = min(down, across)
        pixels = cropped(given, scaled(image.height, ratio, given.height), scaled(image.width, ratio, given.width))
    } else if (image.resize == "pad") {
        val ratio = 1f / max(down, across)
        height = scaled(given.height, ratio, image.height)
        width = scaled(given.width, ratio, image.width)
    }
    val shrinks = pixels.height >= height && pixels.width >= width
    val resized = if (shrinks) meansOfAreas(pixels, height, width) else bilinear(pixels, height, width)
    val out = ByteArray(image.height * image.width * image.channels)
    val top = (image.height - height) / 2
    val left = (image.width - width) / 2
    val line = width * image.channels
    for (row in 0 until height) {
        val start = ((top + row) * image.width + left) * image.channels
        for (n in 0 until line) out[start + n] = (resized[row * line + n] + 0.5f).toInt().toByte()
    }
    return Pixels(out, image.height, image.width, image.channels)
}

private fun scaled(length: Int, factor: Float, largest: Int): Int =
    Math.rint((length * factor).toDouble()).toInt().coerceIn(1, largest)  // halves to the even number

private fun cropped(given: Pixels, height: Int, width: Int): Pixels {
    val top = (given.height - height) / 2
    val left = (given.width - width) / 2
    val line = width * given.channels
    val out = ByteArray(height * line)
    for (row in 0 until height) {
        val start = ((top + row) * given.width + left) * given.channels
        given.values.copyInto(out, row * line, start, start + line)
    }
    return Pixels(out, height, width, given.channels)
}

private class Weights(val places: IntArray, val shares: FloatArray)

private class Areas(val sums: List<Weights>, val step: Float)

private fun meansOfAreas(given: Pixels, height: Int, width: Int): FloatArray {
    val across = areas(given.width, width)
    val down = areas(given.height, height)
    val lines = sumsAcross(floats(given), given.height, given.width, given.channels, across.sums)
    val sums = sumsDown(lines, width * given.channels, down.sums)
    val share = 1f / (down.step * across.step)
    for (n in sums.indices) sums[n] = sums[n] * share
    return sums
}

private fun bilinear(given: Pixels, height: Int, width: Int): FloatArray {
    val columns = sumsDown(floats(given), given.width * given.channels, triangles(given.height, height))
    return sumsAcross(columns, height, given.width, given.channels, triangles(given.width, width))
}

private fun floats(given: Pixels) = FloatArray(given.values.size) { (given.values[it].toInt() and 255).toFloat() }

private fun sumsDown(data: FloatArray, line: Int, sums: List<Weights>): FloatArray {
    val out = FloatArray(sums.size * line)
    for ((row, sum) in sums.withIndex()) {
        for ((part, place) in sum.places.withIndex()) {
            val share = sum.shares[part]
            for (n in 0 until line) out[row * line + n] += data[place * line + n] * share
        }
    }
    return out
}

private fun sumsAcross(data: FloatArray, height: Int, width: Int, channels: Int, sums: List<Weights>): FloatArray {
    val out = FloatArray(height * sums.size * channels)
    for (row in 0 until height) {
        for ((column, sum) in sums.withIndex()) {
            val at = (row * sums.size + column) * channels
            for ((part, place) in sum.places.withIndex()) {
                val from = (row * width + place) * channels
                for (n in 0 until channels) out[at + n] += data[from + n] * sum.shares[part]
            }
        }
    }
    return out
}

/** Which of `given` pixels each of `wanted` covers, how much of each, and how many in all. */
private fun areas(given: Int, wanted: Int): Areas {
    val step = given.toFloat() / wanted
    val sums = List(wanted) { number ->
        val left = number * step
        val right = (number + 1) * step
        val places = (floor(left).toInt() until ceil(right).toInt()).toList()
        val shares = places.map { place ->
            val end = place + 1f
            if (place < left) (if (end > right) step else end - left) else if (end > right) right - place else 1f
        }
        Weights(places.map { min(it, given - 1) }.toIntArray(), shares.toFloatArray())
    }
    return Areas(sums, step)
}

/** Which of `given` pixels make each of `wanted`, and the share of each: a triangle, wider where pixels shrink. */
private fun triangles(given: Int, wanted: Int): List<Weights> {
    val step = 1f / (wanted.toFloat() / given)
    val radius = max(step, 1f)
    return List(wanted) { number ->
        val centre = (number + 0.5f) * step
        val first = ceil(centre - radius - 0.5f).toInt().coerceIn(0, given - 1)
        val last = floor(centre + radius - 0.5f).toInt().coerceIn(0, given - 1)
        val places = (first..last).toList().toIntArray()
        val shares = FloatArray(places.size) { max(0f, 1f - Math.abs((places[it] + 0.5f - centre) * (1f / radius))) }
        var total = 0f
        for (share in shares) total += share
        for (n in shares.indices) shares[n] = shares[n] * (1f / total)
        Weights(places, shares)
    }
}
