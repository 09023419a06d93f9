//! A filter as eBPF: one function, in which every part jumps straight to what follows from
//! its answer.
//!
//! What the kernel's verifier needs, and what the code is like therefore:
//!
//! - It does not know how large `captured` is. So memory is only accessed at a constant
//!   offset, or at an offset that a comparison with the room for the frame bounds just before.
//! - It refuses code that nothing leads to. So a part that no jump leads to is left out.
//! - It refuses to read what was not written. So what a classic program may read before it
//!   writes it, which is zero, is written first.
//!
//! | register | holds |
//! | --- | --- |
//! | r0, r1 | A and X of the classic program |
//! | r2, r3 | an offset, a pointer |
//! | r6 | the input |
//! | r7 | how many bytes of the frame are valid |
//! | r8 | where the inner frame begins that a part is about |
//!
//! On the stack, from its end: the scratch memory of classic programs, then where each inner
//! frame begins.

mod frames;
mod program;

use netlab_common::filter_input::{AT_CAPTURED, CAPACITY};

use super::{
    Error, Instruction, Options,
    assembler::{Alu, Assembler, Label, Operand, Reg, Size},
    tree::Node,
};

/// Where to go on.
#[derive(Clone, Copy, Debug)]
struct Exits {
    accept: Label,
    reject: Label,
    /// The frame is too short to tell.
    short: Label,
    /// Which of them lies right behind the code.
    next: Label,
}

/// The function for a filter.
///
/// # Errors
///
/// [`Error::TooLarge`], [`Error::TooDeep`], [`Error::Loop`], [`Error::Link`].
pub fn compile(root: &Node, options: &Options) -> Result<Vec<Instruction>, Error> {
    let mut assembler = Assembler::default();
    let (accept, reject) = (assembler.label(), assembler.label());
    assembler.alu64(Alu::Mov, Reg::R6, Operand::Reg(Reg::R1));
    assembler.load(Size::Word, Reg::R7, Reg::R6, offset(AT_CAPTURED));
    frames::find(&mut assembler, options, root.levels())?;
    part(&mut assembler, root, Exits { accept, reject, short: reject, next: reject })?;
    for (label, answer) in [(reject, 0), (accept, 1)] {
        if assembler.is_used(label) {
            assembler.bind(label);
            assembler.alu32(Alu::Mov, Reg::R0, Operand::Imm(answer));
            assembler.exit();
        }
    }
    assembler.finish()
}

fn part(assembler: &mut Assembler, node: &Node, exits: Exits) -> Result<(), Error> {
    match node {
        Node::Constant(answer) => {
            assembler.jump(if *answer { exits.accept } else { exits.reject });
            Ok(())
        }
        Node::Leaf(leaf) => {
            if leaf.level > 0 {
                frames::enter(assembler, leaf.level, exits);
            }
            program::emit(assembler, leaf, exits)
        }
        Node::Vxlan { level, vni } => {
            frames::vxlan(assembler, *level, *vni, exits);
            Ok(())
        }
        Node::Not(node) => {
            let Exits { accept, reject, .. } = exits;
            part(assembler, node, Exits { accept: reject, reject: accept, ..exits })
        }
        Node::All(nodes) => {
            sequence(assembler, nodes, exits, |exits, next| Exits { accept: next, next, ..exits })
        }
        Node::Any(nodes) => {
            sequence(assembler, nodes, exits, |exits, next| Exits { reject: next, next, ..exits })
        }
        Node::Whole(node) => part(assembler, node, Exits { short: exits.reject, ..exits }),
    }
}

/// One part after the other, each but the last going on to the next as `on` says.
fn sequence(
    assembler: &mut Assembler,
    nodes: &[Node],
    exits: Exits,
    on: fn(Exits, Label) -> Exits,
) -> Result<(), Error> {
    let Some((last, before)) = nodes.split_last() else { return Ok(()) };
    for node in before {
        let next = assembler.label();
        part(assembler, node, on(exits, next))?;
        if !assembler.is_used(next) {
            return Ok(());
        }
        assembler.bind(next);
    }
    part(assembler, last, exits)
}

/// A layout constant as an offset in an instruction. All are small.
fn offset(at: usize) -> i16 {
    i16::try_from(at).unwrap_or(i16::MAX)
}

/// The room for a frame, as an immediate operand.
fn capacity() -> i32 {
    i32::try_from(CAPACITY).unwrap_or(i32::MAX)
}
