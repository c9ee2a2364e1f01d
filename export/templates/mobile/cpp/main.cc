// @{ name }@ in LiteRT's C interface. `check FOLDER` answers the golden samples in FOLDER/golden and compares@% if not is_text %@;
// `check FOLDER PICTURE...` shows the scores of JPEG and PNG files@% endif %@.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "litert_c.h"
#include "model_spec.h"
@% if not is_text %@
#include "pictures.h"
#include "pixels.h"
@% endif %@

using Bytes = std::vector<uint8_t>;

static void need(int status, const char* what) {
  if (status != kLiteRtStatusOk) throw std::runtime_error(std::string(what) + " answered status " + std::to_string(status));
}
#define NEED(call) need(call, #call)

static Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read '" + path + "'");
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

// The model on the processor: its inputs' bytes by name in, scores out.
class Model {
 public:
  explicit Model(const std::string& path) {
    NEED(LiteRtCreateEnvironment(0, nullptr, &environment_));
    NEED(LiteRtCreateModelFromFile(environment_, path.c_str(), &model_));
    NEED(LiteRtCreateOptions(&options_));
    NEED(LiteRtSetOptionsHardwareAccelerators(options_, kLiteRtHwAcceleratorCpu));
    NEED(LiteRtCreateCompiledModel(environment_, model_, options_, &compiled_));
    LiteRtSignature signature;
    NEED(LiteRtGetModelSignature(model_, 0, &signature));
    LiteRtParamIndex count;
    NEED(LiteRtGetNumSignatureInputs(signature, &count));
    for (LiteRtParamIndex place = 0; place < count; place++) {
      const char* name;
      LiteRtTensor tensor;
      LiteRtTensorBufferRequirements needs;
      NEED(LiteRtGetSignatureInputName(signature, place, &name));
      NEED(LiteRtGetSignatureInputTensorByIndex(signature, place, &tensor));
      NEED(LiteRtGetCompiledModelInputBufferRequirements(compiled_, 0, place, &needs));
      names_.push_back(name);
      inputs_.push_back(buffer(tensor, needs));
    }
    LiteRtTensor tensor;
    LiteRtTensorBufferRequirements needs;
    NEED(LiteRtGetSignatureOutputTensorByIndex(signature, 0, &tensor));
    NEED(LiteRtGetCompiledModelOutputBufferRequirements(compiled_, 0, 0, &needs));
    output_ = buffer(tensor, needs);
  }

  ~Model() {
    for (LiteRtTensorBuffer input : inputs_) LiteRtDestroyTensorBuffer(input);
    LiteRtDestroyTensorBuffer(output_);
    LiteRtDestroyCompiledModel(compiled_);
    LiteRtDestroyOptions(options_);
    LiteRtDestroyModel(model_);
    LiteRtDestroyEnvironment(environment_);
  }

  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  std::vector<float> scores(const std::map<std::string, Bytes>& given) {
    void* memory;
    for (size_t place = 0; place < inputs_.size(); place++) {
      const Bytes& bytes = given.at(names_[place]);
      NEED(LiteRtLockTensorBuffer(inputs_[place], &memory, kLiteRtTensorBufferLockModeWrite));
      std::memcpy(memory, bytes.data(), bytes.size());
      NEED(LiteRtUnlockTensorBuffer(inputs_[place]));
    }
    NEED(LiteRtRunCompiledModel(compiled_, 0, inputs_.size(), inputs_.data(), 1, &output_));
    OutputType raw[kOutputs];
    NEED(LiteRtLockTensorBuffer(output_, &memory, kLiteRtTensorBufferLockModeRead));
    std::memcpy(raw, memory, sizeof(raw));
    NEED(LiteRtUnlockTensorBuffer(output_));
    std::vector<float> scores;
    for (OutputType one : raw) scores.push_back((float(one) - float(kOutputZero)) * kOutputScale);
    return kOneSigmoid ? std::vector<float>{1.0f - scores[0], scores[0]} : scores;
  }

 private:
  LiteRtTensorBuffer buffer(LiteRtTensor tensor, LiteRtTensorBufferRequirements needs) {
    LiteRtRankedTensorType type;
    LiteRtTensorBuffer made;
    NEED(LiteRtGetRankedTensorType(tensor, &type));
    NEED(LiteRtCreateManagedTensorBufferFromRequirements(environment_, &type, needs, &made));
    return made;
  }

  LiteRtEnvironment environment_{};
  LiteRtModel model_{};
  LiteRtOptions options_{};
  LiteRtCompiledModel compiled_{};
  std::vector<std::string> names_;
  std::vector<LiteRtTensorBuffer> inputs_;
  LiteRtTensorBuffer output_{};
};

@% if is_text %@
// Token ids come from the golden files: this sample has no tokeniser (C++ knows no classes of Unicode).
static std::map<std::string, Bytes> golden_inputs(const std::string& folder, int number) {
  std::map<std::string, Bytes> given;
  const size_t size = kLength * sizeof(int32_t);
  for (const char* name : {"token_ids", "padding_mask"}) {
    const Bytes all = read_file(folder + "/golden/" + name + ".bin");
    given[name] = Bytes(all.begin() + number * size, all.begin() + (number + 1) * size);
  }
  given["segment_ids"] = Bytes(size);
  return given;
}
@% else %@
static std::map<std::string, Bytes> inputs_of(const uint8_t* pixels) {
  const size_t count = size_t(kHeight) * kWidth * kChannels;
  Bytes bytes(count * sizeof(InputType));
  for (size_t n = 0; n < count; n++) {
    const InputType value = InputType(pixels[n]);
    std::memcpy(&bytes[n * sizeof(InputType)], &value, sizeof(InputType));
  }
  return {{"@{ input_name }@", bytes}};
}

static std::map<std::string, Bytes> golden_inputs(const std::string& folder, int number) {
  const Bytes all = read_file(folder + "/golden/pixels.bin");
  return inputs_of(&all[size_t(number) * kHeight * kWidth * kChannels]);
}

// Pictures of many shapes: their pixels must be those of training. JPEGs may be a grey level or two apart.
static int check_pictures(const std::string& folder) {
  std::ifstream list(folder + "/golden/pictures.tsv");
  std::string picture, expected;
  int wrong = 0, count = 0;
  while (list >> picture >> expected) {
    const Bytes wanted = read_file(folder + "/golden/" + expected);
    const Pixels found = fitted(
        decoded(read_file(folder + "/golden/" + picture), kChannels), ImageSize{kHeight, kWidth, kChannels, kResize});
    int apart = 0;
    for (size_t n = 0; n < wanted.size(); n++) apart = std::max(apart, std::abs(int(found.values[n]) - int(wanted[n])));
    const bool is_png = picture.size() > 4 && picture.substr(picture.size() - 4) == ".png";
    if (apart > (is_png ? 0 : 2)) {
      std::printf("%s: pixels are %d grey levels apart\n", picture.c_str(), apart);
      wrong++;
    }
    count++;
  }
  std::printf("%d of %d pictures have the pixels of training\n", count - wrong, count);
  return wrong + (count == 0);
}
@% endif %@

static int check_scores(Model& model, const std::string& folder) {
  const Bytes bytes = read_file(folder + "/golden/expected.bin");
  std::vector<float> expected(bytes.size() / sizeof(float));
  std::memcpy(expected.data(), bytes.data(), bytes.size());
  const float near = @{ apart }@f;  // on another processor
  int wrong = 0;
  for (int number = 0; number < kSamples; number++) {
    const auto scores = model.scores(golden_inputs(folder, number));
    float apart = 0;
    for (int n = 0; n < kScores; n++) apart = std::max(apart, std::abs(scores[n] - expected[number * kScores + n]));
    if (!(apart <= near)) {
      std::printf("sample %d: scores are %g apart\n", number, apart);
      wrong++;
    }
  }
  std::printf("%d of %d samples are answered as in the model's proof\n", kSamples - wrong, kSamples);
  return wrong;
}

int main(int count, char** words) try {
  if (count < 2) {
    std::fprintf(stderr, "usage: check FOLDER@% if not is_text %@ [PICTURE...]@% endif %@\n");
    return 2;
  }
  const std::string folder = words[1];
  Model model(folder + "/" + kModelFile);
@% if not is_text %@
  for (int n = 2; n < count; n++) {
    const Pixels pixels =
        fitted(decoded(read_file(words[n]), kChannels), ImageSize{kHeight, kWidth, kChannels, kResize});
    std::printf("%s", words[n]);
    for (float score : model.scores(inputs_of(pixels.values.data()))) std::printf(" %.6g", score);
    std::printf("\n");
  }
  if (count > 2) return 0;
  const int wrong = check_scores(model, folder) + check_pictures(folder);
@% else %@
  const int wrong = check_scores(model, folder);
@% endif %@
  std::printf("%s\n", wrong ? "FAILED" : "OK");
  return wrong ? 1 : 0;
} catch (const std::exception& fault) {
  std::fprintf(stderr, "error: %s\n", fault.what());
  return 1;
}
