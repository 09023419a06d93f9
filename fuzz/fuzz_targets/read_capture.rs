//! Whatever a capture file contains, it is read to its end, and only once.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use netlab::capture::file::Reader;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Reader::new(Cursor::new(bytes.to_vec()), "input".to_owned()) else {
        return;
    };
    let mut total = 0;
    while let Ok(Some(record)) = reader.next() {
        assert!(record.packet.bytes.len() <= record.packet.wire_len as usize);
        total += record.packet.bytes.len();
        for comment in record.note.comments.iter() {
            std::hint::black_box(comment);
        }
        let interface = record.interface;
        assert!(interface < reader.interfaces().len());
    }
    assert!(total <= bytes.len());
    assert!(matches!(reader.next(), Ok(None)));
});
