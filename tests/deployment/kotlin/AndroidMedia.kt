package android.media

import java.io.InputStream

class ExifInterface(stream: InputStream) {
    fun getAttributeInt(tag: String, defaultValue: Int): Int = TODO()

    companion object {
        const val TAG_ORIENTATION = "Orientation"
    }
}
