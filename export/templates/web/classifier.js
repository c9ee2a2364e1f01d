// The model in LiteRT.js: @{ "a text" if is_text else "an encoded picture" }@ in, scores out. `model.json` says what it takes and gives.

import {loadAndCompile, loadLiteRt, Tensor} from '@litertjs/core';
import {feeder} from './@{ "word_pieces.js" if is_text else "pixels.js" }@';

const KINDS = {uint8: Uint8Array, int8: Int8Array, int32: Int32Array, float32: Float32Array};

/** Open the model that lies beside this page. */
export async function openModel() {
  const about = await (await fetch('model.json')).json();
  const feed = await feeder(about);
  await loadLiteRt('node_modules/@litertjs/core/wasm/');
  const compiled = await loadAndCompile(about.file, {accelerator: 'wasm'});
  return {about, feed, scores: async (given) => scoresOf(compiled, about, await feed(given))};
}

async function scoresOf(compiled, about, fed) {
  const inputs = Object.fromEntries(about.inputs.map(({name, dtype, shape}) =>
    [name, new Tensor(KINDS[dtype].from(fed[name]), shape)]));
  const results = Object.values(await compiled.run(inputs));
  const {dtype, scale, zero_point: zero} = about.outputs[0];
  const given = Array.from(results[0].toTypedArray());
  [...Object.values(inputs), ...results].forEach((tensor) => tensor.delete());
  const scores = dtype === 'float32' ? given : given.map((step) => Math.fround((step - zero) * Math.fround(scale)));
  return about.one_sigmoid ? [1 - scores[0], scores[0]] : scores;
}
