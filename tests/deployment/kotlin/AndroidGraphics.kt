package android.graphics

abstract class Bitmap {
    enum class Config { ARGB_8888 }

    abstract val width: Int
    abstract val height: Int

    abstract fun getPixels(pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int)

    abstract fun recycle()

    companion object {
        @JvmStatic
        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap = TODO()
    }
}

object BitmapFactory {
    class Options {
        @JvmField var inScaled = true
        @JvmField var inPremultiplied = true
    }

    @JvmStatic
    fun decodeByteArray(data: ByteArray, offset: Int, length: Int, options: Options?): Bitmap? = TODO()
}
