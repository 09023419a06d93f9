//! The boolean structure of an expression: what libpcap's grammar (grammar.y) makes of `and`,
//! `or`, `not` and parentheses, down to the primitives, which stay text for libpcap.
//!
//! The law: `and` and `or` have one precedence and bind to the left, `not` binds tightest. A
//! name without qualifiers has those of the primitive before it, if that had any; behind a
//! parenthesis they are those from before the parenthesis.

use std::ops::Range;

use super::token::{DIRECTIONS, KINDS, Kind, PROTOCOLS, Token};

/// An expression, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// What libpcap compiles by itself.
    Primitive {
        /// With the qualifiers that it inherits.
        text: String,
        /// Where it is written.
        range: Range<usize>,
    },
    /// The word `vxlan`.
    Vxlan {
        vni: Option<u32>,
        /// Where it is written.
        range: Range<usize>,
    },
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Expression {
    /// The parts that one operator joins, in order; one that is not joined is its own part.
    pub fn parts(&self) -> Vec<&Self> {
        let mut parts = Vec::new();
        let mut left = self;
        while let (Self::And(a, b), Self::And(..)) | (Self::Or(a, b), Self::Or(..)) = (left, self) {
            parts.push(b.as_ref());
            left = a;
        }
        parts.push(left);
        parts.reverse();
        parts
    }

    /// What joins the parts.
    pub const fn joint(&self) -> &'static str {
        if matches!(self, Self::Or(..)) { " or " } else { " and " }
    }

    /// Whether `vxlan` is in it.
    pub fn has_vxlan(&self) -> bool {
        match self {
            Self::Primitive { .. } => false,
            Self::Vxlan { .. } => true,
            Self::Not(inner) => inner.has_vxlan(),
            Self::And(a, b) | Self::Or(a, b) => a.has_vxlan() || b.has_vxlan(),
        }
    }

    /// It as libpcap understands it, in parentheses where another operator may follow.
    pub fn part_text(&self) -> String {
        match self {
            Self::Primitive { text, .. } => text.clone(),
            Self::Vxlan { .. } => "vxlan".to_owned(),
            Self::Not(inner) => format!("not {}", inner.part_text()),
            Self::And(..) | Self::Or(..) => {
                let parts: Vec<String> = self.parts().into_iter().map(Self::part_text).collect();
                format!("({})", parts.join(self.joint()))
            }
        }
    }
}

/// What is wrong with the structure, and where: a byte offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub message: String,
    pub at: usize,
}

/// As libpcap says it.
pub const SYNTAX_ERROR: &str = "can't parse filter expression: syntax error";
/// What libpcap says of a bare name behind what has no qualifiers.
const NO_QUALIFIERS: &str = "syntax error in filter expression";
/// VNIs have 24 bits (RFC 7348, section 5).
pub const MAX_VNI: u32 = 0xff_ffff;

/// Takes an expression apart.
///
/// # Errors
///
/// [`Fault`] where parentheses or operators do not fit, or a VNI is too large.
pub fn parse(text: &str, tokens: &[Token]) -> Result<Expression, Fault> {
    let mut parser = Parser { text, tokens, next: 0 };
    let (expression, _) = parser.expression(None)?;
    if parser.next < tokens.len() {
        return Err(parser.fault());
    }
    Ok(expression)
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    next: usize,
}

/// The qualifiers that a bare name inherits.
type Qualifiers<'a> = Option<&'a str>;

impl<'a> Parser<'a> {
    fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    fn word(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| token.text(self.text))
    }

    fn fault(&self) -> Fault {
        let at = self.tokens.get(self.next).map_or(self.text.len(), |token| token.range.start);
        Fault { message: SYNTAX_ERROR.to_owned(), at }
    }

    /// Terms, joined. With the qualifiers of the last one.
    fn expression(
        &mut self,
        inherited: Qualifiers<'a>,
    ) -> Result<(Expression, Qualifiers<'a>), Fault> {
        let (mut left, mut qualifiers) = self.term(inherited)?;
        while let Some(joint @ (Kind::And | Kind::Or)) = self.kind(self.next) {
            self.next += 1;
            let (right, of_right) = self.term(qualifiers)?;
            let (a, b) = (Box::new(left), Box::new(right));
            left = if joint == Kind::And { Expression::And(a, b) } else { Expression::Or(a, b) };
            qualifiers = of_right;
        }
        Ok((left, qualifiers))
    }

    fn term(&mut self, inherited: Qualifiers<'a>) -> Result<(Expression, Qualifiers<'a>), Fault> {
        match self.kind(self.next) {
            Some(Kind::Not) => {
                self.next += 1;
                let (expression, qualifiers) = self.term(inherited)?;
                Ok((Expression::Not(Box::new(expression)), qualifiers))
            }
            Some(Kind::Open) if !self.opens_arithmetic() => {
                self.next += 1;
                let (expression, _) = self.expression(inherited)?;
                if self.kind(self.next) != Some(Kind::Close) {
                    return Err(self.fault());
                }
                self.next += 1;
                Ok((expression, inherited))
            }
            _ if self.word(self.next) == "vxlan" => Ok((self.vxlan()?, None)),
            _ => self.primitive(inherited),
        }
    }

    /// Whether the parenthesis at hand is part of a calculation: an operator stands behind its
    /// end.
    fn opens_arithmetic(&self) -> bool {
        let behind = self.closing(self.next).and_then(|close| self.kind(close + 1));
        matches!(behind, Some(Kind::Arithmetic | Kind::Comparison))
    }

    /// Where the parenthesis that opens at a token closes.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        (open..self.tokens.len()).find(|at| {
            match self.kind(*at) {
                Some(Kind::Open) => depth += 1,
                Some(Kind::Close) => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })
    }

    /// The word and the number behind it, which may be in parentheses.
    fn vxlan(&mut self) -> Result<Expression, Fault> {
        let start = self.tokens[self.next].range.start;
        self.next += 1;
        let parentheses = (self.next..).take_while(|at| self.kind(*at) == Some(Kind::Open)).count();
        let at = self.next + parentheses;
        let vni = match (self.kind(at), number(self.word(at))) {
            (Some(Kind::Word), Some(vni)) => {
                self.next = at + 1;
                for _ in 0..parentheses {
                    if self.kind(self.next) != Some(Kind::Close) {
                        return Err(self.fault());
                    }
                    self.next += 1;
                }
                Some(self.vni(at, vni)?)
            }
            _ => None,
        };
        let end = self.tokens[self.next - 1].range.end;
        Ok(Expression::Vxlan { vni, range: start..end })
    }

    fn vni(&self, at: usize, vni: u64) -> Result<u32, Fault> {
        u32::try_from(vni).ok().filter(|vni| *vni <= MAX_VNI).ok_or_else(|| Fault {
            message: format!("VXLAN VNI {} greater than maximum {MAX_VNI}", self.word(at)),
            at: self.tokens[at].range.start,
        })
    }

    /// All up to the next operator of its own level.
    fn primitive(
        &mut self,
        inherited: Qualifiers<'a>,
    ) -> Result<(Expression, Qualifiers<'a>), Fault> {
        let start = self.next;
        let mut end = start;
        while let Some(kind) = self.kind(end) {
            end = match kind {
                Kind::Close => break,
                Kind::And | Kind::Or if self.joins_directions(end) => end + 2,
                Kind::And | Kind::Or => break,
                Kind::Open => match self.closing(end) {
                    Some(close) => close + 1,
                    None => self.tokens.len(),
                },
                Kind::Not if end == start => break,
                _ => end + 1,
            };
        }
        if end == start {
            return Err(self.fault());
        }
        self.next = end;
        let range = self.tokens[start].range.start..self.tokens[end - 1].range.end;
        let written = &self.text[range.clone()];
        if self.is_bare(start, end) {
            let at = range.start;
            let head = inherited.ok_or_else(|| Fault { message: NO_QUALIFIERS.to_owned(), at })?;
            let text = format!("{head} {written}");
            return Ok((Expression::Primitive { text, range }, inherited));
        }
        let qualifiers = self.qualifiers(start, end);
        Ok((Expression::Primitive { text: written.to_owned(), range }, qualifiers))
    }

    /// Whether the operator belongs to `src or dst` and the like, which is one qualifier.
    fn joins_directions(&self, at: usize) -> bool {
        let before = at.checked_sub(1).map_or("", |before| self.word(before));
        matches!((before, self.word(at + 1)), ("src", "dst") | ("dst", "src"))
    }

    /// Whether it is a name, a number or an address, and no calculation.
    fn is_bare(&self, start: usize, end: usize) -> bool {
        self.kind(start) == Some(Kind::Word)
            && (start..end).all(|at| self.kind(at) != Some(Kind::Comparison))
    }

    /// The qualifiers of a primitive, if it is of the form: qualifiers, name.
    fn qualifiers(&self, start: usize, end: usize) -> Qualifiers<'a> {
        let mut at = start;
        if PROTOCOLS.contains(&self.word(at)) {
            at += 1;
        }
        let protocol_only = at;
        if DIRECTIONS.contains(&self.word(at)) {
            let joined = matches!(self.kind(at + 1), Some(Kind::And | Kind::Or));
            at += if joined && self.joins_directions(at + 1) { 3 } else { 1 };
        }
        if KINDS.contains(&self.word(at)) {
            at += 1;
        }
        let named = matches!(self.kind(at), Some(Kind::Word | Kind::Open | Kind::Not));
        let last = self.tokens.get(at.checked_sub(1)?)?;
        (at > protocol_only && at < end && named)
            .then(|| &self.text[self.tokens[start].range.start..last.range.end])
    }
}

/// A number as libpcap reads it: hexadecimal behind 0x, octal behind 0, else decimal.
pub fn number(word: &str) -> Option<u64> {
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let (digits, radix) = match (hex, word.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (word, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::filter::token::tokens;

    /// The structure with all parentheses.
    fn shape(text: &str) -> String {
        fn show(expression: &Expression) -> String {
            match expression {
                Expression::Primitive { text, .. } => format!("<{text}>"),
                Expression::Vxlan { vni: None, .. } => "VXLAN".to_owned(),
                Expression::Vxlan { vni: Some(vni), .. } => format!("VXLAN {vni}"),
                Expression::Not(inner) => format!("!{}", show(inner)),
                Expression::And(a, b) => format!("({} & {})", show(a), show(b)),
                Expression::Or(a, b) => format!("({} | {})", show(a), show(b)),
            }
        }
        match parse(text, &tokens(text)) {
            Ok(expression) => show(&expression),
            Err(Fault { message, at }) => format!("{at}: {message}"),
        }
    }

    #[test]
    fn and_and_or_have_one_precedence_and_bind_to_the_left() {
        assert_eq!(shape("tcp or udp and arp"), "((<tcp> | <udp>) & <arp>)");
        assert_eq!(shape("tcp && ! udp || arp"), "((<tcp> & !<udp>) | <arp>)");
        assert_eq!(shape("tcp and (udp or arp)"), "(<tcp> & (<udp> | <arp>))");
    }

    #[test]
    fn a_bare_name_inherits_the_last_qualifiers() {
        assert_eq!(
            shape("tcp dst port 21 or ftp-data"),
            "(<tcp dst port 21> | <tcp dst port ftp-data>)"
        );
        assert_eq!(shape("host a and not b"), "(<host a> & !<host b>)");
        assert_eq!(shape("port 1 or (2 and not 3)"), "(<port 1> | (<port 2> & !<port 3>))");
        assert_eq!(shape("net 10.0.0.0/8 or 1.2"), "(<net 10.0.0.0/8> | <net 1.2>)");
        assert_eq!(
            shape("port 1 or (tcp and host a) or 2"),
            "((<port 1> | (<tcp> & <host a>)) | <port 2>)"
        );
        assert_eq!(shape("src or dst port 1 or 2"), "(<src or dst port 1> | <src or dst port 2>)");
    }

    #[test]
    fn nothing_is_inherited_from_what_has_no_qualifiers() {
        for before in ["tcp", "tcp[0] = 1", "vxlan", "ether broadcast", "(port 1)"] {
            let at = before.len() + " or ".len();
            assert_eq!(shape(&format!("{before} or 2")), format!("{at}: {NO_QUALIFIERS}"));
        }
        assert_eq!(shape("port 1 or tcp or 2"), format!("17: {NO_QUALIFIERS}"));
    }

    #[test]
    fn names_behind_qualifiers_stay_together() {
        assert_eq!(shape("tcp port (80 or 443) or 8"), "(<tcp port (80 or 443)> | <tcp port 8>)");
        assert_eq!(shape("host not a and b"), "(<host not a> & <host b>)");
    }

    #[test]
    fn a_calculation_stays_together() {
        assert_eq!(shape("(tcp[12] & 0xf0) >> 2 > 5"), "<(tcp[12] & 0xf0) >> 2 > 5>");
        assert_eq!(shape("tcp[13] & (1|2) != 0 and arp"), "(<tcp[13] & (1|2) != 0> & <arp>)");
        assert_eq!(shape("((ip[0]) = (5)) or arp"), "(<(ip[0]) = (5)> | <arp>)");
        assert_eq!(shape("port 1 or 5 = len"), "(<port 1> | <5 = len>)");
    }

    #[test]
    fn a_vni_is_a_number() {
        assert_eq!(shape("vxlan 0x10 and tcp"), "(VXLAN 16 & <tcp>)");
        assert_eq!(shape("(vxlan (7)) or vxlan"), "(VXLAN 7 | VXLAN)");
        assert_eq!(shape("vxlan 16777215"), "VXLAN 16777215");
        assert_eq!(shape("vxlan 16777216"), "6: VXLAN VNI 16777216 greater than maximum 16777215");
    }

    #[test]
    fn what_does_not_fit_is_found() {
        assert_eq!(shape("vxlan tcp"), format!("6: {SYNTAX_ERROR}"));
        assert_eq!(shape("(vxlan"), format!("6: {SYNTAX_ERROR}"));
        assert_eq!(shape("vxlan and"), format!("9: {SYNTAX_ERROR}"));
        assert_eq!(shape("vxlan )"), format!("6: {SYNTAX_ERROR}"));
    }
}
