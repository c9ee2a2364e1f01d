// Brings decoded pixels to a model's size as tfkit does in training: the same sums in the same order, in Float.

/// What a model takes: `crop` cuts what does not fit from the middle, `pad` adds black, `stretch` does neither.
struct ImageSize {
    let height: Int, width: Int, channels: Int
    let resize: String
}

/// Pixels 0..255, channels last: red, green, blue, or grey alone.
struct Pixels {
    var values: [UInt8]
    let height: Int, width: Int, channels: Int
}

/// Pixels of four bytes each, with the channels of a model: grey is the luma of colours (BT.601).
func pixelsOf(rgba: [UInt8], height: Int, width: Int, channels: Int) -> Pixels {
    var out = [UInt8](repeating: 0, count: height * width * channels)
    let unit: Float = 1 / 255
    for n in 0..<height * width {
        let (red, green, blue) = (rgba[4 * n], rgba[4 * n + 1], rgba[4 * n + 2])
        if channels == 3 {
            (out[3 * n], out[3 * n + 1], out[3 * n + 2]) = (red, green, blue)
        } else if red == green && green == blue {
            out[n] = red
        } else {
            let warm = Float(red) * unit * 0.2989 + Float(green) * unit * 0.587
            out[n] = UInt8((warm + Float(blue) * unit * 0.114) * 255.5)
        }
    }
    return Pixels(values: out, height: height, width: width, channels: channels)
}

/// Turns a picture as its EXIF orientation (1 to 8) says.
func upright(_ given: Pixels, _ orientation: Int) -> Pixels {
    guard (2...8).contains(orientation) else { return given }
    let turned = orientation >= 5
    let height = turned ? given.width : given.height
    let width = turned ? given.height : given.width
    var out = [UInt8](repeating: 0, count: given.values.count)
    for row in 0..<height {
        let up = [3, 4, 7, 8].contains(orientation) ? height - 1 - row : row
        for column in 0..<width {
            let left = [2, 3, 6, 7].contains(orientation) ? width - 1 - column : column
            let from = turned ? left * given.width + up : up * given.width + left
            for n in 0..<given.channels {
                out[(row * width + column) * given.channels + n] = given.values[from * given.channels + n]
            }
        }
    }
    return Pixels(values: out, height: height, width: width, channels: given.channels)
}

/// The pixels at the size of a model.
func fitted(_ given: Pixels, _ image: ImageSize) -> Pixels {
    if given.height == image.height && given.width == image.width { return given }
    let down = Float(given.height) / Float(image.height)
    let across = Float(given.width) / Float(image.width)
    var pixels = given
    var height = image.height
    var width = image.width
    if image.resize == "crop" {
        let ratio = min(down, across)
        pixels = cropped(given, scaled(image.height, ratio, given.height), scaled(image.width, ratio, given.width))
    } else if image.resize == "pad" {
        let ratio = 1 / max(down, across)
        height = scaled(given.height, ratio, image.height)
        width = scaled(given.width, ratio, image.width)
    }
    let shrinks = pixels.height >= height && pixels.width >= width
    let resized = shrinks ? meansOfAreas(pixels, height, width) : bilinear(pixels, height, width)
    var out = [UInt8](repeating: 0, count: image.height * image.width * image.channels)
    let top = (image.height - height) / 2
    let left = (image.width - width) / 2
    let line = width * image.channels
    for row in 0..<height {
        let start = ((top + row) * image.width + left) * image.channels
        for n in 0..<line { out[start + n] = UInt8(resized[row * line + n] + 0.5) }
    }
    return Pixels(values: out, height: image.height, width: image.width, channels: image.channels)
}

private func scaled(_ length: Int, _ factor: Float, _ largest: Int) -> Int {
    min(max(Int((Float(length) * factor).rounded(.toNearestOrEven)), 1), largest)
}

private func cropped(_ given: Pixels, _ height: Int, _ width: Int) -> Pixels {
    let top = (given.height - height) / 2
    let left = (given.width - width) / 2
    let line = width * given.channels
    var out: [UInt8] = []
    for row in 0..<height {
        let start = ((top + row) * given.width + left) * given.channels
        out += given.values[start..<start + line]
    }
    return Pixels(values: out, height: height, width: width, channels: given.channels)
}

private typealias Parts = [(place: Int, share: Float)]

private func meansOfAreas(_ given: Pixels, _ height: Int, _ width: Int) -> [Float] {
    let (across, acrossStep) = areas(given.width, width)
    let (down, downStep) = areas(given.height, height)
    let lines = sumsAcross(given.values.map(Float.init), given.height, given.width, given.channels, across)
    let share = 1 / (downStep * acrossStep)
    return sumsDown(lines, width * given.channels, down).map { $0 * share }
}

private func bilinear(_ given: Pixels, _ height: Int, _ width: Int) -> [Float] {
    let line = given.width * given.channels
    let columns = sumsDown(given.values.map(Float.init), line, triangles(given.height, height))
    return sumsAcross(columns, height, given.width, given.channels, triangles(given.width, width))
}

private func sumsDown(_ data: [Float], _ line: Int, _ sums: [Parts]) -> [Float] {
    var out = [Float](repeating: 0, count: sums.count * line)
    for (row, parts) in sums.enumerated() {
        for (place, share) in parts {
            for n in 0..<line { out[row * line + n] += data[place * line + n] * share }
        }
    }
    return out
}

private func sumsAcross(_ data: [Float], _ height: Int, _ width: Int, _ channels: Int, _ sums: [Parts]) -> [Float] {
    var out = [Float](repeating: 0, count: height * sums.count * channels)
    for row in 0..<height {
        for (column, parts) in sums.enumerated() {
            let at = (row * sums.count + column) * channels
            for (place, share) in parts {
                let from = (row * width + place) * channels
                for n in 0..<channels { out[at + n] += data[from + n] * share }
            }
        }
    }
    return out
}

/// Which of `given` pixels each of `wanted` covers, how much of each, and how many in all.
private func areas(_ given: Int, _ wanted: Int) -> ([Parts], Float) {
    let step = Float(given) / Float(wanted)
    let sums = (0..<wanted).map { number -> Parts in
        let left = Float(number) * step
        let right = Float(number + 1) * step
        return (Int(left.rounded(.down))..<Int(right.rounded(.up))).map { place in
            let begin = Float(place)
            let end = begin + 1
            let within = begin < left ? (end > right ? step : end - left) : end > right ? right - begin : 1
            return (min(place, given - 1), within)
        }
    }
    return (sums, step)
}

/// Which of `given` pixels make each of `wanted`, and the share of each: a triangle, wider where pixels shrink.
private func triangles(_ given: Int, _ wanted: Int) -> [Parts] {
    let step = 1 / (Float(wanted) / Float(given))
    let radius = max(step, 1)
    return (0..<wanted).map { number -> Parts in
        let centre = (Float(number) + 0.5) * step
        let first = min(max(Int((centre - radius - 0.5).rounded(.up)), 0), given - 1)
        let last = min(max(Int((centre + radius - 0.5).rounded(.down)), 0), given - 1)
        let shares = (first...last).map { max(0, 1 - abs((Float($0) + 0.5 - centre) * (1 / radius))) }
        let total = shares.reduce(0, +)
        return zip(first...last, shares).map { (place: $0, share: $1 * (1 / total)) }
    }
}
