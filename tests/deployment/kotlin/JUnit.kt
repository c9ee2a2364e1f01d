package org.junit

annotation class Test

object Assert {
    @JvmStatic
    fun assertEquals(expected: Any?, actual: Any?): Unit = TODO()

    @JvmStatic
    fun assertEquals(message: String, expected: Any?, actual: Any?): Unit = TODO()

    @JvmStatic
    fun assertEquals(message: String, expected: Float, actual: Float, delta: Float): Unit = TODO()

    @JvmStatic
    fun assertTrue(message: String, condition: Boolean): Unit = TODO()
}
