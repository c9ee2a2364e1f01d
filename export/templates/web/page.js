// What the page does: opens the model, checks it on the samples of its proof, and answers about pictures.

import {openModel} from './classifier.js';

const find = (name) => document.getElementById(name);
const MOST = 5;
const FEW_STEPS = 1e-3;  // of a float file: another processor adds in another order

function tell(text, kind = '') {
  find('status').textContent = text;
  find('status').className = kind;
}

function show(model, scores) {
  const {class_names: names, task, thresholds} = model.about;
  const rows = names.map((name, place) => ({name, score: scores[place], threshold: thresholds[place] ?? 0.5}));
  if (task !== 'regression') rows.sort((one, other) => other.score - one.score);
  const list = find('answers');
  list.replaceChildren(...rows.slice(0, task === 'regression' ? rows.length : MOST).map((row, place) => {
    const line = document.createElement('li');
    const given = task === 'multilabel' ? row.score >= row.threshold : place === 0;
    line.className = given && task !== 'regression' ? 'given' : '';
    const label = document.createElement('span');
    label.className = 'label';
    label.textContent = row.name;
    const value = document.createElement('span');
    value.className = 'value';
    value.textContent = task === 'regression' ? row.score.toPrecision(4) : `${(100 * row.score).toFixed(1)} %`;
    const bar = document.createElement('meter');
    bar.value = task === 'regression' ? 0 : row.score;
    bar.hidden = task === 'regression';
    line.append(label, bar, value);
    return line;
  }));
}

async function answer(model, picture) {
  const started = performance.now();
  const scores = await model.scores(picture);
  find('time').textContent = `${(performance.now() - started).toFixed(0)} ms, decoding included`;
  show(model, scores);
  return scores;
}

async function check(model) {
  const rows = [];
  for (const sample of model.about.golden) {
    const scores = await model.scores(await (await fetch(sample.file)).blob());
    const apart = Math.max(...scores.map((score, place) => Math.abs(score - sample.scores[place])));
    rows.push({file: sample.file, scores, apart});
  }
  const exact = model.about.output.dtype !== 'float32';
  const right = rows.filter(({apart}) => apart <= (exact ? 1e-6 : FEW_STEPS)).length;
  const told = `${right} of ${rows.length} samples are answered as in the model's proof`;
  tell(told, right === rows.length ? 'good' : 'bad');
  return {right, rows};
}

async function main() {
  const model = await openModel();
  find('size').textContent = `${model.about.image.width} x ${model.about.image.height} pixels`;
  const checked = await check(model);
  const preview = find('preview');
  const take = async (file) => {
    if (!file) return;
    try {
      URL.revokeObjectURL(preview.src);
      preview.src = URL.createObjectURL(file);
      preview.hidden = false;
      window.tfkit.last = await answer(model, file);
    } catch (fault) {
      find('answers').replaceChildren();
      find('time').textContent = `this cannot be read as a picture: ${fault.message}`;
    }
  };
  window.tfkit = {checked, model, last: null};
  find('file').addEventListener('change', ({target}) => take(target.files[0]));
  find('drop').addEventListener('dragover', (event) => event.preventDefault());
  find('drop').addEventListener('drop', (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  find('camera').addEventListener('click', () => watch(model));
  document.documentElement.dataset.ready = 'yes';
}

async function watch(model) {
  const video = find('video');
  if (video.srcObject) {
    video.srcObject.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    video.hidden = true;
    find('camera').textContent = 'Use the camera';
    return;
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}});
  } catch (fault) {
    find('time').textContent = `no camera: ${fault.message}`;
    return;
  }
  video.hidden = false;
  find('preview').hidden = true;
  find('camera').textContent = 'Stop the camera';
  await video.play();
  while (video.srcObject) {
    await answer(model, video);
    await new Promise((ready) => requestAnimationFrame(ready));
  }
}

main().catch((fault) => {
  tell(`the model cannot be opened: ${fault.message}`, 'bad');
  document.documentElement.dataset.ready = 'no';
});
