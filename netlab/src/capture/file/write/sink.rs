//! Where a file's bytes go, and how many there were.

use std::io::{self, BufWriter, Write};

use super::Error;

/// What is written at once, in bytes.
const BUFFER: usize = 256 << 10;

pub(super) struct Sink {
    output: BufWriter<Box<dyn Write + Send>>,
    name: String,
    position: u64,
}

impl Sink {
    pub(super) fn new(output: impl Write + Send + 'static, name: String) -> Self {
        let output: Box<dyn Write + Send> = Box::new(output);
        Self { output: BufWriter::with_capacity(BUFFER, output), name, position: 0 }
    }

    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.output.write_all(bytes).map_err(|cause| self.failed(cause))?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.output.flush().map_err(|cause| self.failed(cause))
    }

    fn failed(&self, cause: io::Error) -> Error {
        Error::Write { file: self.name(), offset: self.position, cause }
    }
}
