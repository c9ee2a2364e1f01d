// The operators of the file, and no others.
#pragma once

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

#if USE_NPU
using Resolver = tflite::MicroMutableOpResolver<@{ npu_resolvers | length }@>;

inline TfLiteStatus add_operators(Resolver& resolver) {
@% for add in npu_resolvers %@
  TF_LITE_ENSURE_STATUS(resolver.@{ add }@());
@% endfor %@
  return kTfLiteOk;
}
#else
using Resolver = tflite::MicroMutableOpResolver<@{ resolvers | length }@>;

inline TfLiteStatus add_operators(Resolver& resolver) {
@% for add in resolvers %@
  TF_LITE_ENSURE_STATUS(resolver.@{ add }@());
@% endfor %@
  return kTfLiteOk;
}
#endif
