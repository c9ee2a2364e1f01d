// XCTest: the app on the device answers the golden samples as the model's proof says. The folder golden belongs into the
// test target as a folder reference.

import XCTest

final class GoldenTests: XCTestCase {
    private func golden(_ name: String) throws -> Data {
        let bundle = Bundle(for: GoldenTests.self)
        return try Data(contentsOf: bundle.bundleURL.appendingPathComponent("golden/\(name)"))
    }

    private func numbers<Number>(_ name: String, _ kind: Number.Type) throws -> [Number] {
        try golden(name).withUnsafeBytes { Array($0.bindMemory(to: Number.self)) }
    }

    func testSamplesAreAnsweredAsInTheProof() throws {
        let expected = try numbers("expected.bin", Float.self)
        let near: Float = @{ apart }@ // on another processor
        let classifier = try Classifier()
@% if is_text %@
        let ids = try numbers("token_ids.bin", Int32.self)
        let masks = try numbers("padding_mask.bin", Int32.self)
        let size = ModelSpec.length
@% else %@
        let image = ModelSpec.image
        let all = [UInt8](try golden("pixels.bin"))
        let size = image.height * image.width * image.channels
@% endif %@
        for number in 0..<ModelSpec.samples {
            let row = number * size..<(number + 1) * size
@% if is_text %@
            let scores = try classifier.scores(ids: Array(ids[row]), mask: Array(masks[row]))
@% else %@
            let pixels = Pixels(
                values: Array(all[row]), height: image.height, width: image.width, channels: image.channels)
            let scores = try classifier.scores(pixels: pixels)
@% endif %@
            XCTAssertEqual(scores.count, ModelSpec.scores)
            for (place, score) in scores.enumerated() {
                XCTAssertEqual(score, expected[number * ModelSpec.scores + place], accuracy: near, "sample \(number)")
            }
        }
    }

@% if is_text %@
    func testTextsHaveTheTokenIdsOfTraining() throws {
        let file = try XCTUnwrap(Bundle.main.url(forResource: "vocabulary", withExtension: "txt"))
        let pieces = WordPieces(vocabulary: try String(contentsOf: file, encoding: .utf8))
        let lines = String(decoding: try golden("texts.tsv"), as: UTF8.self).split(separator: "\n")
        for line in lines {
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            let hex = Array(parts[0].utf8)
            let bytes = stride(from: 0, to: hex.count, by: 2).map {
                UInt8(String(decoding: hex[$0..<$0 + 2], as: UTF8.self), radix: 16)!
            }
            let wanted = parts[1].split(separator: " ").map { Int32($0)! }
            XCTAssertEqual(pieces.ids(String(decoding: bytes, as: UTF8.self)), wanted, String(parts[0]))
        }
    }
@% else %@
    func testPicturesHaveThePixelsOfTraining() throws {
        for line in String(decoding: try golden("pictures.tsv"), as: UTF8.self).split(separator: "\n") {
            let names = line.split(separator: "\t").map(String.init)
            let wanted = [UInt8](try golden(names[1]))
            let found = try Classifier.pixels(try golden(names[0])).values
            let apart = zip(wanted, found).map { abs(Int($0) - Int($1)) }.max() ?? 255
            // Another JPEG decoder may differ by a grey level or two.
            XCTAssertLessThanOrEqual(apart, names[0].hasSuffix(".png") ? 0 : 2, names[0])
        }
    }
@% endif %@
}
