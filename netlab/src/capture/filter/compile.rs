//! Has libpcap compile expressions.

use std::ops::Range;

use pcap::{BpfProgram, Capture, Linktype};

use super::{
    Error, Options,
    classic::{Program, Raw},
    expression::{Expression, Fault, SYNTAX_ERROR, parse},
    place,
    token::{Token, tokens},
    tree::{Leaf, Node},
    vxlan::Link,
};
use crate::capture::LinkType;

/// What libpcap says of an expression that no packet can satisfy. That is no mistake: in a
/// larger expression libpcap itself accepts it.
const NEVER: &str = "expression rejects all packets";

/// What `ret` returns for a packet that is accepted: as much as libpcap keeps at most.
/// tcpdump has a larger default, which is the one that people know.
const KEPT: u32 = 65_535;
const KEPT_BY_TCPDUMP: u32 = 262_144;

/// An expression, as libpcap's own program if it can have one, else taken apart.
///
/// # Errors
///
/// [`Error::Syntax`], [`Error::Link`].
pub fn expression(expression: &str, options: &Options) -> Result<Node, Error> {
    let tokens = tokens(expression);
    let node = if tokens.iter().any(|token| token.text(expression) == "vxlan") {
        apart(expression, &tokens, options)?
    } else {
        let program = program(expression, options.link)?;
        let at = |message: &str| place::of(message, expression, &tokens, options.link);
        let fault = |message: String| syntax(expression, at(&message), message);
        Node::Leaf(Leaf::new(0, expression.to_owned(), program.map_err(fault)?))
    };
    Ok(Node::Whole(Box::new(node)))
}

/// An expression, taken apart into one program a primitive.
///
/// # Errors
///
/// [`Error::Syntax`], [`Error::Link`].
pub fn apart(expression: &str, tokens: &[Token], options: &Options) -> Result<Node, Error> {
    Link::of(options.link)?;
    // libpcap has one word of the same grammar, and knows what may stand around it.
    if let Err(message) = program(&place::with_known_words(expression, tokens), options.link)?
        && message == SYNTAX_ERROR
    {
        let at = place::of(&message, expression, tokens, options.link);
        return Err(syntax(expression, at, message));
    }
    let fault = |fault: Fault| syntax(expression, fault.at, fault.message);
    let structure = parse(expression, tokens).map_err(fault)?;
    let mut builder = Builder { expression, tokens, link: options.link, level: 0, before: vec![] };
    builder.node(&structure)
}

fn syntax(expression: &str, at: usize, message: String) -> Error {
    Error::Syntax { message, expression: expression.to_owned(), at }
}

/// Turns structure into a tree, in the order of the text.
struct Builder<'a> {
    expression: &'a str,
    tokens: &'a [Token],
    /// What the frame at hand begins with.
    link: LinkType,
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
            Expression::And(a, b) => Node::all(vec![self.node(a)?, self.node(b)?]),
            Expression::Or(a, b) => Node::any(vec![self.node(a)?, self.node(b)?]),
        })
    }

    fn primitive(&mut self, text: &str, range: &Range<usize>) -> Result<Node, Error> {
        let before = self.before.iter().map(|before| format!("({before} or 0 = 0) and "));
        let source = before.chain([text.to_owned()]).collect::<String>();
        let node = match program(&source, self.link)? {
            Ok(program) => Node::Leaf(Leaf::new(self.level, source, program)),
            Err(message) if message == NEVER => Node::Constant(false),
            Err(message) => return Err(self.fault(message, range)),
        };
        let word = text.split(|c: char| !c.is_ascii_alphanumeric()).next();
        if matches!(word, Some("vlan" | "mpls" | "pppoes" | "geneve")) {
            self.before.push(text.to_owned());
        }
        Ok(node)
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

/// An expression's program, or libpcap's message.
///
/// # Errors
///
/// What is no fault of the expression.
pub fn program(expression: &str, link: LinkType) -> Result<Result<Program, String>, Error> {
    let compiled = Capture::dead(dlt(link)).and_then(|c| c.compile(expression, true));
    match compiled {
        Ok(program) => Ok(Ok(Program::decode(instructions(&program))?)),
        Err(pcap::Error::PcapError(message)) => Ok(Err(message)),
        Err(other) => Ok(Err(other.to_string())),
    }
}

/// libpcap's own name of a link type: DLT_RAW has another number, which is not the same on all
/// systems (pcap-linktype(7)).
pub fn dlt(link: LinkType) -> Linktype {
    match link {
        LinkType::RAW => Linktype(12),
        LinkType(other) => Linktype(other.into()),
    }
}

fn instructions(program: &BpfProgram) -> Vec<Raw> {
    program.get_instructions().iter().filter_map(instruction).collect()
}

/// The crate shows the fields of an instruction only as text: code, jt, jf, k.
fn instruction(instruction: &pcap::BpfInstruction) -> Option<Raw> {
    let text = instruction.to_string();
    let mut fields = text.split(' ').map(str::parse::<u32>);
    let mut field = || fields.next()?.ok();
    let (code, jt, jf, k) = (field()?, field()?, field()?, field()?);
    let code = u16::try_from(code).ok()?;
    let k = if code == 0x06 && k == KEPT { KEPT_BY_TCPDUMP } else { k };
    Some(Raw { code, jt: u8::try_from(jt).ok()?, jf: u8::try_from(jf).ok()?, k })
}
