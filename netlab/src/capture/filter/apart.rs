//! Takes an expression with the word `vxlan` apart, into programs for the frames that it is
//! about.
//!
//! Neighbours without `vxlan` stay together, so that libpcap's optimizer has all of them: what
//! they have in common is looked at once.

use std::ops::Range;

use super::{
    Error, Options,
    compile::{NEVER, program},
    expression::{Expression, Fault, SYNTAX_ERROR, parse},
    place,
    token::Token,
    tree::{Leaf, Node},
    vxlan::Link,
};
use crate::capture::LinkType;

/// How far to take apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Only at `vxlan`.
    Coarse,
    /// Down to primitives.
    Fine,
}

/// An expression, taken apart where `vxlan` is in it.
///
/// # Errors
///
/// [`Error::Syntax`], [`Error::Link`].
pub fn tree(
    expression: &str,
    tokens: &[Token],
    options: &Options,
    grain: Grain,
) -> Result<Node, Error> {
    Link::of(options.link)?;
    // libpcap has one word of the same grammar, and knows what may stand around it.
    let known = place::with_known_words(expression, tokens);
    if let Err(message) = program(&known, options.link, options.optimize)?
        && message == SYNTAX_ERROR
    {
        let at = place::of(&message, expression, tokens, options.link);
        return Err(syntax(expression, at, message));
    }
    let fault = |fault: Fault| syntax(expression, fault.at, fault.message);
    let structure = parse(expression, tokens).map_err(fault)?;
    let Options { link, optimize, .. } = *options;
    let mut builder =
        Builder { expression, tokens, grain, link, optimize, level: 0, before: vec![] };
    builder.node(&structure)
}

fn syntax(expression: &str, at: usize, message: String) -> Error {
    Error::Syntax { message, expression: expression.to_owned(), at }
}

/// Turns structure into a tree, in the order of the text.
struct Builder<'a> {
    expression: &'a str,
    tokens: &'a [Token],
    grain: Grain,
    /// What the frame at hand begins with.
    link: LinkType,
    optimize: bool,
    /// How many times the word `vxlan` was seen.
    level: usize,
    /// The primitives of this level so far that move what follows them further into the
    /// frame, whether or not they hold: vlan, mpls, pppoes, geneve.
    before: Vec<String>,
}

impl Builder<'_> {
    fn node(&mut self, expression: &Expression) -> Result<Node, Error> {
        Ok(match expression {
            Expression::Primitive { text, range } => self.primitive(text, range)?,
            Expression::Vxlan { vni, range } => self.vxlan(*vni, range)?,
            Expression::Not(inner) => Node::Not(Box::new(self.node(inner)?)),
            Expression::And(..) => Node::all(self.joined(expression)?),
            Expression::Or(..) => Node::any(self.joined(expression)?),
        })
    }

    /// The parts of a conjunction or of a disjunction.
    fn joined(&mut self, expression: &Expression) -> Result<Vec<Node>, Error> {
        let parts = expression.parts();
        let fine = self.grain == Grain::Fine;
        let alone = |part: &&Expression| fine || part.has_vxlan();
        let mut nodes = Vec::new();
        for run in parts.chunk_by(|a, b| !alone(a) && !alone(b)) {
            let whole = if run.len() > 1 { self.together(run, expression.joint())? } else { None };
            match whole {
                Some(node) => nodes.push(node),
                None => nodes
                    .extend(run.iter().map(|part| self.node(part)).collect::<Result<Vec<_>, _>>()?),
            }
        }
        Ok(nodes)
    }

    /// Parts without `vxlan`, as one program; None where libpcap refuses it, which is then the
    /// fault of a primitive in it.
    fn together(&mut self, parts: &[&Expression], joint: &str) -> Result<Option<Node>, Error> {
        let texts: Vec<String> = parts.iter().map(|part| part.part_text()).collect();
        let text = texts.join(joint);
        let moved = !self.before.is_empty();
        let source = self.moved(&if moved { format!("({text})") } else { text });
        let node = match program(&source, self.link, self.optimize)? {
            Ok(program) => Node::Leaf(Leaf::new(self.level, source, program)),
            Err(message) if message == NEVER => Node::Constant(false),
            Err(_) => return Ok(None),
        };
        parts.iter().for_each(|part| self.note_moving(part));
        Ok(Some(node))
    }

    fn primitive(&mut self, text: &str, range: &Range<usize>) -> Result<Node, Error> {
        let source = self.moved(text);
        let node = match program(&source, self.link, self.optimize)? {
            Ok(program) => Node::Leaf(Leaf::new(self.level, source, program)),
            Err(message) if message == NEVER => Node::Constant(false),
            Err(message) => return Err(self.fault(message, range)),
        };
        self.note_moving_word(text);
        Ok(node)
    }

    /// A text as it is to be compiled behind what moves it. `0 = 0` holds for every packet.
    fn moved(&self, text: &str) -> String {
        let before = self.before.iter().map(|before| format!("({before} or 0 = 0) and "));
        before.chain([text.to_owned()]).collect()
    }

    /// Notes what moves all that follows.
    fn note_moving(&mut self, expression: &Expression) {
        match expression {
            Expression::Primitive { text, .. } => self.note_moving_word(text),
            Expression::Vxlan { .. } => {}
            Expression::Not(inner) => self.note_moving(inner),
            Expression::And(a, b) | Expression::Or(a, b) => {
                self.note_moving(a);
                self.note_moving(b);
            }
        }
    }

    fn note_moving_word(&mut self, text: &str) {
        let word = text.split(|c: char| !c.is_ascii_alphanumeric()).next();
        if matches!(word, Some("vlan" | "mpls" | "pppoes" | "geneve")) {
            self.before.push(text.to_owned());
        }
    }

    /// A primitive is wrong.
    fn fault(&self, message: String, range: &Range<usize>) -> Error {
        let tokens = self.tokens.iter();
        let tokens: Vec<Token> = tokens
            .filter(|token| range.start <= token.range.start && token.range.end <= range.end)
            .cloned()
            .collect();
        let at = place::of(&message, self.expression, &tokens, self.link);
        syntax(self.expression, at, message)
    }

    fn vxlan(&mut self, vni: Option<u32>, range: &Range<usize>) -> Result<Node, Error> {
        // VLAN tags are looked behind anyway.
        if let Some(before) = self.before.iter().find(|before| !before.starts_with("vlan")) {
            let message = format!("'vxlan' is not known behind '{before}'");
            return Err(syntax(self.expression, range.start, message));
        }
        let node = Node::Vxlan { level: self.level, vni };
        self.level += 1;
        self.link = LinkType::ETHERNET;
        self.before.clear();
        Ok(node)
    }
}
