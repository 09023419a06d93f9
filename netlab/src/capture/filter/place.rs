//! Where an expression is wrong: libpcap says only what is.
//!
//! A message that names a word is about that word. For any other, libpcap is asked about
//! longer and longer beginnings of the expression. For a syntax error the place is the first
//! token behind which nothing that may follow mends it; for another fault, the token with
//! which libpcap first says the same.
//!
//! None of this looks up a name in the network: names of hosts are replaced by an address.

use super::{
    compile,
    expression::{SYNTAX_ERROR, number},
    token::{Kind, Token},
};
use crate::capture::LinkType;

/// What may follow the beginning of an expression, in one of its states at least: numbers and
/// addresses, whole primitives, the rest of a calculation. No names, which libpcap would look
/// up.
#[rustfmt::skip]
const CONTINUATIONS: &[&str] = &[
    "", "1", "1.2.3.4", "tcp", "port 1", "dst port 1", "src port 1", "::1", "0:0:0:0:0:1", "= 0",
    "1] = 0", "0 = 0", "$1", "broadcast", "mask 255.0.0.0", "-1", "type 0", "or dst 1.2.3.4",
    "or src 1.2.3.4", "subtype 0",
];
/// Names, where none is looked up in the network.
const NAMES: &[&str] = &["\\tcp", "mgt", "ack", "pass"];
/// The words behind which that is so.
#[rustfmt::skip]
const BEFORE_NAMES: &[&str] = &[
    "proto", "protochain", "type", "subtype", "dir", "direction", "reason", "action", "on",
    "ifname", "rset", "ruleset",
];

/// Where a message is about: a byte offset, or the expression's length for its end.
///
/// `tokens` are those that the message can be about.
pub fn of(message: &str, expression: &str, tokens: &[Token], link: LinkType) -> usize {
    let probe = Probe { expression, tokens, link };
    let token = if message == SYNTAX_ERROR {
        probe.syntax()
    } else {
        probe.named(message).or_else(|| probe.fault(message))
    };
    match (token, tokens.last()) {
        (Some(at), _) => tokens[at].range.start,
        (None, Some(last)) if last.range.end < expression.trim_end().len() => last.range.end,
        (None, _) => expression.len(),
    }
}

/// The expression with words that libpcap knows: `geneve` for `vxlan`, which has the same
/// grammar, and an address for names of hosts. It has the same syntax errors, but for what may
/// stand only behind an address.
pub fn with_known_words(expression: &str, tokens: &[Token]) -> String {
    let words: Vec<&str> = (0..tokens.len()).map(|at| known_word(expression, tokens, at)).collect();
    words.join(" ")
}

fn known_word<'a>(expression: &'a str, tokens: &[Token], at: usize) -> &'a str {
    let text = tokens[at].text(expression);
    if text == "vxlan" {
        "geneve"
    } else if is_host_name(expression, tokens, at) {
        "1.2.3.4"
    } else {
        text
    }
}

/// Whether libpcap would ask for the address of a token.
fn is_host_name(expression: &str, tokens: &[Token], at: usize) -> bool {
    let text = tokens[at].text(expression);
    let is_name = tokens[at].kind == Kind::Word
        && !text.starts_with(['\\', '$'])
        && !text.contains(':')
        && text.split('.').any(|part| number(part).is_none());
    let mut before = tokens[..at].iter().rev().filter(|token| token.kind == Kind::Keyword);
    let kind = before.next().map_or("", |token| token.text(expression));
    let protocol = before.next().map_or("", |token| token.text(expression));
    is_name
        && matches!(kind, "host" | "src" | "dst")
        && !matches!(protocol, "ether" | "link" | "fddi" | "tr" | "wlan" | "decnet")
}

/// What may follow a word.
fn continuations(word: &str) -> Vec<&'static str> {
    let names = if BEFORE_NAMES.contains(&word) { NAMES } else { &[] };
    [CONTINUATIONS, names].concat()
}

struct Probe<'a> {
    expression: &'a str,
    tokens: &'a [Token],
    link: LinkType,
}

impl Probe<'_> {
    /// The token that a message names.
    fn named(&self, message: &str) -> Option<usize> {
        let of_name = ["unknown", "illegal", "invalid", "bogus", "non-network", "greater"];
        if !of_name.iter().any(|word| message.contains(word)) {
            return None;
        }
        let quoted: Vec<&str> = message.split(['\'', '"']).skip(1).step_by(2).collect();
        let words = message.split([' ', ':', ',']).chain(message.split(' '));
        let is_number = |word: &&str| number(word).is_some() || word.contains(':');
        let words: Vec<&str> =
            if quoted.is_empty() { words.filter(is_number).collect() } else { quoted };
        let names = |at: &usize| words.iter().any(|word| self.is_written(*at, word));
        let found: Vec<usize> = (0..self.tokens.len()).filter(names).collect();
        // A name may stand elsewhere too, as a name of another kind.
        let asked = if message.contains("port") { "port" } else { "host" };
        let of_kind = |at: &&usize| {
            let before = at.checked_sub(1).map_or("", |before| self.text(before));
            before == asked || !matches!(before, "port" | "host" | "proto" | "net")
        };
        found.iter().find(of_kind).or(found.first()).copied()
    }

    /// Whether what a message says is written at a token: the token, or more than one.
    fn is_written(&self, at: usize, word: &str) -> bool {
        let token = &self.tokens[at];
        let text = token.text(self.expression);
        let longer =
            || word.contains('/') && self.expression[token.range.start..].starts_with(word);
        token.kind == Kind::Word
            && (text == word
                || text.strip_prefix('\\') == Some(word)
                || number(text).is_some_and(|value| word == value.to_string())
                || longer())
    }

    fn text(&self, at: usize) -> &str {
        self.tokens[at].text(self.expression)
    }

    /// The first token behind which only a syntax error is possible.
    fn syntax(&self) -> Option<usize> {
        let mended = |said: &str| said != SYNTAX_ERROR;
        self.first(|at| !self.says(at, &continuations(self.text(at)), mended))
    }

    /// The first token for which something holds that holds for all after it, too.
    fn first(&self, holds: impl Fn(usize) -> bool) -> Option<usize> {
        let all: Vec<usize> = (0..self.tokens.len()).collect();
        all.get(all.partition_point(|at| !holds(*at))).copied()
    }

    /// The token with which libpcap says a message first, or a word before it that the message
    /// is about.
    fn fault(&self, message: &str) -> Option<usize> {
        let said = |at: usize, more: &[&str]| self.says(at, more, |said| said == message);
        let last = self
            .first(|at| said(at, &[""]))
            .or_else(|| self.first(|at| said(at, CONTINUATIONS)))?;
        let quoted = message.split('\'').nth(1).unwrap_or("");
        let named = (0..=last).rev().find(|at| self.text(*at) == quoted);
        let closes = matches!(self.text(last), "]" | ")");
        Some(named.unwrap_or(if closes { last.saturating_sub(1) } else { last }))
    }

    /// Whether libpcap says something of the expression up to a token, continued in one of
    /// some ways and all brackets closed. It says nothing of what is right.
    fn says(&self, last: usize, continuations: &[&str], what: impl Fn(&str) -> bool) -> bool {
        let prefix = with_known_words(self.expression, &self.tokens[..=last]);
        let open = self.open_brackets(last);
        // A comparison may have to be added: nowhere, behind one of the brackets, at the end.
        let places = 0..=open.len() + 1;
        continuations.iter().any(|continuation| {
            places.clone().any(|compared| {
                let mut text = format!("{prefix} {continuation}");
                for (index, bracket) in open.iter().rev().enumerate() {
                    text.push_str(if index + 1 == compared { " = 0" } else { "" });
                    text.push_str(bracket);
                }
                text.push_str(if open.len() + 1 == compared { " = 0" } else { "" });
                match compile::program(&text, self.link, true) {
                    Ok(Err(message)) => what(&message),
                    _ => what(""),
                }
            })
        })
    }

    /// What closes the brackets that are open behind a token, the outermost first.
    fn open_brackets(&self, last: usize) -> Vec<&'static str> {
        let mut open = Vec::new();
        for at in 0..=last {
            match self.text(at) {
                "(" => open.push(")"),
                "[" => open.push("]"),
                ")" | "]" => {
                    open.pop();
                }
                _ => {}
            }
        }
        open
    }
}
