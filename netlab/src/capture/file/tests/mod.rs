//! What is read back, from files of every kind and from what the writer made.

mod damage;
mod encode;
mod formats;
mod round_trip;
mod seeds;

use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex};

use super::{Direction, Error, Reader};
use crate::capture::{LinkType, Packet};

/// A record, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    time: u64,
    link: LinkType,
    wire_len: u32,
    bytes: Vec<u8>,
    interface: usize,
    direction: Direction,
    comments: Vec<String>,
}

impl Seen {
    fn new(time: u64, bytes: &[u8]) -> Self {
        Self {
            time,
            link: LinkType::ETHERNET,
            wire_len: u32::try_from(bytes.len()).unwrap(),
            bytes: bytes.to_vec(),
            interface: 0,
            direction: Direction::Unknown,
            comments: Vec::new(),
        }
    }

    fn packet(&self) -> Packet<'_> {
        let Self { time, link, wire_len, ref bytes, .. } = *self;
        Packet { time, link, wire_len, bytes }
    }
}

/// Everything a file contains, and what ended it.
pub(super) fn read(bytes: &[u8]) -> (Vec<Seen>, Option<Error>) {
    match Reader::new(Cursor::new(bytes.to_vec()), "x.pcap".to_owned()) {
        Ok(mut reader) => read_on(&mut reader),
        Err(error) => (Vec::new(), Some(error)),
    }
}

pub(super) fn read_on(reader: &mut Reader) -> (Vec<Seen>, Option<Error>) {
    let mut seen = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(record)) => seen.push(Seen {
                time: record.packet.time,
                link: record.packet.link,
                wire_len: record.packet.wire_len,
                bytes: record.packet.bytes.to_vec(),
                interface: record.interface,
                direction: record.note.direction,
                comments: record.note.comments.iter().map(Into::into).collect(),
            }),
            Ok(None) => return (seen, None),
            Err(error) => {
                assert!(matches!(reader.next(), Ok(None)), "an error is the last");
                return (seen, Some(error));
            }
        }
    }
}

/// A sink whose content can be looked at later.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
