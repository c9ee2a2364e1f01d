// The model in LiteRT (pod TensorFlowLiteSwift): @{ "a text" if is_text else "a picture" }@ in, scores out.

import Foundation
@% if not is_text %@
import CoreGraphics
import ImageIO
@% endif %@
import TensorFlowLite

enum ClassifierError: Error { case missing(String)@{ "" if is_text else ", noPicture" }@ }

/// Reads the model@{ " and vocabulary" if is_text else "" }@ from a bundle's resources. Use it from one thread at a time.
final class Classifier {
    private let interpreter: Interpreter
@% if is_text %@
    private let pieces: WordPieces
@% endif %@

    init(bundle: Bundle = .main, threads: Int = 1) throws {
        guard let path = bundle.path(forResource: ModelSpec.file, ofType: "tflite") else {
            throw ClassifierError.missing(ModelSpec.file)
        }
        var options = Interpreter.Options()
        options.threadCount = threads
        interpreter = try Interpreter(modelPath: path, options: options)
        try interpreter.allocateTensors()
@% if is_text %@
        guard let vocabulary = bundle.url(forResource: "vocabulary", withExtension: "txt") else {
            throw ClassifierError.missing("vocabulary.txt")
        }
        pieces = WordPieces(vocabulary: try String(contentsOf: vocabulary, encoding: .utf8))
@% endif %@
    }

@% if is_text %@
    func scores(text: String) throws -> [Float] {
        let ids = pieces.ids(text)
        return try scores(ids: pieces.padded(ids), mask: (0..<ModelSpec.length).map { $0 < ids.count ? 1 : 0 })
    }

    /// Scores of `ModelSpec.length` token ids, and 1 for each that is not padding.
    func scores(ids: [Int32], mask: [Int32]) throws -> [Float] {
        for place in 0..<interpreter.inputTensorCount {
            let name = try interpreter.input(at: place).name
            let none = [Int32](repeating: 0, count: ids.count) // segment_ids, which no operator reads
            let values = name.contains("token_ids") ? ids : name.contains("padding_mask") ? mask : none
            try interpreter.copy(values.withUnsafeBytes { Data($0) }, toInputAt: place)
        }
        return try answer()
    }
@% else %@
    /// Scores of a JPEG or PNG.
    func scores(encoded: Data) throws -> [Float] { try scores(pixels: Classifier.pixels(encoded)) }

    /// What the model is given of a JPEG or PNG: upright and at its size.
    static func pixels(_ encoded: Data) throws -> Pixels {
        guard let source = CGImageSourceCreateWithData(encoded as CFData, nil),
              let image = CGImageSourceCreateImageAtIndex(source, 0, nil)
        else { throw ClassifierError.noPicture }
        let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
        let orientation = properties?[kCGImagePropertyOrientation] as? Int ?? 1
        // The picture's own colours: drawing into another space would change them.
        let own = image.colorSpace.flatMap { $0.model == .rgb || $0.model == .monochrome ? $0 : nil }
        let space = own ?? CGColorSpaceCreateDeviceRGB()
        let isGrey = space.model == .monochrome
        let bytes = isGrey ? 1 : 4
        let alpha = isGrey ? CGImageAlphaInfo.none : CGImageAlphaInfo.noneSkipLast
        var drawnBytes = [UInt8](repeating: 0, count: image.width * image.height * bytes)
        let drawn = drawnBytes.withUnsafeMutableBytes { memory -> Bool in
            guard let context = CGContext(
                data: memory.baseAddress, width: image.width, height: image.height, bitsPerComponent: 8,
                bytesPerRow: image.width * bytes, space: space, bitmapInfo: alpha.rawValue)
            else { return false }
            context.draw(image, in: CGRect(x: 0, y: 0, width: image.width, height: image.height))
            return true
        }
        guard drawn else { throw ClassifierError.noPicture }
        let rgba = isGrey ? drawnBytes.flatMap { [$0, $0, $0, 255] } : drawnBytes
        let decoded = pixelsOf(rgba: rgba, height: image.height, width: image.width, channels: ModelSpec.image.channels)
        return fitted(upright(decoded, orientation), ModelSpec.image)
    }

    /// Scores of pixels that are at the model's size already.
    func scores(pixels: Pixels) throws -> [Float] {
        let floats = ModelSpec.inputIsFloat ? pixels.values.map(Float.init) : []
        let data = ModelSpec.inputIsFloat ? floats.withUnsafeBytes { Data($0) } : Data(pixels.values)
        try interpreter.copy(data, toInputAt: 0)
        return try answer()
    }
@% endif %@

    private func answer() throws -> [Float] {
        try interpreter.invoke()
        let data = try interpreter.output(at: 0).data
        var scores: [Float]
        if ModelSpec.outputBytes == 4 {
            scores = data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        } else {
            scores = data.map { byte in
                let whole = ModelSpec.outputIsSigned ? Int(Int8(bitPattern: byte)) : Int(byte)
                return Float(whole - ModelSpec.outputZero) * ModelSpec.outputScale
            }
        }
        return ModelSpec.oneSigmoid ? [1 - scores[0], scores[0]] : scores
    }
}
