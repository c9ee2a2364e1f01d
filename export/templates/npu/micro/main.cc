// @{ name }@ in TensorFlow Lite Micro: answers its golden samples and prints OK or FAILED.

#include <cstdlib>
#include <cstring>

#include "data.h"
#include "resolver.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

alignas(16) static uint8_t arena[kArenaBytes];

static int wrong_samples(tflite::MicroInterpreter& interpreter) {
  int wrong = 0;
  for (int sample = 0; sample < kSamples; sample++) {
    std::memcpy(interpreter.input(0)->data.raw, &kInputs[sample * kInputBytes], kInputBytes);
    if (interpreter.Invoke() != kTfLiteOk) return kSamples;
    const Step* found = reinterpret_cast<const Step*>(interpreter.output(0)->data.raw);
    int apart = 0;
    for (size_t n = 0; n < kOutputBytes; n++) {
      const int difference = std::abs(int(found[n]) - int(kExpected[sample * kOutputBytes + n]));
      if (difference > apart) apart = difference;
    }
    if (apart > kSteps) {
      MicroPrintf("sample %d: %d steps apart", sample, apart);
      wrong++;
    }
  }
  return wrong;
}

static bool check() {
  const tflite::Model* model = tflite::GetModel(kModel);
  static Resolver resolver;
  if (add_operators(resolver) != kTfLiteOk) return false;
  static tflite::MicroInterpreter interpreter(model, resolver, arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    MicroPrintf("the arena of %d bytes is too small", int(kArenaBytes));
    return false;
  }
  MicroPrintf("arena: %d of %d bytes used", int(interpreter.arena_used_bytes()), int(kArenaBytes));
  if (interpreter.input(0)->bytes != kInputBytes || interpreter.output(0)->bytes != kOutputBytes) return false;
  const int wrong = wrong_samples(interpreter);
  MicroPrintf("%d of %d samples are answered as they must be", kSamples - wrong, kSamples);
  return wrong == 0;
}

int main() {
  tflite::InitializeTarget();
  const bool right = check();
  MicroPrintf(right ? "OK" : "FAILED");
  return right ? 0 : 1;
}
