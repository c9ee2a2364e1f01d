// The model in LiteRT.js: an encoded picture in, scores out. `model.json` says what it takes and gives.

import {loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';
import {fitted, withChannels} from './pixels.js';

const KINDS = {uint8: Uint8Array, int8: Int8Array, float32: Float32Array};
const MOST_PIXELS = 178956970;

/** Open the model that lies beside this page. */
export async function openModel() {
  const about = await (await fetch('model.json')).json();
  await loadLiteRt('node_modules/@litertjs/core/wasm/');
  const compiled = await loadAndCompile(about.file, {accelerator: 'wasm'});
  return {about, scores: async (picture) => scoresOf(compiled, about, await pixelsOf(picture, about.image))};
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

async function scoresOf(compiled, about, pixels) {
  const input = new Tensor(KINDS[about.input.dtype].from(pixels), about.input.shape);
  const results = await compiled.run([input]);
  const {dtype, scale, zero_point: zero} = about.output;
  const given = Array.from(results[0].toTypedArray());
  [input, ...results].forEach((tensor) => tensor.delete());
  const scores = dtype === 'float32' ? given : given.map((step) => Math.fround((step - zero) * Math.fround(scale)));
  // One sigmoid unit is two classes.
  return about.task === 'classification' && scores.length === 1 ? [1 - scores[0], scores[0]] : scores;
}
