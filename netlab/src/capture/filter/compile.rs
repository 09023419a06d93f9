//! Has libpcap compile expressions.

use pcap::{BpfProgram, Capture, Linktype};

use super::{
    Error, Options,
    apart::{self, Grain},
    classic::{Program, Raw},
    place,
    token::tokens,
    tree::{Leaf, Node},
};
use crate::capture::LinkType;

/// What libpcap says of an expression that no packet can satisfy. That is no mistake: in a
/// larger expression libpcap itself accepts it.
pub const NEVER: &str = "expression rejects all packets";

/// What `ret` returns for a packet that is accepted: as much as libpcap keeps at most.
/// tcpdump has a larger default, which is the one that people know.
const KEPT: u32 = 65_535;
pub const KEPT_BY_TCPDUMP: u32 = 262_144;

/// An expression, as libpcap's own program if it can have one, else taken apart.
///
/// # Errors
///
/// [`Error::Syntax`]; [`Error::Link`] where VXLAN is not known on the link.
pub fn expression(expression: &str, options: &Options) -> Result<Node, Error> {
    let tokens = tokens(expression);
    let node = if tokens.iter().any(|token| token.text(expression) == "vxlan") {
        apart::tree(expression, &tokens, options, Grain::Coarse)?
    } else {
        let program = program(expression, options.link, options.optimize)?;
        let at = |message: &str| place::of(message, expression, &tokens, options.link);
        let fault = |message: String| Error::Syntax {
            at: at(&message),
            message,
            expression: expression.to_owned(),
        };
        Node::Leaf(Leaf::new(0, expression.to_owned(), program.map_err(fault)?))
    };
    Ok(Node::Whole(Box::new(node)))
}

/// An expression's program, or libpcap's message; through libpcap's optimizer if `optimize`.
///
/// # Errors
///
/// What is no fault of the expression.
pub fn program(
    expression: &str,
    link: LinkType,
    optimize: bool,
) -> Result<Result<Program, String>, Error> {
    let compiled = Capture::dead(dlt(link)).and_then(|c| c.compile(expression, optimize));
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
