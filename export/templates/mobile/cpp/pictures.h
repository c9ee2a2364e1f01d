// Decodes JPEG (libjpeg-turbo) and PNG (libpng) as tfkit does: upright, without alpha, no colour profile applied. A
// picture that cannot be read ends the program.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <jpeglib.h>
#include <png.h>

#include "pixels.h"

namespace decoding {

[[noreturn]] inline void refuse(const char* told) {
  std::fprintf(stderr, "error: a picture cannot be read: %s\n", told);
  std::exit(1);
}

inline Pixels jpeg(const std::vector<uint8_t>& bytes) {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  errors.error_exit = [](j_common_ptr failed) {
    char told[JMSG_LENGTH_MAX];
    failed->err->format_message(failed, told);
    refuse(told);
  };
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, bytes.data(), bytes.size());
  jpeg_read_header(&info, TRUE);
  info.out_color_space = info.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&info);
  Pixels out{{}, int(info.output_height), int(info.output_width), info.output_components};
  out.values.resize(size_t(out.height) * out.width * out.channels);
  while (info.output_scanline < info.output_height) {
    uint8_t* row = &out.values[size_t(info.output_scanline) * out.width * out.channels];
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return upright(out, exif_orientation(bytes));
}

struct Source {
  const uint8_t* next;
  const uint8_t* end;
};

inline Pixels png(const std::vector<uint8_t>& bytes) {
  Source source{bytes.data(), bytes.data() + bytes.size()};
  png_structp reader = png_create_read_struct(
      PNG_LIBPNG_VER_STRING, nullptr, [](png_structp, const char* told) { refuse(told); }, nullptr);
  png_infop info = png_create_info_struct(reader);
  png_set_read_fn(reader, &source, [](png_structp asking, png_bytep to, size_t size) {
    Source* from = static_cast<Source*>(png_get_io_ptr(asking));
    if (size > size_t(from->end - from->next)) refuse("its PNG data ends too early");
    std::memcpy(to, from->next, size);
    from->next += size;
  });
  // Eight bits, colours for a palette, no alpha.
  const int changes = PNG_TRANSFORM_STRIP_16 | PNG_TRANSFORM_PACKING | PNG_TRANSFORM_EXPAND | PNG_TRANSFORM_STRIP_ALPHA;
  png_read_png(reader, info, changes, nullptr);
  const int channels = png_get_channels(reader, info);
  Pixels out{{}, int(png_get_image_height(reader, info)), int(png_get_image_width(reader, info)), channels};
  png_bytepp rows = png_get_rows(reader, info);
  for (int row = 0; row < out.height; row++)
    out.values.insert(out.values.end(), rows[row], rows[row] + size_t(out.width) * channels);
  png_destroy_read_struct(&reader, &info, nullptr);
  return out;
}

}  // namespace decoding

// The picture's pixels with the channels of a model.
inline Pixels decoded(const std::vector<uint8_t>& bytes, int channels) {
  if (bytes.size() > 2 && bytes[0] == 0xff && bytes[1] == 0xd8) return with_channels(decoding::jpeg(bytes), channels);
  return with_channels(decoding::png(bytes), channels);
}
