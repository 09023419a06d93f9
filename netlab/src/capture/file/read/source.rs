//! A window on the bytes of a file or stream, and where they lie in it.

use std::io::{ErrorKind, Read};

use super::super::Error;

/// What is read at once, in bytes; the window grows only for blocks that are longer, and
/// only as their bytes arrive.
const WINDOW: usize = 256 << 10;

/// Law: `start <= end <= buffer.len()`.
pub(super) struct Source {
    reader: Box<dyn Read + Send>,
    name: String,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where in the file `start` is.
    offset: u64,
}

impl Source {
    pub(super) fn new(reader: impl Read + Send + 'static, name: String) -> Self {
        let buffer = vec![0; WINDOW];
        Self { reader: Box::new(reader), name, buffer, start: 0, end: 0, offset: 0 }
    }

    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// Where in the file the window begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What is in the window.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    /// Reads until at least `wanted` bytes are in the window, or the file ends. Says how many
    /// there are.
    pub(super) fn fill(&mut self, wanted: usize) -> Result<usize, Error> {
        while self.end - self.start < wanted {
            self.make_room(wanted);
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                // A reader that claims more than it was lent breaks its contract.
                Ok(count) => self.end = (self.end + count).min(self.buffer.len()),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => {
                    let offset = self.offset + (self.end - self.start) as u64;
                    return Err(Error::Read { file: self.name(), offset, cause });
                }
            }
        }
        Ok(self.end - self.start)
    }

    /// As [`Source::fill`], and an error where the file ends before `wanted` bytes of `what`.
    pub(super) fn need(&mut self, wanted: usize, what: &'static str) -> Result<(), Error> {
        let got = self.fill(wanted)?;
        if got >= wanted { Ok(()) } else { Err(self.truncated(what, wanted as u64, got as u64)) }
    }

    /// Moves the window on by what [`Source::fill`] has brought into it.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Moves the window on by any number of bytes, without keeping them. Says how many there
    /// were before the file ended.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64, Error> {
        let mut left = count;
        while left > 0 && self.fill(1)? > 0 {
            let step = (self.end - self.start).min(usize::try_from(left).unwrap_or(usize::MAX));
            self.consume(step);
            left -= step as u64;
        }
        Ok(count - left)
    }

    /// `what` begins where the window does, and the file ends in it.
    pub(super) fn truncated(&self, what: &'static str, wanted: u64, got: u64) -> Error {
        Error::Truncated { file: self.name(), offset: self.offset, what, wanted, got }
    }

    /// Makes room for at least one more byte of `wanted`.
    fn make_room(&mut self, wanted: usize) {
        if self.start > 0 && self.start + wanted > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let length = self.buffer.len().saturating_mul(2);
            self.buffer.resize(length, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte at a time, as from a slow pipe, and now and then nothing yet.
    struct Drip(u8);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 = self.0.wrapping_add(1);
            if self.0.is_multiple_of(3) {
                return Err(ErrorKind::Interrupted.into());
            }
            buffer[0] = self.0;
            Ok(1)
        }
    }

    #[test]
    fn the_window_grows_only_with_what_arrives() {
        let mut source = Source::new(std::io::repeat(7).take(300 << 10), "x".into());
        assert_eq!(source.fill(1 << 30).ok(), Some(300 << 10));
        assert_eq!(source.memory(), 2 * WINDOW);
    }

    #[test]
    fn skipping_keeps_nothing_and_counts_what_there_was() {
        let mut source = Source::new(std::io::repeat(7).take(1 << 20), "x".into());
        assert_eq!(source.skip(1000).ok(), Some(1000));
        assert_eq!(source.offset(), 1000);
        assert_eq!(source.skip(u64::MAX).ok(), Some((1 << 20) - 1000));
        assert_eq!(source.memory(), WINDOW);
    }

    #[test]
    fn a_slow_reader_is_waited_for() {
        let mut source = Source::new(Drip(0), "x".into());
        assert_eq!(source.fill(4).ok(), Some(4));
        assert_eq!(source.bytes(), [1, 2, 4, 5]);
        source.consume(3);
        assert_eq!((source.offset(), source.bytes()), (3, &[5][..]));
    }
}
