//! The words of a DNS line: operations, response codes, types, classes, periods.
//!
//! Names and spaces are tcpdump's, its slips included (`Resp17` has no space before it).

use super::super::line::Line;

/// The operation of a message with these `flags`.
pub(super) fn opcode(flags: u16) -> &'static str {
    const OPERATIONS: [&str; 16] = [
        "",
        " inv_q",
        " stat",
        " op3",
        " notify",
        " update",
        " op6",
        " op7",
        " op8",
        " updateA",
        " updateD",
        " updateDA",
        " updateM",
        " updateMA",
        " zoneInit",
        " zoneRef",
    ];
    OPERATIONS[usize::from((flags >> 11) & 0xf)]
}

/// Prints a response code.
pub(super) fn rcode(line: &mut Line<'_>, code: u16) {
    const CODES: [&str; 24] = [
        "",
        " FormErr",
        " ServFail",
        " NXDomain",
        " NotImp",
        " Refused",
        " YXDomain",
        " YXRRSet",
        " NXRRSet",
        " NotAuth",
        " NotZone",
        " Resp11",
        " Resp12",
        " Resp13",
        " Resp14",
        " NoChange",
        " BadVers",
        "Resp17",
        " Resp18",
        " Resp19",
        " Resp20",
        "Resp21",
        " Resp22",
        " BadCookie",
    ];
    match CODES.get(usize::from(code)) {
        Some(name) => line.text(name),
        None => line.push(format_args!(" Resp{code}")),
    }
}

/// Prints a record type.
pub(super) fn kind(line: &mut Line<'_>, kind: u16) {
    match TYPES.binary_search_by_key(&kind, |(number, _)| *number) {
        Ok(at) => line.push(format_args!(" {}", TYPES[at].1)),
        Err(_) => line.push(format_args!(" Type{kind}")),
    }
}

/// Prints a class, unless it is the Internet's.
pub(super) fn class(line: &mut Line<'_>, class: u16) {
    match class {
        1 => {}
        3 => line.text(" CHAOS"),
        4 => line.text(" HS"),
        255 => line.text(" ANY"),
        _ => line.push(format_args!(" (Class {class})")),
    }
}

/// Prints a number of seconds as `1d2h3m4s`.
pub(super) fn period(line: &mut Line<'_>, mut seconds: u32) {
    if seconds == 0 {
        line.text("0s");
    }
    for (unit, name) in
        [(31_536_000, "y"), (604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")]
    {
        if seconds >= unit {
            line.push(format_args!("{}{name}", seconds / unit));
            seconds %= unit;
        }
    }
}

pub(super) const A: u16 = 1;
pub(super) const NS: u16 = 2;
pub(super) const CNAME: u16 = 5;
pub(super) const SOA: u16 = 6;
pub(super) const PTR: u16 = 12;
pub(super) const MX: u16 = 15;
pub(super) const TXT: u16 = 16;
pub(super) const AAAA: u16 = 28;
pub(super) const SRV: u16 = 33;
pub(super) const A6: u16 = 38;
pub(super) const DNAME: u16 = 39;
pub(super) const OPT: u16 = 41;
pub(super) const UNSPECA: u16 = 104;
pub(super) const TSIG: u16 = 250;
pub(super) const URI: u16 = 256;

/// Record types by number (IANA, "Resource Record (RR) TYPEs").
#[rustfmt::skip]
const TYPES: [(u16, &str); 62] = [
    (A, "A"), (NS, "NS"), (3, "MD"), (4, "MF"), (CNAME, "CNAME"), (SOA, "SOA"), (7, "MB"),
    (8, "MG"), (9, "MR"), (10, "NULL"), (11, "WKS"), (PTR, "PTR"), (13, "HINFO"),
    (14, "MINFO"), (MX, "MX"), (TXT, "TXT"), (17, "RP"), (18, "AFSDB"), (19, "X25"),
    (20, "ISDN"), (21, "RT"), (22, "NSAP"), (23, "NSAP_PTR"), (24, "SIG"), (25, "KEY"),
    (26, "PX"), (27, "GPOS"), (AAAA, "AAAA"), (29, "LOC"), (30, "NXT"), (31, "EID"),
    (32, "NIMLOC"), (SRV, "SRV"), (34, "ATMA"), (35, "NAPTR"), (36, "KX"), (37, "CERT"),
    (A6, "A6"), (DNAME, "DNAME"), (40, "SINK"), (OPT, "OPT"), (42, "APL"), (43, "DS"),
    (44, "SSHFP"), (45, "IPSECKEY"), (46, "RRSIG"), (47, "NSEC"), (48, "DNSKEY"), (99, "SPF"),
    (100, "UINFO"), (101, "UID"), (102, "GID"), (103, "UNSPEC"), (UNSPECA, "UNSPECA"),
    (249, "TKEY"), (TSIG, "TSIG"), (251, "IXFR"), (252, "AXFR"), (253, "MAILB"),
    (254, "MAILA"), (255, "ANY"), (URI, "URI"),
];
