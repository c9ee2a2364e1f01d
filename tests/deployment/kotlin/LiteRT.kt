package org.tensorflow.lite

import java.nio.ByteBuffer

class Interpreter(model: ByteBuffer, options: Options) : AutoCloseable {
    class Options {
        fun setNumThreads(threads: Int): Options = TODO()
    }

    fun run(input: Any, output: Any): Unit = TODO()

    fun runSignature(inputs: Map<String, Any>, outputs: Map<String, Any>): Unit = TODO()

    override fun close(): Unit = TODO()
}
