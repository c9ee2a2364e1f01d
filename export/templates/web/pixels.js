// Decode a picture, and bring it to a model's size as tfkit does in Python: the same sums in the same order, in float32.

const f = Math.fround;
const MOST_PIXELS = 178956970;

/** What a model is fed with of an encoded picture (a Blob), or of what a camera shows (a HTMLVideoElement). */
export async function feeder({image, inputs: [{name}]}) {
  return async (picture) => ({[name]: await pixelsOf(picture, image)});
}

/**
 * @param {Blob | HTMLVideoElement} picture An encoded picture, or what a camera shows.
 * @returns {Promise<Uint8Array>} Pixels of the model's size.
 */
export async function pixelsOf(picture, image) {
  const told = {colorSpaceConversion: 'none', premultiplyAlpha: 'none', imageOrientation: 'from-image'};
  const bitmap = await createImageBitmap(picture, told);
  const {height, width} = bitmap;
  if (height * width > MOST_PIXELS) throw new Error(`a picture of ${width} x ${height} pixels is too large`);
  const context = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const data = withChannels(context.getImageData(0, 0, width, height).data, image.channels);
  return fitted({data, height, width}, image);
}

/**
 * @param {Uint8ClampedArray} rgba Pixels of a canvas, 4 bytes each.
 * @param {number} channels 1 for grey, 3 for RGB.
 * @returns {Uint8Array} Grey is the luma of colours (BT.601), as TensorFlow computes it.
 */
export function withChannels(rgba, channels) {
  const count = rgba.length / 4;
  const out = new Uint8Array(count * channels);
  const unit = f(1 / 255);
  for (let n = 0; n < count; n++) {
    const [red, green, blue] = [rgba[4 * n], rgba[4 * n + 1], rgba[4 * n + 2]];
    if (channels === 3) {
      out.set([red, green, blue], 3 * n);
    } else if (red === green && green === blue) {
      out[n] = red;  // a grey picture, which has no luma to compute
    } else {
      const weighed = [f(f(red * unit) * f(0.2989)), f(f(green * unit) * f(0.587)), f(f(blue * unit) * f(0.114))];
      out[n] = Math.trunc(f(f(f(weighed[0] + weighed[1]) + weighed[2]) * f(255.5)));
    }
  }
  return out;
}

/**
 * @param {{data: Uint8Array, height: number, width: number}} given Pixels, channels last.
 * @param {{height: number, width: number, channels: number, resize: string}} image The size wanted; `crop` cuts what
 *   does not fit from the middle, `pad` adds black, `stretch` does neither.
 * @returns {Uint8Array} height x width x channels.
 */
export function fitted(given, image) {
  const target = [image.height, image.width];
  const size = [given.height, given.width];
  if (size[0] === target[0] && size[1] === target[1]) return given.data;
  const ratios = target.map((wanted, axis) => f(size[axis] / wanted));
  let pixels = {...given, channels: image.channels};
  if (image.resize === 'crop') pixels = cropped(pixels, scaled(target, f(Math.min(...ratios)), size));
  const inner = image.resize === 'pad' ? scaled(size, f(1 / f(Math.max(...ratios))), target) : target;
  const shrinks = pixels.height >= inner[0] && pixels.width >= inner[1];
  const resized = shrinks ? meansOfAreas(pixels, inner) : bilinear(pixels, inner);
  const out = new Uint8Array(target[0] * target[1] * image.channels);
  const top = Math.floor((target[0] - inner[0]) / 2);
  const left = Math.floor((target[1] - inner[1]) / 2);
  const line = inner[1] * image.channels;
  for (let row = 0; row < inner[0]; row++) {
    const start = ((top + row) * target[1] + left) * image.channels;
    for (let n = 0; n < line; n++) out[start + n] = Math.trunc(f(resized[row * line + n] + 0.5));
  }
  return out;
}

function halfToEven(number) {
  const below = Math.floor(number);
  if (number - below !== 0.5) return Math.round(number);
  return below % 2 === 0 ? below : below + 1;
}

function scaled(size, factor, largest) {
  return size.map((length, axis) => Math.min(Math.max(halfToEven(f(length * factor)), 1), largest[axis]));
}

function cropped(pixels, [height, width]) {
  const top = Math.floor((pixels.height - height) / 2);
  const left = Math.floor((pixels.width - width) / 2);
  const line = width * pixels.channels;
  const data = new Uint8Array(height * line);
  for (let row = 0; row < height; row++) {
    const start = ((top + row) * pixels.width + left) * pixels.channels;
    data.set(pixels.data.subarray(start, start + line), row * line);
  }
  return {...pixels, data, height, width};
}

function meansOfAreas(pixels, [height, width]) {
  const across = areas(pixels.width, width);
  const down = areas(pixels.height, height);
  const lines = {...pixels, data: sumsAcross(pixels, across.sums), width};
  const sums = sumsDown(lines, down.sums);
  const share = f(1 / f(down.step * across.step));
  return sums.map((sum) => sum * share);
}

function bilinear(pixels, [height, width]) {
  const columns = {...pixels, data: sumsDown(pixels, triangles(pixels.height, height)), height};
  return sumsAcross(columns, triangles(pixels.width, width));
}

function sumsDown({data, width, channels}, sums) {
  const line = width * channels;
  const out = new Float32Array(sums.length * line);
  sums.forEach((parts, row) => {
    for (const [place, weight] of parts) {
      for (let n = 0; n < line; n++) out[row * line + n] += f(data[place * line + n] * weight);
    }
  });
  return out;
}

function sumsAcross({data, height, width, channels}, sums) {
  const out = new Float32Array(height * sums.length * channels);
  for (let row = 0; row < height; row++) {
    sums.forEach((parts, column) => {
      const at = (row * sums.length + column) * channels;
      for (const [place, weight] of parts) {
        const from = (row * width + place) * channels;
        for (let n = 0; n < channels; n++) out[at + n] += f(data[from + n] * weight);
      }
    });
  }
  return out;
}

/** Which of `given` pixels each of `wanted` covers, how much of each, and how many in all. */
function areas(given, wanted) {
  const step = f(given / wanted);
  const sums = Array.from({length: wanted}, (_, number) => {
    const [left, right] = [f(number * step), f((number + 1) * step)];
    const parts = [];
    for (let place = Math.floor(left); place < Math.ceil(right); place++) {
      const end = place + 1;
      const within = place < left ? (end > right ? step : f(end - left)) : (end > right ? f(right - place) : 1);
      parts.push([Math.min(place, given - 1), within]);
    }
    return parts;
  });
  return {sums, step};
}

/** Which of `given` pixels make each of `wanted`, and the weight of each: a triangle, wider where pixels shrink. */
function triangles(given, wanted) {
  const step = f(1 / f(wanted / given));
  const radius = Math.max(step, 1);
  const within = (place) => Math.min(Math.max(place, 0), given - 1);
  return Array.from({length: wanted}, (_, number) => {
    const centre = f(f(number + 0.5) * step);
    const first = within(Math.ceil(f(f(centre - radius) - 0.5)));
    const last = within(Math.floor(f(f(centre + radius) - 0.5)));
    const parts = [];
    let total = 0;
    for (let place = first; place <= last; place++) {
      const distance = f(Math.abs(f(f(place + 0.5) - centre)) * f(1 / radius));
      const weight = distance < 1 ? f(1 - distance) : 0;
      parts.push([place, weight]);
      total = f(total + weight);
    }
    return parts.map(([place, weight]) => [place, f(weight * f(1 / total))]);
  });
}
