// Answers of LiteRT.js in a headless Chromium: PACKAGES MODEL INPUTS.json ANSWERS.json
import {createReadStream, existsSync, readFileSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {createRequire} from 'node:module';
import {extname, join, normalize} from 'node:path';

const [packages, model, inputs, answers] = process.argv.slice(2);
const {chromium} = createRequire(join(packages, 'package.json'))('playwright-core');
const TYPES = {'.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm'};
const PAGE = `<!doctype html><script type="importmap">{"imports": {
  "@litertjs/core": "/node_modules/@litertjs/core/dist/index.js",
  "@litertjs/wasm-utils": "/node_modules/@litertjs/wasm-utils/dist/index.js"}}</script>`;

const server = createServer((request, response) => {
  if (request.url === '/') return response.setHeader('Content-Type', 'text/html').end(PAGE);
  const path = request.url === '/model.tflite' ? model : join(packages, normalize(request.url));
  if (!existsSync(path)) return response.writeHead(404).end();
  response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream');
  createReadStream(path).pipe(response);
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));

const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
  '--disable-background-networking', '--disable-component-update'];
const browser = await chromium.launch({executablePath: process.env.CHROMIUM, args: quiet});
try {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const told = await page.evaluate(async (given) => {
    const {loadLiteRt, loadAndCompile, Tensor} = await import('@litertjs/core');
    await loadLiteRt('/node_modules/@litertjs/core/wasm/');
    let compiled;
    try {
      compiled = await loadAndCompile('/model.tflite', {accelerator: 'wasm'});
    } catch (fault) {
      return {refused: String(fault)};
    }
    const names = compiled.getInputDetails().map(({name}) => name);  // the signature's
    const KINDS = {uint8: Uint8Array, int32: Int32Array, float32: Float32Array};
    const rows = [];
    for (let row = 0; row < given[0].rows.length; row++) {
      const tensors = names.map((name) => {
        const {dtype, shape, rows} = given.find((tensor) => tensor.name.includes(name));
        return new Tensor(KINDS[dtype].from(rows[row]), shape);
      });
      const results = await compiled.run(tensors);
      rows.push(Array.from(results[0].toTypedArray()));
      [...tensors, ...results].forEach((tensor) => tensor.delete());
    }
    return {rows};
  }, JSON.parse(readFileSync(inputs)));
  if (told.refused) {
    console.error(`refused: ${told.refused}`);
    process.exitCode = 1;
  } else {
    writeFileSync(answers, JSON.stringify(told));
  }
} finally {
  await browser.close();
  server.close();
}
