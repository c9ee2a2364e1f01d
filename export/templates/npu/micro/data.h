// The model and its golden samples, as arrays.
#pragma once

#include <cstddef>
#include <cstdint>

constexpr size_t kArenaBytes = @{ arena_bytes }@;  // @{ arena_told }@
constexpr int kSamples = @{ micro_samples }@;
constexpr size_t kInputBytes = @{ input_bytes }@;  // of a sample: raw pixels, @{ height }@ x @{ width }@ x @{ channels }@
constexpr size_t kOutputBytes = @{ outputs }@;
constexpr int kSteps = @{ steps }@;  // an answer may be so many steps off
using Step = @{ output_c }@;

extern const unsigned char kModel[];  // @{ file }@, or with USE_NPU what Vela made of it
extern const unsigned char kInputs[];
extern const Step kExpected[];  // @{ expected_told }@
