// Texts to token ids as in training: WordPiece as the original BERT cuts texts. Letters that are newer than the
// browser's Unicode may be classed differently.

const IDEOGRAPHS = [
  [0x4e00, 0x9fff], [0x3400, 0x4dbf], [0x20000, 0x2a6df], [0x2a700, 0x2ceaf], [0xf900, 0xfaff], [0x2f800, 0x2fa1f],
];
const SPACE = /^[\t\n\r\p{Z}]$/u;
const REMOVED = /^[\ufffd\p{Cc}\p{Cf}\p{Co}\p{Cs}]$/u;
const ALONE = /^[\p{P}$+<=>^`|~]$/u;

/** What a model is fed with of a text. */
export async function feeder({text: said}) {
  const lines = new TextDecoder('utf-8', {ignoreBOM: true}).decode(await (await fetch(said.tokenizer)).arrayBuffer());
  const pieces = new WordPieces(lines.split('\n'), said);
  return async (text) => pieces.tensors(text);
}

export class WordPieces {
  /**
   * @param {string[]} vocabulary The tokens by their ids.
   * @param {object} said What `model.json` says of the tokeniser.
   */
  constructor(vocabulary, said) {
    this.said = said;
    const known = vocabulary.map((token, id) => [token.trimEnd(), id]).filter(([token]) => token);
    this.vocabulary = new Map(known);
    this.longest = known.reduce((most, [token]) => Math.max(most, token.length), 0);
  }

  /** @returns {number[]} The token ids of a text, start and end included, without padding; longer texts are cut. */
  ids(text) {
    const words = [...this.normalized(text)].map((one) => isAlone(one) ? ` ${one} ` : one).join('').split(' ');
    const pieces = words.filter((word) => word).flatMap((word) => this.piecesOf(word));
    return [this.said.start_id, ...pieces.slice(0, this.said.sequence_length - 2), this.said.end_id];
  }

  /** @returns {{token_ids: number[], padding_mask: number[], segment_ids: number[]}} Padded on the right. */
  tensors(text) {
    const found = this.ids(text);
    const places = Array.from({length: this.said.sequence_length}, (_, place) => place);
    return {
      token_ids: places.map((place) => found[place] ?? this.said.padding_id),
      padding_mask: places.map((place) => Number(place < found.length)),
      segment_ids: places.map(() => 0),
    };
  }

  normalized(text) {
    let cleaned = [...text].map((one) => SPACE.test(one) ? ' ' : REMOVED.test(one) ? '' : one).join('');
    if (this.said.strip_accents) cleaned = cleaned.normalize('NFD').replace(/\p{Mn}/gu, '');
    return this.said.lowercase ? cleaned.toLowerCase() : cleaned;
  }

  piecesOf(word) {
    const {max_bytes_per_word: most, suffix, unknown_id: unknown} = this.said;
    if (new TextEncoder().encode(word).length > most) return [unknown];
    const letters = [...word];
    const found = [];
    for (let start = 0, end; start < letters.length; start = end) {
      const indicator = start > 0 ? suffix : '';
      const piece = () => indicator + letters.slice(start, end).join('');
      end = Math.min(letters.length, start + this.longest);
      while (end > start && !this.vocabulary.has(piece())) end--;
      if (end === start) return [unknown];
      found.push(this.vocabulary.get(piece()));
    }
    return found;
  }
}

/** Punctuation and ideographs are words of their own. */
function isAlone(one) {
  const point = one.codePointAt(0);
  return ALONE.test(one) || IDEOGRAPHS.some(([first, last]) => first <= point && point <= last);
}
