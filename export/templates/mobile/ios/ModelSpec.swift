// What @{ file }@ takes and gives.

enum ModelSpec {
    static let file = "@{ file_stem }@" // .tflite
    static let samples = @{ samples }@ // golden samples
    static let scores = @{ scores }@ // scores of an answer
    static let outputs = @{ outputs }@ // values that the model itself gives
    static let oneSigmoid = @{ "true" if one_sigmoid else "false" }@ // one value y is the scores 1 - y and y
    static let outputBytes = @{ output_bytes }@ // of one value: 1 whole numbers, 4 floats
    static let outputIsSigned = @{ "true" if output_is_signed else "false" }@
    static let outputScale: Float = @{ scale }@
    static let outputZero = @{ zero_point }@
@% if is_text %@
    static let length = @{ sequence_length }@ // token ids of a text
@% else %@
    static let image = ImageSize(height: @{ height }@, width: @{ width }@, channels: @{ channels }@, resize: "@{ resize }@")
    static let inputIsFloat = @{ "true" if input_is_float else "false" }@ // pixels 0..255 as floats
@% endif %@
}
