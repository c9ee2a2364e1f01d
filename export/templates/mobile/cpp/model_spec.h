// What @{ file }@ takes and gives.
#pragma once

constexpr const char* kModelFile = "@{ file }@";
constexpr int kSamples = @{ samples }@;  // golden samples
constexpr int kScores = @{ scores }@;    // scores of an answer
constexpr int kOutputs = @{ outputs }@;  // values that the model itself gives
constexpr bool kOneSigmoid = @{ "true" if one_sigmoid else "false" }@;  // one value y is the scores 1 - y and y
constexpr float kOutputScale = @{ scale_c }@;
constexpr int kOutputZero = @{ zero_point }@;
using OutputType = @{ output_c }@;
@% if is_text %@
constexpr int kLength = @{ sequence_length }@;  // token ids of a text
@% else %@
constexpr int kHeight = @{ height }@, kWidth = @{ width }@, kChannels = @{ channels }@;
constexpr const char* kResize = "@{ resize }@";
using InputType = @{ input_c }@;  // pixels 0..255 as they are
@% endif %@
