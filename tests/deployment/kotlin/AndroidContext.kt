// What the Android samples call of Android, as its reference declares it: for a compiler that has no Android.
package android.content

import java.io.InputStream

abstract class AssetManager {
    abstract fun open(name: String): InputStream
}

abstract class Context {
    abstract val assets: AssetManager
}
