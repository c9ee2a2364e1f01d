// Texts to token ids as in training: WordPiece as the original BERT cuts texts. Characters that are newer than the
// device's Unicode may be classed differently.

import Foundation

struct WordPieces {
    private static let start: Int32 = @{ start_id }@
    private static let end: Int32 = @{ end_id }@
    private static let padding: Int32 = @{ padding_id }@
    private static let unknown: Int32 = @{ unknown_id }@
    private static let suffix = "@{ suffix }@"
    private static let maxBytesPerWord = @{ max_bytes_per_word }@
    private static let ideographs: [ClosedRange<UInt32>] = [
        0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F,
    ]

    // Keys are scalars, not strings: two strings of Swift are equal when they look alike, tokens are not.
    private let ids: [[UInt32]: Int32]
    private let longest: Int
    private let length: Int

    /// - Parameter vocabulary: The lines of `tokenizer/vocabulary.txt`, a token each, in the order of their ids.
    init(vocabulary: String, length: Int = @{ sequence_length }@) {
        var ids: [[UInt32]: Int32] = [:]
        var id: Int32 = 0
        for line in vocabulary.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false) {
            var token = Array(line).map(\.value)
            while let last = token.last, last == 13 || last == 32 || last == 9 { token.removeLast() }
            if !token.isEmpty { ids[token] = id }
            id += 1
        }
        self.ids = ids
        self.longest = ids.keys.map(\.count).max() ?? 0
        self.length = length
    }

    /// The token ids of a text, start and end included, without padding.
    func ids(_ text: String) -> [Int32] {
        var found: [Int32] = []
        for word in words(text) { found += pieces(word) }
        return [WordPieces.start] + found.prefix(length - 2) + [WordPieces.end]
    }

    func padded(_ ids: [Int32]) -> [Int32] {
        ids + [Int32](repeating: WordPieces.padding, count: length - ids.count)
    }

    private func words(_ text: String) -> [[UInt32]] {
        var words: [[UInt32]] = []
        var word: [UInt32] = []
        func finish() {
            if !word.isEmpty { words.append(word) }
            word = []
        }
        for scalar in normalized(text) {
            if scalar == " " {
                finish()
            } else if WordPieces.isAlone(scalar) {
                finish()
                words.append([scalar.value])
            } else {
                word.append(scalar.value)
            }
        }
        finish()
        return words
    }

    private func pieces(_ word: [UInt32]) -> [Int32] {
        let bytes = word.reduce(0) { $0 + ($1 < 0x80 ? 1 : $1 < 0x800 ? 2 : $1 < 0x10000 ? 3 : 4) }
        if bytes > WordPieces.maxBytesPerWord { return [WordPieces.unknown] }
        var found: [Int32] = []
        var start = 0
        while start < word.count {
            let indicator = start > 0 ? WordPieces.suffix.unicodeScalars.map(\.value) : []
            var end = min(word.count, start + longest)
            while end > start, ids[indicator + word[start..<end]] == nil { end -= 1 }
            guard end > start, let id = ids[indicator + word[start..<end]] else { return [WordPieces.unknown] }
            found.append(id)
            start = end
        }
        return found
    }

    private func normalized(_ text: String) -> [Unicode.Scalar] {
        var cleaned = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { if let one = WordPieces.cleaned(scalar) { cleaned.append(one) } }
@% if strip_accents %@
        let marked = String(cleaned).decomposedStringWithCanonicalMapping
        cleaned = String.UnicodeScalarView()
        for scalar in marked.unicodeScalars where scalar.properties.generalCategory != .nonspacingMark {
            cleaned.append(scalar)
        }
@% endif %@
@% if lowercase %@
        return Array(String(cleaned).lowercased(with: Locale(identifier: "en_US_POSIX")).unicodeScalars)
@% else %@
        return Array(cleaned)
@% endif %@
    }

    private static func cleaned(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
        if scalar == "\t" || scalar == "\n" || scalar == "\r" { return " " }
        switch scalar.properties.generalCategory {
        case .spaceSeparator, .lineSeparator, .paragraphSeparator: return " "
        case .control, .format, .privateUse, .surrogate: return nil
        default: return scalar.value == 0xFFFD ? nil : scalar
        }
    }

    private static func isAlone(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 33...47, 58...64, 91...96, 123...126: return true
        default: break
        }
        switch scalar.properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
             .finalPunctuation, .otherPunctuation:
            return true
        default: return ideographs.contains { $0.contains(scalar.value) }
        }
    }
}
