// A bundle for browsers in a headless Chromium: PACKAGES BUNDLE SCREENSHOT ASKED.json; prints what the page found.
// ASKED: {pictures: [FILE], fits: [{file: FILE, image: {height, width, channels, resize}}]}, or {texts: [TEXT]}.
import {createReadStream, existsSync, readFileSync, statSync} from 'node:fs';
import {createServer} from 'node:http';
import {createRequire} from 'node:module';
import {extname, join, normalize} from 'node:path';

const [packages, bundle, screenshot, asked] = process.argv.slice(2);
const {pictures = [], fits = [], texts = []} = JSON.parse(readFileSync(asked));
const {chromium} = createRequire(join(packages, 'package.json'))('playwright-core');
const TYPES = {'.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm'};

const server = createServer((request, response) => {
  const path = normalize(request.url.split('?')[0]);
  const file = join(path.startsWith('/node_modules/') ? packages : bundle, path === '/' ? 'index.html' : path);
  if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  response.setHeader('Content-Type', TYPES[extname(file)] ?? 'application/octet-stream');
  createReadStream(file).pipe(response);
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));

async function watched(page) {
  await page.click('#camera');
  await page.waitForFunction(() => document.getElementById('video').videoWidth > 0, null, {timeout: 20_000});
  await page.waitForFunction(() => document.querySelectorAll('#answers li').length > 0);
  const count = await page.$$eval('#answers li', (lines) => lines.length);
  await page.click('#camera');
  return count;
}

const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
const browser = await chromium.launch({executablePath: process.env.CHROMIUM, args});
const complaints = [];
try {
  const page = await browser.newPage({viewport: {width: 760, height: 900}});
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (fault) => complaints.push(String(fault)));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForSelector('html[data-ready]', {state: 'attached', timeout: 60_000});
  const status = await page.textContent('#status');
  const checked = await page.evaluate(() => window.tfkit?.checked ?? null);
  const answers = [];
  for (const given of [...pictures, ...texts]) {
    await page.evaluate(() => { window.tfkit.last = null; document.getElementById('time').textContent = ''; });
    await (pictures.length ? page.setInputFiles('#file', given) : page.fill('#text', given));
    await page.waitForFunction(() => document.getElementById('time').textContent !== '');
    await page.waitForTimeout(50);
    answers.push({
      scores: await page.evaluate(() => window.tfkit.last),
      first: (await page.$$eval('#answers .label', (labels) => labels.map((label) => label.textContent)))[0] ?? null,
      told: await page.textContent('#time'),
    });
  }
  const pixels = [];
  for (const {file, image} of fits) {
    pixels.push(await page.evaluate(async ([encoded, wanted]) => {
      const {pixelsOf} = await import('./pixels.js');
      const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
      return Array.from(await pixelsOf(new Blob([bytes]), wanted));
    }, [readFileSync(file).toString('base64'), image]));
  }
  await page.screenshot({path: screenshot});
  const camera = pictures.length ? await watched(page) : null;
  console.log(JSON.stringify({status, checked, answers, camera, pixels, complaints}));
} finally {
  await browser.close();
  server.close();
}
