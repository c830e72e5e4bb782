//! What the unit tests share.

/// The bytes of a line of hexadecimal digits.
pub(crate) fn hex(line: &str) -> Vec<u8> {
    line.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The lines of a fixture, each as bytes.
pub(crate) fn hex_lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(hex).collect()
}
