// Brings decoded pixels to a model's size as tfkit does in training: the same sums in the same order, in float.
// Build it with -ffp-contract=off: a fused multiply-add rounds once where training rounds twice.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

struct ImageSize {
  int height, width, channels;
  std::string resize;  // "crop" cuts what does not fit from the middle, "pad" adds black, "stretch" does neither
};

struct Pixels {
  std::vector<uint8_t> values;  // channels last: red, green, blue, or grey alone
  int height = 0, width = 0, channels = 0;
};

// Grey is the luma of colours (BT.601); colours of grey are the grey itself.
inline Pixels with_channels(const Pixels& given, int channels) {
  if (given.channels == channels) return given;
  Pixels out{{}, given.height, given.width, channels};
  const size_t count = size_t(given.height) * given.width;
  out.values.resize(count * channels);
  const float unit = 1.0f / 255.0f;
  for (size_t n = 0; n < count; n++) {
    const uint8_t* from = &given.values[n * given.channels];
    if (channels == 3) {
      std::fill_n(&out.values[3 * n], 3, from[0]);
    } else {
      const float sum = from[0] * unit * 0.2989f + from[1] * unit * 0.587f + from[2] * unit * 0.114f;
      out.values[n] = uint8_t(sum * 255.5f);
    }
  }
  return out;
}

// Turns a picture as its EXIF orientation (1 to 8) says.
inline Pixels upright(const Pixels& given, int orientation) {
  if (orientation < 2 || orientation > 8) return given;
  const bool turned = orientation >= 5;
  Pixels out{{}, turned ? given.width : given.height, turned ? given.height : given.width, given.channels};
  out.values.resize(given.values.size());
  const auto among = [orientation](std::initializer_list<int> some) {
    return std::find(some.begin(), some.end(), orientation) != some.end();
  };
  for (int row = 0; row < out.height; row++) {
    const int up = among({3, 4, 7, 8}) ? out.height - 1 - row : row;
    for (int column = 0; column < out.width; column++) {
      const int left = among({2, 3, 6, 7}) ? out.width - 1 - column : column;
      const size_t from = turned ? size_t(left) * given.width + up : size_t(up) * given.width + left;
      const size_t to = size_t(row) * out.width + column;
      std::copy_n(&given.values[from * given.channels], given.channels, &out.values[to * given.channels]);
    }
  }
  return out;
}

// The EXIF orientation in a JPEG's bytes; 1 where it says none.
inline int exif_orientation(const std::vector<uint8_t>& jpeg) {
  const std::string bytes(jpeg.begin(), jpeg.begin() + std::min(jpeg.size(), size_t(1) << 18));
  const size_t found = bytes.find(std::string("Exif\0\0", 6));
  if (found == std::string::npos || found < 4 || bytes.compare(found - 4, 2, "\xff\xe1") != 0) return 1;
  std::string block = bytes.substr(found + 6) + std::string(16, '\0');
  const bool big = block.compare(0, 2, "MM") == 0;
  const auto number = [&](size_t at, int size) {
    uint32_t value = 0;
    for (int n = 0; n < size; n++) value |= uint32_t(uint8_t(block[at + n])) << 8 * (big ? size - 1 - n : n);
    return value;
  };
  const size_t directory = number(4, 4);
  if (directory < 8 || directory + 2 > block.size() - 16) return 1;
  int value = 0;
  for (size_t n = 0; n < number(directory, 2); n++) {
    const size_t entry = directory + 2 + 12 * n;
    if (entry + 12 > block.size() - 16) break;
    if (number(entry, 2) == 0x0112) value = std::max(value, int(number(entry + 8, 2)));
  }
  return value >= 1 && value <= 8 ? value : 1;
}

namespace fitting {

using Parts = std::vector<std::pair<int, float>>;  // places and the share of each

inline int scaled(int length, float factor, int largest) {
  return std::clamp(int(std::nearbyint(float(length) * factor)), 1, largest);  // halves to the even number
}

inline Pixels cropped(const Pixels& given, int height, int width) {
  Pixels out{{}, height, width, given.channels};
  const int top = (given.height - height) / 2, left = (given.width - width) / 2;
  for (int row = 0; row < height; row++) {
    const auto start = given.values.begin() + (size_t(top + row) * given.width + left) * given.channels;
    out.values.insert(out.values.end(), start, start + width * given.channels);
  }
  return out;
}

inline std::vector<float> sums_down(const std::vector<float>& data, int line, const std::vector<Parts>& sums) {
  std::vector<float> out(sums.size() * line);
  for (size_t row = 0; row < sums.size(); row++)
    for (const auto& [place, share] : sums[row])
      for (int n = 0; n < line; n++) out[row * line + n] += data[size_t(place) * line + n] * share;
  return out;
}

inline std::vector<float> sums_across(
    const std::vector<float>& data, int height, int width, int channels, const std::vector<Parts>& sums) {
  std::vector<float> out(size_t(height) * sums.size() * channels);
  for (int row = 0; row < height; row++)
    for (size_t column = 0; column < sums.size(); column++)
      for (const auto& [place, share] : sums[column])
        for (int n = 0; n < channels; n++)
          out[(row * sums.size() + column) * channels + n] += data[(size_t(row) * width + place) * channels + n] * share;
  return out;
}

// Which of `given` pixels each of `wanted` covers, and how much of each.
inline std::vector<Parts> areas(int given, int wanted) {
  const float step = float(given) / float(wanted);
  std::vector<Parts> sums(wanted);
  for (int number = 0; number < wanted; number++) {
    const float left = float(number) * step, right = float(number + 1) * step;
    for (int place = int(std::floor(left)); place < int(std::ceil(right)); place++) {
      const float end = float(place) + 1.0f;
      const float within = float(place) < left ? (end > right ? step : end - left) : end > right ? right - float(place) : 1.0f;
      sums[number].emplace_back(std::min(place, given - 1), within);
    }
  }
  return sums;
}

// Which of `given` pixels make each of `wanted`, and the share of each: a triangle, wider where pixels shrink.
inline std::vector<Parts> triangles(int given, int wanted) {
  const float step = 1.0f / (float(wanted) / float(given)), radius = std::max(step, 1.0f);
  std::vector<Parts> sums(wanted);
  for (int number = 0; number < wanted; number++) {
    const float centre = (float(number) + 0.5f) * step;
    const int first = std::clamp(int(std::ceil(centre - radius - 0.5f)), 0, given - 1);
    const int last = std::clamp(int(std::floor(centre + radius - 0.5f)), 0, given - 1);
    float total = 0;
    for (int place = first; place <= last; place++) {
      const float distance = std::abs((float(place) + 0.5f - centre) * (1.0f / radius));
      sums[number].emplace_back(place, distance < 1.0f ? 1.0f - distance : 0.0f);
      total += sums[number].back().second;
    }
    for (auto& [place, share] : sums[number]) share = share * (1.0f / total);
  }
  return sums;
}

inline std::vector<float> resized(const Pixels& given, int height, int width) {
  const std::vector<float> data(given.values.begin(), given.values.end());
  const int channels = given.channels;
  if (given.height < height || given.width < width) {
    const auto columns = sums_down(data, given.width * channels, triangles(given.height, height));
    return sums_across(columns, height, given.width, channels, triangles(given.width, width));
  }
  const auto lines = sums_across(data, given.height, given.width, channels, areas(given.width, width));
  auto sums = sums_down(lines, width * channels, areas(given.height, height));
  const float down = float(given.height) / float(height), across = float(given.width) / float(width);
  const float share = 1.0f / (down * across);
  for (float& sum : sums) sum = sum * share;
  return sums;
}

}  // namespace fitting

// The pixels at the size of a model.
inline Pixels fitted(const Pixels& given, const ImageSize& image) {
  if (given.height == image.height && given.width == image.width) return given;
  const float down = float(given.height) / float(image.height), across = float(given.width) / float(image.width);
  Pixels pixels = given;
  int height = image.height, width = image.width;
  if (image.resize == "crop") {
    const float ratio = std::min(down, across);
    pixels = fitting::cropped(
        given, fitting::scaled(image.height, ratio, given.height), fitting::scaled(image.width, ratio, given.width));
  } else if (image.resize == "pad") {
    const float ratio = 1.0f / std::max(down, across);
    height = fitting::scaled(given.height, ratio, image.height);
    width = fitting::scaled(given.width, ratio, image.width);
  }
  const auto sums = fitting::resized(pixels, height, width);
  Pixels out{{}, image.height, image.width, image.channels};
  out.values.resize(size_t(image.height) * image.width * image.channels);
  const int top = (image.height - height) / 2, left = (image.width - width) / 2, line = width * image.channels;
  for (int row = 0; row < height; row++)
    for (int n = 0; n < line; n++)
      out.values[(size_t(top + row) * image.width + left) * image.channels + n] =
          uint8_t(sums[size_t(row) * line + n] + 0.5f);
  return out;
}
