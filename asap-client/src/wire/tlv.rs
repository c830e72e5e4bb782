//! Reading and writing type-length-value parameters (RFC 5354 §2, §3).
//!
//! A parameter's length counts its header and value, and the padding *between* nested parameters, but not the padding
//! after the last one. rsplib counts that too, in every enclosing length. [`Reader`] takes both; [`Writer`] follows
//! the RFC. The octets are the same either way.

use super::Cause;
use super::code::{ParameterType, WhenUnknown};
use super::error::Problem;

/// The longest message and the longest parameter: what a 16-bit length can say.
pub const MAX_LENGTH: usize = 65_535;

/// Octets of the header of a message or parameter.
pub(super) const HEADER: usize = 4;

fn padding(length: usize) -> usize {
    length.wrapping_neg() & 3
}

/// What a decoder gathers on its way through a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Unknown parameters that were skipped and have to be reported (type bits `11`).
    pub reports: Vec<Cause>,
    /// The sender counted the last padding in an enclosing length, as rsplib does.
    pub padded_lengths: bool,
}

impl Context {
    /// Deals with a parameter that is unknown, or known but has no place here, as the high bits of its type ask.
    ///
    /// # Errors
    /// The message has to be discarded (bits `00` and `01`).
    pub fn stray(&mut self, parameter: &Parameter<'_>) -> Result<(), Problem> {
        match parameter.type_.when_unknown() {
            WhenUnknown::Skip => Ok(()),
            WhenUnknown::SkipAndReport => {
                self.reports.push(Cause::unrecognized_parameter(parameter.whole));
                Ok(())
            }
            WhenUnknown::Discard | WhenUnknown::DiscardAndReport if parameter.type_.is_known() => {
                Err(Problem::OutOfPlace { parameter: parameter.type_ })
            }
            WhenUnknown::Discard | WhenUnknown::DiscardAndReport => {
                Err(Problem::UnknownParameter { parameter: parameter.type_, tlv: parameter.whole.to_vec() })
            }
        }
    }
}

/// One parameter as met in a message.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    /// Its type.
    pub type_: ParameterType,
    /// Header and value, without padding.
    pub whole: &'a [u8],
    /// The value, to be read.
    pub value: Reader<'a>,
}

impl Parameter<'_> {
    /// The problem "this parameter has an invalid value".
    pub fn invalid(&self, why: &'static str) -> Problem {
        Problem::Invalid { parameter: self.type_, why, tlv: self.whole.to_vec() }
    }
}

/// A received message behind its header (RFC 5354 §4).
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// The message's type.
    pub type_: u8,
    /// Its flags.
    pub flags: u8,
    /// The whole message without the padding behind it, to be reported.
    pub whole: &'a [u8],
    /// What follows the header.
    pub body: Reader<'a>,
}

impl<'a> Header<'a> {
    /// Reads the header of a whole SCTP user message or UDP datagram.
    ///
    /// # Errors
    /// It is cut short, or its length is not that of the octets, give or take the padding.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut reader = Reader::new(bytes);
        let (type_, flags) = (reader.u8()?, reader.u8()?);
        let stated = usize::from(reader.u16()?);
        if stated < HEADER || stated > bytes.len() || bytes.len() > stated.next_multiple_of(4) {
            return Err(Problem::Length { stated, available: bytes.len() });
        }
        Ok(Self { type_, flags, whole: &bytes[..stated], body: reader.sub(stated - HEADER)? })
    }
}

/// A cursor over received octets that cannot leave its bounds. Nested structures are read through a [`Reader::sub`],
/// which cannot leave *its* bounds either.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// A reader over all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, end: bytes.len() }
    }

    /// Octets left.
    pub fn left(&self) -> usize {
        self.end - self.at
    }

    /// Offset of the next octet from the beginning of the outermost buffer.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The next `count` octets.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        if count > self.left() {
            return Err(Problem::Truncated { at: self.at, wanted: count, left: self.left() });
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// All octets that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        let taken = &self.bytes[self.at..self.end];
        self.at = self.end;
        taken
    }

    /// A reader over the next `count` octets; this one goes on behind them.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn sub(&mut self, count: usize) -> Result<Self, Problem> {
        let start = self.at;
        self.bytes(count)?;
        Ok(Self { bytes: self.bytes, at: start, end: self.at })
    }

    /// The next `N` octets. Where several numbers lie together this is faster than one after the other.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        match self.bytes.get(self.at..self.end).and_then(<[u8]>::first_chunk) {
            Some(array) => {
                self.at += N;
                Ok(*array)
            }
            None => Err(Problem::Truncated { at: self.at, wanted: N, left: self.left() }),
        }
    }

    /// The next octet.
    ///
    /// # Errors
    /// None is left.
    pub fn u8(&mut self) -> Result<u8, Problem> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// The next 16-bit number.
    ///
    /// # Errors
    /// Fewer than 2 octets are left.
    pub fn u16(&mut self) -> Result<u16, Problem> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// The next 32-bit number.
    ///
    /// # Errors
    /// Fewer than 4 octets are left.
    pub fn u32(&mut self) -> Result<u32, Problem> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// The next signed 32-bit number.
    ///
    /// # Errors
    /// Fewer than 4 octets are left.
    pub fn i32(&mut self) -> Result<i32, Problem> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// The next parameter with the padding behind it, or `None` when fewer than 4 octets are left.
    ///
    /// # Errors
    /// The parameter's length is below 4 or reaches beyond this reader's end.
    #[inline]
    pub fn parameter(&mut self, context: &mut Context) -> Result<Option<Parameter<'a>>, Problem> {
        let (bytes, start) = (self.bytes, self.at);
        let here = &bytes[start..self.end];
        let &[high, low, length_high, length_low, ..] = here else {
            self.at = self.end;
            return Ok(None);
        };
        let type_ = ParameterType(u16::from_be_bytes([high, low]));
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let Some(whole) = here.get(..length).filter(|whole| whole.len() >= HEADER) else {
            return Err(Problem::Malformed { parameter: type_, at: start, length, left: here.len() });
        };
        let behind = here.len() - length;
        let pad = padding(length).min(behind);
        self.at = start + length + pad;
        if pad > 0 && pad == behind {
            context.padded_lengths = true;
        }
        Ok(Some(Parameter { type_, whole, value: Self { bytes, at: start + HEADER, end: start + length } }))
    }
}

/// Builds a message or parameter, with lengths and padding by the RFC.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// How many octets at the end are padding.
    tail: usize,
    overflow: bool,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        // Most that is written fits, and need not grow step by step.
        Self { bytes: Vec::with_capacity(256), ..Self::default() }
    }

    /// An empty writer that takes the place of what was in a buffer.
    pub fn reusing(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { bytes: buffer, ..Self::default() }
    }

    /// A whole message: header, then what `body` writes, padded to a multiple of 4.
    ///
    /// `None` when a length does not fit 16 bits.
    pub fn message(type_: u8, flags: u8, body: impl FnOnce(&mut Self)) -> Option<Vec<u8>> {
        let mut buffer = Self::new().bytes;
        Self::message_into(&mut buffer, type_, flags, body).then_some(buffer)
    }

    /// As [`Self::message`], in the place of what was in a buffer, which may be used again and again. `false` when a length
    /// does not fit 16 bits; then the buffer is empty.
    pub fn message_into(buffer: &mut Vec<u8>, type_: u8, flags: u8, body: impl FnOnce(&mut Self)) -> bool {
        let mut writer = Self::reusing(std::mem::take(buffer));
        writer.bytes(&[type_, flags, 0, 0]);
        body(&mut writer);
        writer.close(0, 0);
        if writer.overflow {
            writer.bytes.clear();
        }
        *buffer = writer.bytes;
        !writer.overflow
    }

    /// The octets so far; `None` when a length did not fit 16 bits.
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.overflow).then_some(self.bytes)
    }

    /// Appends octets.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if !bytes.is_empty() {
            self.tail = 0;
        }
    }

    /// Appends a 16-bit number.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a parameter whose value `body` writes.
    pub fn parameter(&mut self, type_: ParameterType, body: impl FnOnce(&mut Self)) {
        self.structure(type_.0, body);
    }

    /// As [`Self::parameter`], of a value that begins with a 32-bit number, which is written with the header.
    pub fn parameter_from(&mut self, type_: ParameterType, first: u32, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes(&(u64::from(type_.0) << 48 | u64::from(first)).to_be_bytes());
        body(self);
        self.close(start, start);
    }

    /// Appends a parameter whose value is one 32-bit number or address. That it is written at once makes it several times
    /// as fast as by its parts.
    pub fn word(&mut self, type_: ParameterType, value: u32) {
        const LENGTH: u64 = 8;
        self.bytes(&(u64::from(type_.0) << 48 | LENGTH << 32 | u64::from(value)).to_be_bytes());
    }

    /// Appends anything that begins with a 16-bit code and a 16-bit length: parameters and error causes.
    pub fn structure(&mut self, code: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        let [high, low] = code.to_be_bytes();
        self.bytes(&[high, low, 0, 0]);
        body(self);
        self.close(start, start);
    }

    /// Writes what `body` writes only if the whole stays within `limit` octets (at most [`MAX_LENGTH`]); says whether
    /// it did.
    pub fn attempt(&mut self, limit: usize, body: impl FnOnce(&mut Self)) -> bool {
        let (length, tail, overflow) = (self.bytes.len(), self.tail, self.overflow);
        body(self);
        if self.bytes.len() - self.tail <= limit.min(MAX_LENGTH) && self.overflow == overflow {
            return true;
        }
        self.bytes.truncate(length);
        (self.tail, self.overflow) = (tail, overflow);
        false
    }

    /// Writes items as long as the whole stays within [`MAX_LENGTH`]; what does not fit is left out from the end.
    pub fn list<T>(&mut self, items: impl IntoIterator<Item = T>, emit: impl Fn(T, &mut Self)) {
        for item in items {
            if !self.attempt(MAX_LENGTH, |w| emit(item, w)) {
                return;
            }
        }
    }

    /// Fills in the length of the structure that began at `start` and pads.
    fn close(&mut self, start: usize, aligned: usize) {
        let length = self.bytes.len() - self.tail - start;
        match u16::try_from(length) {
            Ok(length) => self.bytes[start + 2..start + 4].copy_from_slice(&length.to_be_bytes()),
            Err(_) => self.overflow = true,
        }
        let pad = padding(self.bytes.len() - aligned);
        if pad > 0 {
            self.bytes.resize(self.bytes.len() + pad, 0);
            self.tail += pad;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(bytes: &[u8]) -> (Vec<(u16, Vec<u8>)>, Context) {
        let (mut reader, mut context) = (Reader::new(bytes), Context::default());
        let mut all = Vec::new();
        while let Some(mut parameter) = reader.parameter(&mut context).unwrap() {
            all.push((parameter.type_.0, parameter.value.rest().to_vec()));
        }
        (all, context)
    }

    #[test]
    fn an_inner_length_counts_the_padding_between_but_not_behind() {
        let mut writer = Writer::new();
        writer.parameter(ParameterType(0x0c), |w| {
            w.parameter(ParameterType(1), |w| w.bytes(b"abc"));
            w.parameter(ParameterType(2), |w| w.bytes(b"d"));
        });
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes, b"\x00\x0c\x00\x11\x00\x01\x00\x07abc\x00\x00\x02\x00\x05d\x00\x00\x00");
    }

    #[test]
    fn a_last_padding_may_be_missing_or_present() {
        let (all, context) = parameters(b"\x00\x01\x00\x05a");
        assert_eq!(all, [(1, b"a".to_vec())]);
        assert!(!context.padded_lengths);
        let (all, context) = parameters(b"\x00\x01\x00\x05a\x00\x00\x00");
        assert_eq!(all, [(1, b"a".to_vec())]);
        assert!(context.padded_lengths);
    }

    #[test]
    fn padding_octets_are_ignored_whatever_they_hold() {
        let (all, _) = parameters(b"\x00\x01\x00\x05aXYZ\x00\x02\x00\x04");
        assert_eq!(all, [(1, b"a".to_vec()), (2, Vec::new())]);
    }

    #[test]
    fn a_length_beyond_the_enclosing_structure_is_malformed() {
        let mut outer = Reader::new(b"\x00\x01\x00\x08abcdefgh");
        let mut inner = outer.sub(6).unwrap();
        assert!(matches!(
            inner.parameter(&mut Context::default()),
            Err(Problem::Malformed { length: 8, left: 6, .. })
        ));
        assert_eq!(outer.rest(), b"cdefgh");
    }

    #[test]
    fn a_length_below_the_header_is_malformed() {
        let mut reader = Reader::new(b"\x00\x01\x00\x03abcd");
        assert!(matches!(
            reader.parameter(&mut Context::default()),
            Err(Problem::Malformed { length: 3, .. })
        ));
    }

    #[test]
    fn what_does_not_fit_is_rolled_back() {
        let mut writer = Writer::new();
        writer.parameter(ParameterType(1), |w| w.bytes(b"abc"));
        assert!(!writer.attempt(12, |w| w.parameter(ParameterType(2), |w| w.bytes(b"abc"))));
        assert!(!writer.attempt(MAX_LENGTH, |w| w.parameter(ParameterType(2), |w| w.bytes(&[0; 65_532]))));
        assert!(writer.attempt(15, |w| w.parameter(ParameterType(2), |w| w.bytes(b"abc"))));
        assert_eq!(writer.finish().unwrap().len(), 16);
    }

    #[test]
    fn an_overlong_value_is_not_written_with_a_wrong_length() {
        assert_eq!(Writer::message(1, 0, |w| w.bytes(&[0; 65_532])), None);
    }
}
