//! One classic program as eBPF.

use netlab_common::filter_input::{AT_BYTES, AT_CAPTURED, AT_WIRE_LEN};

use super::{Exits, capacity, offset};
use crate::capture::filter::{
    Error,
    assembler::{Alu, Assembler, Jump, Label, Operand, Reg, Size},
    classic::{self, Op, SCRATCH, Width},
    tree::Leaf,
};

const A: Reg = Reg::R0;
const X: Reg = Reg::R1;
const OFFSET: Reg = Reg::R2;
const POINTER: Reg = Reg::R3;
const INPUT: Reg = Reg::R6;
const CAPTURED: Reg = Reg::R7;
/// Where the frame begins, if it is not the outer one.
const START: Reg = Reg::R8;

/// Writes the code of a program, for the frame that r8 says unless it is the outer one.
///
/// # Errors
///
/// [`Error::Loop`] where the program jumps backwards.
pub fn emit(assembler: &mut Assembler, leaf: &Leaf, exits: Exits) -> Result<(), Error> {
    if !leaf.program.is_forward() {
        return Err(Error::Loop);
    }
    let ops = leaf.program.ops();
    let targets = ops
        .iter()
        .map(|op| match op {
            Op::ReturnK(0) => exits.reject,
            Op::ReturnK(_) => exits.accept,
            _ => assembler.label(),
        })
        .collect();
    let mut emitter =
        Emitter { assembler, is_inner: leaf.level > 0, exits, ops, targets, at: 0, falls: true };
    emitter.clear(leaf.analysis.unwritten);
    for (at, op) in ops.iter().enumerate() {
        // Where no way leads, there is no code.
        if let Some(captured) = leaf.analysis.captured[at] {
            emitter.at = at;
            emitter.op(*op, captured);
        }
    }
    Ok(())
}

struct Emitter<'a> {
    assembler: &'a mut Assembler,
    is_inner: bool,
    exits: Exits,
    ops: &'a [Op],
    /// Where a jump to each instruction leads: a return is where it returns to.
    targets: Vec<Label>,
    /// The instruction at hand.
    at: usize,
    /// Whether the code so far goes on to the instruction at hand.
    falls: bool,
}

impl Emitter<'_> {
    /// Zeroes A, X and scratch words, a bit each.
    fn clear(&mut self, cells: u32) {
        for (bit, register) in [(0, A), (1, X)] {
            if cells >> bit & 1 == 1 {
                self.assembler.alu32(Alu::Mov, register, Operand::Imm(0));
            }
        }
        for word in (0..SCRATCH).filter(|word| cells >> (2 + word) & 1 == 1) {
            self.assembler.store(Size::Word, Reg::R10, scratch(word), Operand::Imm(0));
        }
    }

    fn op(&mut self, op: Op, captured: u64) {
        if let Op::ReturnK(_) = op {
            if self.falls {
                self.assembler.jump(self.targets[self.at]);
            }
            self.falls = false;
            return;
        }
        self.assembler.bind(self.targets[self.at]);
        self.falls = !matches!(op, Op::ReturnA | Op::Goto(_) | Op::Branch { .. });
        match op {
            Op::Load(width, k) => self.load(A, width, k, captured),
            Op::LoadIndirect(width, k) => self.load_indirect(width, k),
            Op::LoadXHeaderLength(k) => {
                self.load(X, Width::Byte, k, captured);
                self.assembler.alu32(Alu::And, X, Operand::Imm(0xf));
                self.assembler.alu32(Alu::Lsh, X, Operand::Imm(2));
            }
            Op::LoadLength => self.load_length(A),
            Op::LoadXLength => self.load_length(X),
            Op::LoadImmediate(k) => self.assembler.alu32(Alu::Mov, A, immediate(k)),
            Op::LoadXImmediate(k) => self.assembler.alu32(Alu::Mov, X, immediate(k)),
            Op::LoadScratch(word) => {
                self.assembler.load(Size::Word, A, Reg::R10, scratch(word));
            }
            Op::LoadXScratch(word) => {
                self.assembler.load(Size::Word, X, Reg::R10, scratch(word));
            }
            Op::Store(word) => self.store(word, A),
            Op::StoreX(word) => self.store(word, X),
            Op::Arithmetic(alu, operand) => self.arithmetic(alu, operand),
            Op::Negate => self.assembler.alu32(Alu::Neg, A, Operand::Imm(0)),
            Op::AToX => self.assembler.alu32(Alu::Mov, X, Operand::Reg(A)),
            Op::XToA => self.assembler.alu32(Alu::Mov, A, Operand::Reg(X)),
            Op::Goto(to) => self.assembler.jump(self.targets[to]),
            Op::Branch { condition, operand, yes, no } => {
                self.branch(condition, second(operand), yes, no);
            }
            Op::ReturnA => {
                let (accept, reject) = (self.exits.accept, self.exits.reject);
                self.assembler.jump32(Jump::NotEqual, A, Operand::Imm(0), accept);
                self.assembler.jump(reject);
            }
            Op::ReturnK(_) => {}
        }
    }

    /// Loads what lies at `k`, where the first `captured` bytes are known to be there.
    fn load(&mut self, to: Reg, width: Width, k: u32, captured: u64) {
        let Some(end) = end(width, k) else { return self.never() };
        let is_there = u64::from(end.unsigned_abs()) <= captured;
        if self.is_inner {
            self.assembler.alu64(Alu::Mov, OFFSET, Operand::Imm(end));
            self.assembler.alu64(Alu::Add, OFFSET, Operand::Reg(START));
            return self.load_before_offset(to, width, is_there);
        }
        if !is_there {
            self.assembler.load(Size::Word, CAPTURED, INPUT, offset(AT_CAPTURED));
            self.assembler.jump64(Jump::Less, CAPTURED, Operand::Imm(end), self.exits.short);
        }
        let size = size(width);
        match i16::try_from(end) {
            Ok(end) if end <= i16::MAX - offset(AT_BYTES) => {
                let at = end + offset(AT_BYTES) - bytes(width);
                self.assembler.load(size, to, INPUT, at);
            }
            _ => {
                self.assembler.alu64(Alu::Mov, POINTER, Operand::Reg(INPUT));
                self.assembler.alu64(Alu::Add, POINTER, Operand::Imm(end));
                self.assembler.load(size, to, POINTER, offset(AT_BYTES) - bytes(width));
            }
        }
        self.assembler.swap_big_endian(to, size);
    }

    fn load_indirect(&mut self, width: Width, k: u32) {
        let Some(end) = end(width, k) else { return self.never() };
        self.assembler.alu64(Alu::Mov, OFFSET, Operand::Imm(end));
        self.assembler.alu64(Alu::Add, OFFSET, Operand::Reg(X));
        if self.is_inner {
            self.assembler.alu64(Alu::Add, OFFSET, Operand::Reg(START));
        }
        self.load_before_offset(A, width, false);
    }

    /// Loads what ends at OFFSET, which is 32 bits and a little more, so it has not wrapped
    /// around.
    fn load_before_offset(&mut self, to: Reg, width: Width, is_there: bool) {
        let short = self.exits.short;
        if !is_there {
            self.assembler.load(Size::Word, CAPTURED, INPUT, offset(AT_CAPTURED));
            self.assembler.jump64(Jump::Greater, OFFSET, Operand::Reg(CAPTURED), short);
        }
        self.assembler.jump64(Jump::Greater, OFFSET, Operand::Imm(capacity()), short);
        self.assembler.alu64(Alu::Mov, POINTER, Operand::Reg(INPUT));
        self.assembler.alu64(Alu::Add, POINTER, Operand::Reg(OFFSET));
        // Even where the verifier takes OFFSET for 0, this lies in the input, behind its start.
        self.assembler.load(size(width), to, POINTER, offset(AT_BYTES) - bytes(width));
        self.assembler.swap_big_endian(to, size(width));
    }

    fn load_length(&mut self, to: Reg) {
        self.assembler.load(Size::Word, to, INPUT, offset(AT_WIRE_LEN));
        if self.is_inner {
            self.assembler.alu32(Alu::Sub, to, Operand::Reg(START));
        }
    }

    fn store(&mut self, word: usize, from: Reg) {
        self.assembler.store(Size::Word, Reg::R10, scratch(word), Operand::Reg(from));
    }

    /// What cannot be done with any frame. The condition always holds; that it is one keeps
    /// the code behind it reachable.
    fn never(&mut self) {
        let short = self.exits.short;
        self.assembler.alu32(Alu::Mov, A, Operand::Imm(0));
        self.assembler.jump32(Jump::Equal, A, Operand::Imm(0), short);
    }

    fn arithmetic(&mut self, alu: Alu, operand: classic::Operand) {
        match (alu, operand) {
            (Alu::Div | Alu::Mod, classic::Operand::K(0)) => return self.never(),
            (Alu::Div | Alu::Mod, classic::Operand::X) => {
                let short = self.exits.short;
                self.assembler.jump32(Jump::Equal, X, Operand::Imm(0), short);
            }
            (Alu::Lsh | Alu::Rsh, classic::Operand::K(k)) if k >= 32 => {
                return self.assembler.alu32(Alu::Mov, A, Operand::Imm(0));
            }
            // eBPF takes the count modulo 32, classic BPF shifts everything out.
            (Alu::Lsh | Alu::Rsh, classic::Operand::X) => {
                let (shift, done) = (self.assembler.label(), self.assembler.label());
                self.assembler.jump32(Jump::Less, X, Operand::Imm(32), shift);
                self.assembler.alu32(Alu::Mov, A, Operand::Imm(0));
                self.assembler.jump(done);
                self.assembler.bind(shift);
                self.assembler.alu32(alu, A, Operand::Reg(X));
                return self.assembler.bind(done);
            }
            _ => {}
        }
        self.assembler.alu32(alu, A, second(operand));
    }

    fn branch(&mut self, condition: Jump, operand: Operand, yes: usize, no: usize) {
        let (yes_to, no_to) = (self.targets[yes], self.targets[no]);
        if yes_to == no_to {
            return self.assembler.jump(yes_to);
        }
        match condition.opposite() {
            Some(opposite) if self.follows(yes) && !self.follows(no) => {
                self.assembler.jump32(opposite, A, operand, no_to);
                self.assembler.jump(yes_to);
            }
            _ => {
                self.assembler.jump32(condition, A, operand, yes_to);
                self.assembler.jump(no_to);
            }
        }
    }

    /// Whether a jump to an instruction leads right behind the one at hand.
    fn follows(&self, index: usize) -> bool {
        let behind = self.ops[self.at + 1..].iter().position(|op| !matches!(op, Op::ReturnK(_)));
        match behind {
            Some(distance) => index == self.at + 1 + distance,
            None => self.targets[index] == self.exits.next,
        }
    }
}

/// Where a load ends; None where no frame is that long.
fn end(width: Width, k: u32) -> Option<i32> {
    let end = k.checked_add(width.bytes())?;
    i32::try_from(end).ok().filter(|end| *end <= capacity())
}

fn immediate(k: u32) -> Operand {
    Operand::Imm(k.cast_signed())
}

fn second(operand: classic::Operand) -> Operand {
    match operand {
        classic::Operand::K(k) => immediate(k),
        classic::Operand::X => Operand::Reg(X),
    }
}

const fn size(width: Width) -> Size {
    match width {
        Width::Byte => Size::Byte,
        Width::Half => Size::Half,
        Width::Word => Size::Word,
    }
}

const fn bytes(width: Width) -> i16 {
    match width {
        Width::Byte => 1,
        Width::Half => 2,
        Width::Word => 4,
    }
}

/// A scratch word's place on the stack, from its end.
fn scratch(word: usize) -> i16 {
    offset(4 * word) - 4 * offset(SCRATCH)
}
