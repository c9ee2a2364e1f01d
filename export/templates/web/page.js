// What the page does: opens the model, checks it on the samples of its proof, and answers.

import {openModel} from './classifier.js';
import {checkInputs, connect, describe, sampleOf} from './@{ "text_page.js" if is_text else "picture_page.js" }@';

const find = (name) => document.getElementById(name);
const MOST = 5;
const TOLD = 1e-4;  // a difference from the proof that is worth a word

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

async function answer(model, given, told) {
  const started = performance.now();
  const scores = await model.scores(given);
  find('time').textContent = `${(performance.now() - started).toFixed(0)} ms, ${told}`;
  show(model, scores);
  window.tfkit.last = scores;
}

function forget(why) {
  find('answers').replaceChildren();
  find('time').textContent = why;
}

async function check(model) {
  const rows = [];
  for (const sample of model.about.golden) {
    const scores = await model.scores(await sampleOf(sample));
    const apart = Math.max(...scores.map((score, place) => Math.abs(score - sample.scores[place])));
    rows.push({scores, apart});
  }
  const right = rows.filter(({apart}) => apart <= model.about.apart).length;
  const most = Math.max(...rows.map(({apart}) => apart));
  const inputs = await checkInputs(model);
  const told = [`${right} of ${rows.length} samples are answered as in the model's proof`];
  if (most > TOLD) told[0] += `, at most ${most.toPrecision(2)} off`;
  if (inputs) told.push(inputs.told);
  tell(told.join('; '), right === rows.length && inputs?.right === inputs?.all ? 'good' : 'bad');
  return {right, rows};
}

async function main() {
  const model = await openModel();
  find('size').textContent = describe(model.about);
  const checked = await check(model);
  window.tfkit = {checked, model, last: null};
  connect(model, (given, told) => answer(model, given, told), forget);
  document.documentElement.dataset.ready = 'yes';
}

main().catch((fault) => {
  tell(`the model cannot be opened: ${fault.message}`, 'bad');
  document.documentElement.dataset.ready = 'no';
});
