//! Files that were cut or bent: what is intact before comes out, then one error.

use std::{env, fs, io::Cursor, path::Path};

use proptest::prelude::*;

use super::{
    super::{Error, Reader},
    read, read_on,
    seeds::{Seed, seeds},
};

/// Set to 1, it writes the seeds of the fuzzer anew instead of comparing them.
const WRITE: &str = "NETLAB_WRITE_CORPUS";

/// Most memory for the smallest file, in bytes.
const LEAST_MEMORY: usize = 300 << 10;

/// The seeds of the fuzzer, in the repository.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/read_capture");

/// Reads to the end, and holds that it takes no memory for what a file merely claims.
fn read_all(bytes: &[u8]) -> Option<Error> {
    let mut reader = match Reader::new(Cursor::new(bytes.to_vec()), "x".to_owned()) {
        Ok(reader) => reader,
        Err(error) => return Some(error),
    };
    let (seen, error) = read_on(&mut reader);
    assert!(seen.len() <= bytes.len() / 16);
    // A window twice as large as a block; and names that the file contains.
    let memory = LEAST_MEMORY + 20 * bytes.len();
    assert!(reader.memory() <= memory, "{} bytes for {}", reader.memory(), bytes.len());
    error
}

#[test]
fn a_file_that_was_cut_gives_every_packet_before_the_cut() {
    for Seed { name, bytes, ends, packets } in seeds() {
        let (whole, error) = read(&bytes);
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(whole.len(), packets.len(), "{name}");
        for cut in 0..bytes.len() {
            let (seen, error) = read(&bytes[..cut]);
            let complete = packets.iter().filter(|end| **end <= cut).count();
            assert_eq!(seen, whole[..complete], "{name} cut at byte {cut}");
            let last = ends.iter().rev().find(|end| **end <= cut).copied().unwrap_or(0);
            match error {
                None => assert!(last == cut && cut > 0, "{name} cut at byte {cut}"),
                Some(Error::Truncated { offset, wanted, got, .. }) => {
                    assert_eq!((offset, offset + got), (last as u64, cut as u64), "{name}");
                    assert!(wanted > got, "{name} cut at byte {cut}");
                }
                Some(other) => panic!("{name} cut at byte {cut}: {other}"),
            }
        }
    }
}

#[test]
fn the_seeds_of_the_fuzzer_are_those_of_the_tests() {
    let write = env::var(WRITE).is_ok_and(|value| value == "1");
    for seed in seeds() {
        let path = Path::new(CORPUS).join(seed.name);
        if write {
            fs::create_dir_all(CORPUS).unwrap();
            fs::write(&path, &seed.bytes).unwrap();
        }
        let kept = fs::read(&path).unwrap_or_default();
        assert!(kept == seed.bytes, "{} has changed: run this with {WRITE}=1", path.display());
    }
}

#[test]
fn everything_that_fuzzing_begins_with_is_read_to_its_end() {
    for entry in fs::read_dir(CORPUS).unwrap() {
        read_all(&fs::read(entry.unwrap().path()).unwrap());
    }
}

#[test]
fn a_length_that_is_merely_claimed_takes_no_memory() {
    for seed in seeds() {
        for at in 0..seed.bytes.len().saturating_sub(4) {
            for claim in [u32::MAX, 0x7fff_fffc, 16 << 20, 0] {
                for claim in [claim.to_le_bytes(), claim.to_be_bytes()] {
                    let mut bytes = seed.bytes.clone();
                    bytes[at..at + 4].copy_from_slice(&claim);
                    read_all(&bytes);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_makes_the_reader_panic_or_go_on_forever(
        seed in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let mut bytes = seed.get(&seeds()).bytes.clone();
        for (at, byte) in edits {
            *at.get_mut(&mut bytes) = byte;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_all(&bytes);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        begin in prop::sample::select(vec![
            b"\xd4\xc3\xb2\xa1\x02\0\x04\0".to_vec(),
            b"\xa1\xb2\x3c\x4d\0\x02\0\x04".to_vec(),
            b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a".to_vec(),
            Vec::new(),
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        read_all(&[begin, rest].concat());
    }
}
