//! Series of files beside tcpdump's: the same packets, the same options, the same files.

use std::{
    collections::BTreeMap,
    fs,
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::tz::TimeZone;
use netlab::capture::file::{Format, MAX_SNAPLEN, Precision, Progress, Reader, Rotating, Rotation};

use crate::tools::{installed, packets, write};

const FORMAT: Format = Format::Pcap(Precision::Micro);
/// Half past the hour, so that no zone of a machine is it by chance.
const ZONE: &str = "XYZ-5:30";

/// `-C`, `-W` and `-G` of one run, and `-w`.
type Options<'a> = (Option<u64>, Option<u32>, Option<u64>, &'a str);

#[test]
fn files_are_called_and_cut_as_tcpdumps() {
    if !installed(&["tcpdump"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("in");
    write(&source, FORMAT, &packets(5000));
    let all: [Options<'_>; 11] = [
        (None, None, None, "f"),
        (None, Some(3), None, "f-%Y"),
        (Some(1), None, None, "f.pcap"),
        (Some(2), None, None, "f-%Y"),
        (Some(1), Some(1), None, "f"),
        (Some(1), Some(2), None, "f"),
        (Some(1), Some(10), None, "f"),
        (Some(1), Some(11), None, "f"),
        (Some(1), None, Some(9999), "f-%Y%m%d"),
        (Some(1), Some(2), Some(9999), "f-%Y%m%d"),
        (None, Some(2), Some(9999), "f-%j"),
    ];
    for options in all {
        compare(&source, options);
    }
}

/// `%D` and `%x` have slashes, so no file can be called so.
#[test]
fn names_tell_the_time_as_tcpdumps() {
    if !installed(&["tcpdump"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("in");
    write(&source, FORMAT, &packets(1));
    for name in [
        "%a.%A.%b.%B.%c.%C.%d.%e.%F.%g.%G.%h.%H.%I.%j.%k.%l",
        "%m.%M.%n.%p.%P.%r.%R.%s.%S.%t.%T.%u.%U.%V.%w.%W.%X.%y.%Y.%z.%Z.%%",
        "%f.%i.%J.%K.%L.%N.%o.%q.%Q.%v.%1.%:z.%.3f.%!.%",
        "%-d.%_d.%0e.%^a.%#Z.%5d.%_5H.%-5M.%EY.%Od.%Ey.%OS.%Ec",
        "%_8Y.%010Y.%+5Y.%-10Y.%_3e.%^a.%^B",
        "%E.%O.%_.x",
    ] {
        compare(&source, (None, None, Some(9999), name));
    }
}

/// Has tcpdump and us write the packets of `source`, until both did so in the same second.
fn compare(source: &Path, options: Options<'_>) {
    loop {
        let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let begin = now();
        run_tcpdump(source, theirs.path(), options);
        rotate(source, ours.path(), options, begin);
        if now() == begin {
            let (theirs, ours) = (files(theirs.path()), files(ours.path()));
            let names = |files: &BTreeMap<_, _>| Vec::from_iter(files.keys().cloned());
            assert_eq!(names(&ours), names(&theirs), "{options:?}");
            assert!(ours == theirs, "{options:?}: the names are the same, the contents are not");
            return;
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn run_tcpdump(source: &Path, directory: &Path, (size, count, every, name): Options<'_>) {
    let mut command = Command::new("tcpdump");
    command.args(["-Z", "root", "-w", name, "-r"]).arg(source).current_dir(directory);
    for (option, value) in [("-C", size), ("-W", count.map(u64::from)), ("-G", every)] {
        if let Some(value) = value {
            command.args([option, &value.to_string()]);
        }
    }
    let output = command.env("TZ", ZONE).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn rotate(source: &Path, directory: &Path, (size, count, every, name): Options<'_>, now: u64) {
    let rotation = Rotation {
        size: size.and_then(|size| NonZeroU64::new(size * Rotation::MILLION)),
        every: every.and_then(NonZeroU64::new),
        count: count.and_then(NonZeroU32::new),
        zone: TimeZone::posix(ZONE).unwrap(),
        ..Rotation::none(directory.join(name))
    };
    let mut reader = Reader::open(source).unwrap();
    let link = reader.link().unwrap();
    let mut rotating = Rotating::create(rotation, FORMAT, link, MAX_SNAPLEN, now).unwrap();
    while let Some(record) = reader.next().unwrap() {
        let progress = rotating.packet(now, record.interface, &record.packet, &record.note);
        assert_eq!(progress.unwrap(), Progress::Written);
    }
    rotating.finish().unwrap();
}

fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap()));
    files.collect()
}
