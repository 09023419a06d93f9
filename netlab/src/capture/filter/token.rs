//! The words of an expression, cut where libpcap's scanner (scanner.l) cuts them.

use std::{net::Ipv6Addr, ops::Range};

/// What a token does in an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    And,
    Or,
    Not,
    Open,
    Close,
    /// `[`, `]` and `:`.
    Index,
    /// Arithmetic: `+ - * / % & | ^ << >>`.
    Arithmetic,
    /// A comparison: `< > = == != <= >=`.
    Comparison,
    /// A word of the language, as opposed to a name that a person gave something.
    Keyword,
    /// A name, a number or an address.
    Word,
    /// What no expression has.
    Bad,
}

/// A token: its kind and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    /// Bytes of the expression.
    pub range: Range<usize>,
}

impl Token {
    /// How it is written.
    pub fn text<'a>(&self, expression: &'a str) -> &'a str {
        &expression[self.range.clone()]
    }
}

/// Keywords of scanner.l that name a protocol: they qualify what follows.
pub const PROTOCOLS: &[&str] = &[
    "link", "ether", "ppp", "slip", "fddi", "tr", "wlan", "arp", "rarp", "ip", "sctp", "tcp",
    "udp", "icmp", "igmp", "igrp", "pim", "vrrp", "carp", "radio", "ip6", "icmp6", "ah", "esp",
    "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "iso", "esis", "es-is", "isis",
    "is-is", "l1", "l2", "iih", "lsp", "snp", "csnp", "psnp", "clnp", "stp", "ipx", "netbeui",
];

/// Keywords that say in which direction.
pub const DIRECTIONS: &[&str] = &[
    "src", "dst", "address1", "addr1", "address2", "addr2", "address3", "addr3", "address4",
    "addr4", "ra", "ta",
];

/// Keywords that say what kind of thing the name behind them is.
pub const KINDS: &[&str] = &["host", "net", "port", "portrange", "proto", "protochain", "gateway"];

/// The other keywords.
const OTHERS: &[&str] = &[
    "mask",
    "type",
    "subtype",
    "direction",
    "dir",
    "less",
    "greater",
    "byte",
    "broadcast",
    "multicast",
    "len",
    "length",
    "inbound",
    "outbound",
    "ifindex",
    "vlan",
    "mpls",
    "pppoed",
    "pppoes",
    "geneve",
    "vxlan",
    "lane",
    "llc",
    "metac",
    "bcc",
    "oam",
    "oamf4",
    "oamf4ec",
    "oamf4sc",
    "sc",
    "ilmic",
    "vpi",
    "vci",
    "connectmsg",
    "metaconnect",
    "on",
    "ifname",
    "rset",
    "ruleset",
    "rnr",
    "rulenum",
    "srnr",
    "subrulenum",
    "reason",
    "action",
    "fisu",
    "lssu",
    "lsu",
    "msu",
    "hfisu",
    "hlssu",
    "hmsu",
    "sio",
    "opc",
    "dpc",
    "sls",
    "hsio",
    "hopc",
    "hdpc",
    "hsls",
];

/// Cuts an expression into tokens.
pub fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = expression[at..].chars().next() {
        if matches!(first, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            continue;
        }
        let (kind, len) = token(&expression[at..], first);
        tokens.push(Token { kind, range: at..at + len });
        at += len;
    }
    tokens
}

/// Kind and length of the token at the start of a text.
fn token(text: &str, first: char) -> (Kind, usize) {
    let address = address(text);
    if first.is_ascii_alphanumeric() || address > 0 {
        let name = name(text);
        let kind = if address <= name { word(&text[..name]) } else { Kind::Word };
        return (kind, name.max(address));
    }
    if first == '\\' {
        let len = text.find([' ', '!', '(', ')', '\n', '\t']).unwrap_or(text.len());
        return (if len > 1 { Kind::Word } else { Kind::Bad }, len);
    }
    if first == '$' {
        let digits = text[1..].bytes().take(2).take_while(u8::is_ascii_hexdigit).count();
        return (if digits > 0 { Kind::Word } else { Kind::Bad }, 1 + digits);
    }
    match text.get(..2) {
        Some("&&") => return (Kind::And, 2),
        Some("||") => return (Kind::Or, 2),
        Some(">=" | "<=" | "!=" | "==") => return (Kind::Comparison, 2),
        Some("<<" | ">>") => return (Kind::Arithmetic, 2),
        _ => {}
    }
    let kind = match first {
        '!' => Kind::Not,
        '(' => Kind::Open,
        ')' => Kind::Close,
        '[' | ']' | ':' => Kind::Index,
        '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' => Kind::Arithmetic,
        '<' | '>' | '=' => Kind::Comparison,
        _ => Kind::Bad,
    };
    (kind, first.len_utf8())
}

fn word(text: &str) -> Kind {
    match text {
        "and" => Kind::And,
        "or" => Kind::Or,
        "not" => Kind::Not,
        _ if [PROTOCOLS, DIRECTIONS, KINDS, OTHERS].iter().any(|list| list.contains(&text)) => {
            Kind::Keyword
        }
        _ => Kind::Word,
    }
}

/// Length of the name or number at the start of a text, which has hyphens and underscores
/// inside, but not at its end.
fn name(text: &str) -> usize {
    let inside = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let len = text.bytes().take_while(inside).count();
    text[..len].trim_end_matches(['-', '_']).len()
}

/// Length of the IPv6 or Ethernet address with colons at the start of a text; or of what is
/// one for libpcap's scanner, though a bad one; or 0.
fn address(text: &str) -> usize {
    let inside = |c: &u8| c.is_ascii_hexdigit() || matches!(c, b':' | b'.');
    let len = text.bytes().take_while(inside).count();
    let is_address = |text: &str| {
        text.contains(':')
            && (text.parse::<Ipv6Addr>().is_ok() || is_ethernet(text) || is_bogus_ethernet(text))
    };
    (2..=len).rev().find(|len| is_address(&text[..*len])).unwrap_or(0)
}

fn is_byte(text: &str) -> bool {
    (1..=2).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit())
}

fn is_ethernet(text: &str) -> bool {
    text.split(':').count() == 6 && text.split(':').all(is_byte)
}

/// Two or more bytes, each with one colon or more behind it.
fn is_bogus_ethernet(text: &str) -> bool {
    let mut bytes = text.split(':').filter(|byte| !byte.is_empty());
    text.ends_with(':')
        && !text.starts_with(':')
        && bytes.clone().count() >= 2
        && bytes.all(is_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(expression: &str) -> Vec<&str> {
        tokens(expression).iter().map(|token| token.text(expression)).collect()
    }

    #[test]
    fn an_address_is_one_token() {
        assert_eq!(texts("host fe80::1 or ::"), ["host", "fe80::1", "or", "::"]);
        assert_eq!(texts("ether src 0:1:2:3:4:a"), ["ether", "src", "0:1:2:3:4:a"]);
        assert_eq!(texts("net ::/0"), ["net", "::", "/", "0"]);
        assert_eq!(texts("host ::ffff:1.2.3.4)"), ["host", "::ffff:1.2.3.4", ")"]);
    }

    #[test]
    fn an_index_is_not_an_address() {
        assert_eq!(texts("tcp[0:2]=80"), ["tcp", "[", "0", ":", "2", "]", "=", "80"]);
        assert_eq!(texts("ip[a:b]"), ["ip", "[", "a", ":", "b", "]"]);
    }

    #[test]
    fn a_name_may_have_hyphens_inside() {
        assert_eq!(texts("tcp-syn|tcp-ack"), ["tcp-syn", "|", "tcp-ack"]);
        assert_eq!(texts("portrange 5-"), ["portrange", "5", "-"]);
        assert_eq!(texts("len-1=3"), ["len-1", "=", "3"]);
    }

    #[test]
    fn operators_are_cut_as_long_as_they_can_be() {
        assert_eq!(texts("!tcp&&a!=b<<2"), ["!", "tcp", "&&", "a", "!=", "b", "<<", "2"]);
        assert_eq!(texts("proto \\tcp)"), ["proto", "\\tcp", ")"]);
    }

    #[test]
    fn what_is_no_token_is_bad_by_itself() {
        let kinds: Vec<Kind> = tokens("tcp @ é").iter().map(|token| token.kind).collect();
        assert_eq!(kinds, [Kind::Keyword, Kind::Bad, Kind::Bad]);
    }
}
