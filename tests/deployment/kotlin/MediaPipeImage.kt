package com.google.mediapipe.framework.image

import android.graphics.Bitmap

abstract class MPImage

class BitmapImageBuilder(bitmap: Bitmap) {
    fun build(): MPImage = TODO()
}
