package androidx.test.platform.app

import android.content.Context

abstract class Instrumentation {
    abstract val context: Context
    abstract val targetContext: Context
}

object InstrumentationRegistry {
    @JvmStatic
    fun getInstrumentation(): Instrumentation = TODO()
}
