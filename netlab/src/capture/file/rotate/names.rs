//! The names of the files of a series.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

use jiff::{
    Timestamp, Zoned,
    fmt::strtime::{BrokenDownTime, Config, PosixCustom},
    tz::TimeZone,
};

use super::Rotation;

/// What the file is called that is the `number`th of the period that began at `began`, in
/// seconds since 1970.
///
/// The number follows the name, wide enough for the last of `count`. The first file has none
/// where a width is not asked for, so none but a `size` ever gives one.
pub(super) fn name(rotation: &Rotation, began: u64, number: u32) -> PathBuf {
    let template = rotation.path.as_os_str().as_bytes();
    let mut name = match rotation.every {
        Some(_) => format_time(template, began, &rotation.zone),
        None => template.to_vec(),
    };
    let width = match (rotation.size, rotation.count) {
        (Some(_), Some(count)) => digits(count.get() - 1),
        _ => 0,
    };
    if number > 0 || width > 0 {
        name.extend(format!("{number:0width$}").into_bytes());
    }
    OsString::from_vec(name).into()
}

/// Of a decimal number; none for 0.
fn digits(number: u32) -> usize {
    number.checked_ilog10().map_or(0, |log| log as usize + 1)
}

/// What glibc's strftime makes of `template`: with the names of the POSIX locale, as tcpdump
/// has it, and with directives that it does not know left as they are. Widths hold for numbers
/// only, which is where jiff has them.
fn format_time(template: &[u8], time: u64, zone: &TimeZone) -> Vec<u8> {
    let seconds = i64::try_from(time).ok();
    let Some(timestamp) = seconds.and_then(|time| Timestamp::from_second(time).ok()) else {
        return template.to_vec();
    };
    let time = BrokenDownTime::from(&Zoned::new(timestamp, zone.clone()));
    let config = Config::new().custom(PosixCustom::new());
    let mut name = Vec::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some(begin) = rest.iter().position(|byte| *byte == b'%') {
        name.extend(&rest[..begin]);
        rest = &rest[begin..];
        let directive = Directive::at_start_of(rest);
        let made =
            directive.meaning.and_then(|format| time.to_string_with_config(&config, format).ok());
        match made {
            Some(made) => name.extend(made.into_bytes()),
            None => name.extend(&rest[..directive.length]),
        }
        rest = &rest[directive.length..];
    }
    name.extend(rest);
    name
}

/// One directive of a format.
struct Directive {
    /// In bytes, the percent sign included.
    length: usize,
    /// The same for jiff; None where glibc has no such directive.
    meaning: Option<String>,
}

/// The conversions of glibc's strftime(3). jiff has more, and gives `%N`, `%f`, `%q`, `%Q`
/// and `%.` meanings of its own.
const CONVERSIONS: &[u8] = b"aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%";

impl Directive {
    /// `text` begins with a percent sign.
    fn at_start_of(text: &[u8]) -> Self {
        let count = |from: usize, of: &[u8]| {
            text.iter().skip(from).take_while(|byte| of.contains(byte)).count()
        };
        let flags = 1 + count(1, b"_-0^#");
        let width = flags + count(flags, b"0123456789");
        // E and O ask for a locale's other forms, and the POSIX locale has none.
        let modifier = width + count(width, b"EO").min(1);
        let Some(conversion) = text.get(modifier).filter(|byte| CONVERSIONS.contains(byte)) else {
            return Self { length: modifier.min(text.len()), meaning: None };
        };
        let meaning = std::str::from_utf8(&text[..width]).ok().map(|start| {
            // Where a width is given, glibc takes `-` for spaces.
            let start = if width > flags { start.replace('-', "_") } else { start.to_owned() };
            start + char::from(*conversion).encode_utf8(&mut [0; 4])
        });
        Self { length: modifier + 1, meaning }
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};

    use super::*;

    /// 2023-11-14 22:13:20 UTC, a Tuesday.
    const TIME: u64 = 1_700_000_000;

    fn formatted(template: &[u8]) -> String {
        let name = format_time(template, TIME, &TimeZone::UTC);
        String::from_utf8_lossy(&name).into_owned()
    }

    #[test]
    fn numbers_are_as_wide_as_the_last_of_them() {
        let name = |count, number| {
            let rotation = Rotation {
                size: NonZeroU64::new(1),
                count: NonZeroU32::new(count),
                ..Rotation::none("f%d".into())
            };
            name(&rotation, TIME, number).display().to_string()
        };
        assert_eq!((name(0, 0), name(0, 12)), ("f%d".into(), "f%d12".into()));
        assert_eq!((name(1, 0), name(2, 0)), ("f%d".into(), "f%d0".into()));
        assert_eq!((name(10, 9), name(11, 9)), ("f%d9".into(), "f%d09".into()));
        assert_eq!((name(100, 7), name(101, 7)), ("f%d07".into(), "f%d007".into()));
    }

    #[test]
    fn a_count_of_files_in_time_does_not_number_them() {
        let rotation = Rotation {
            every: NonZeroU64::new(60),
            count: NonZeroU32::new(10),
            ..Rotation::none("f-%H.pcap".into())
        };
        assert_eq!(name(&rotation, TIME, 0), PathBuf::from("f-22.pcap"));
    }

    #[test]
    fn names_tell_the_time_as_strftime_does() {
        assert_eq!(formatted(b"%F_%T.pcap"), "2023-11-14_22:13:20.pcap");
        assert_eq!(
            formatted(b"%c|%x|%X|%r"),
            "Tue Nov 14 22:13:20 2023|11/14/23|22:13:20|10:13:20 PM"
        );
        assert_eq!(formatted(b"%s%%%-d%_d%Ey%Od"), "1700000000%14142314");
    }

    #[test]
    fn what_strftime_does_not_know_stays() {
        for unknown in ["%N", "%f", "%Q", "%q", "%.3f", "%E", "%", "50%", "%5", "%:z", "%!"] {
            assert_eq!(formatted(unknown.as_bytes()), unknown);
        }
    }

    #[test]
    fn names_need_not_be_text() {
        let name = format_time(b"\xff%Y\xfe", TIME, &TimeZone::UTC);
        assert_eq!(name, b"\xff2023\xfe");
    }

    #[test]
    fn names_tell_the_time_of_their_zone() {
        let zone = TimeZone::posix("XYZ-5:30").unwrap();
        assert_eq!(format_time(b"%H%M%z%Z", TIME, &zone), b"0343+0530XYZ");
    }
}
