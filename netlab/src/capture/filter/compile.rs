//! Has libpcap compile expressions.

use pcap::{BpfProgram, Capture, Linktype};

use super::{
    Error,
    classic::{Program, Raw},
    tree::{Leaf, Node},
};
use crate::capture::LinkType;

/// What libpcap says of an expression that no packet can satisfy. That is no mistake: in a
/// larger expression libpcap itself accepts it.
const NEVER: &str = "expression rejects all packets";

/// What `ret` returns for a packet that is accepted: as much as libpcap keeps at most.
/// tcpdump has a larger default, which is the one that people know.
const KEPT: u32 = 65_535;
const KEPT_BY_TCPDUMP: u32 = 262_144;

/// A whole expression, as one program for the outer frame.
pub fn whole(expression: &str, link: LinkType) -> Result<Node, Error> {
    let program = program(expression, link)?.map_err(|message| Error::Syntax {
        message,
        expression: expression.to_owned(),
        at: expression.len(),
    })?;
    Ok(Node::Leaf(Leaf::new(0, expression.to_owned(), program)))
}

/// An expression's program, or libpcap's message.
///
/// # Errors
///
/// What is no fault of the expression.
pub fn program(expression: &str, link: LinkType) -> Result<Result<Program, String>, Error> {
    let compiled = Capture::dead(Linktype(link.0.into())).and_then(|c| c.compile(expression, true));
    match compiled {
        Ok(program) => Ok(Ok(Program::decode(instructions(&program))?)),
        Err(pcap::Error::PcapError(message)) => Ok(Err(message)),
        Err(other) => Ok(Err(other.to_string())),
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
