// How the page takes texts: as they are typed.

const find = (name) => document.getElementById(name);

/** The samples of the proof: what was given, and the scores. */
export const sampleOf = async ({text}) => text;

export const describe = ({text}) => `${text.sequence_length} tokens a text`;

/** Whether texts are cut into tokens as in training: a sentence, and whether all are. */
export async function checkInputs({about, feed}) {
  const texts = await (await fetch('golden/texts.json')).json();
  let right = 0;
  for (const {text, ids} of texts) {
    const {token_ids: found, padding_mask: mask} = await feed(text);
    const count = mask.reduce((sum, one) => sum + one, 0);
    right += Number(count === ids.length && ids.every((id, place) => found[place] === id));
  }
  return {right, all: texts.length, told: `${right} of ${texts.length} texts are cut into tokens as in training`};
}

export function connect(model, answer, forget) {
  const {sequence_length: most} = model.about.text;
  let wanted = null;  // the last text that was typed while another one is answered
  let busy = false;
  const take = async (text) => {
    wanted = text;
    if (busy) return;
    busy = true;
    while (wanted !== null) {
      const next = wanted;
      wanted = null;
      if (!next.trim()) {
        forget('');
        continue;
      }
      const {padding_mask: mask} = await model.feed(next);
      const tokens = mask.reduce((sum, one) => sum + one, 0);
      await answer(next, `${tokens} of ${most} tokens${tokens === most ? '; what is longer is cut' : ''}`);
    }
    busy = false;
  };
  find('text').addEventListener('input', ({target}) => take(target.value));
}
