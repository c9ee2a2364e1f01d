// What @{ file }@ takes and gives.
package com.example.model

object ModelSpec {
    const val FILE = "@{ file }@"
    const val SAMPLES = @{ samples }@ // golden samples
    const val SCORES = @{ scores }@ // scores of an answer
    const val OUTPUTS = @{ outputs }@ // values that the model itself gives
    const val ONE_SIGMOID = @{ "true" if one_sigmoid else "false" }@ // one value y is the scores 1 - y and y
    const val OUTPUT_NAME = "@{ output_name }@"
    const val OUTPUT_BYTES = @{ output_bytes }@ // of one value: 1 whole numbers, 4 floats
    const val OUTPUT_IS_SIGNED = @{ "true" if output_is_signed else "false" }@
    const val OUTPUT_SCALE = @{ scale }@f
    const val OUTPUT_ZERO = @{ zero_point }@
@% if is_text %@
    const val LENGTH = @{ sequence_length }@ // token ids of a text
    const val SEGMENT_IDS = @{ "true" if segment_ids else "false" }@ // a third input that no operator reads
@% else %@
    val IMAGE = ImageSize(height = @{ height }@, width = @{ width }@, channels = @{ channels }@, resize = "@{ resize }@")
    const val INPUT_IS_FLOAT = @{ "true" if input_is_float else "false" }@ // pixels 0..255 as floats
@% endif %@
}
