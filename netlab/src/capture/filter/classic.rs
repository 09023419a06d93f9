//! Classic BPF: what libpcap compiles an expression to, and an interpreter for it.
//!
//! The law is libpcap's `bpf_filter`: A, X and the scratch memory are 32 bits wide and
//! unsigned, packets are big-endian, and a load beyond the captured bytes or a division by
//! zero ends the program without acceptance ([`Outcome::Short`]).

use super::{
    Error,
    assembler::{Alu, Jump},
};

/// Words of scratch memory.
pub const SCRATCH: usize = 16;

/// A frame to look at.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// As much of it as was captured.
    pub bytes: &'a [u8],
    /// Its length on the wire.
    pub wire_len: u32,
}

/// What a program says of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accept,
    Reject,
    /// The frame ends before something that the program must see, or it divides by zero:
    /// neither the expression nor its negation can be said to hold.
    Short,
}

/// How much a load takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    Byte,
    Half,
    Word,
}

impl Width {
    /// In bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }
}

/// The second operand of arithmetic and of a comparison with A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    K(u32),
    X,
}

/// One instruction. Jumps name the index of their target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A = what lies at k.
    Load(Width, u32),
    /// A = what lies at X + k.
    LoadIndirect(Width, u32),
    /// A = length on the wire.
    LoadLength,
    LoadImmediate(u32),
    LoadScratch(usize),
    /// X = 4 * the lower half of the byte at k: an IPv4 header's length.
    LoadXHeaderLength(u32),
    LoadXLength,
    LoadXImmediate(u32),
    LoadXScratch(usize),
    Store(usize),
    StoreX(usize),
    Arithmetic(Alu, Operand),
    Negate,
    Goto(usize),
    Branch {
        condition: Jump,
        operand: Operand,
        yes: usize,
        no: usize,
    },
    ReturnK(u32),
    ReturnA,
    AToX,
    XToA,
}

/// An instruction as libpcap gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// A program: never empty, and every jump leads to one of its instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    raw: Vec<Raw>,
    ops: Vec<Op>,
}

impl Program {
    /// Understands a program.
    ///
    /// # Errors
    ///
    /// [`Error::Instruction`] for what this module does not know, which libpcap never emits.
    pub fn decode(raw: Vec<Raw>) -> Result<Self, Error> {
        let count = raw.len();
        let bad =
            |at: usize| Error::Instruction { at, code: raw.get(at).map_or(0, |raw| raw.code) };
        let ops: Result<Vec<Op>, Error> = raw
            .iter()
            .enumerate()
            .map(|(at, raw)| decode(at, *raw, count).ok_or_else(|| bad(at)))
            .collect();
        let ops = ops?;
        match ops.last() {
            Some(Op::ReturnK(_) | Op::ReturnA | Op::Goto(_) | Op::Branch { .. }) => {
                Ok(Self { raw, ops })
            }
            _ => Err(bad(count)),
        }
    }

    /// Its instructions as libpcap gave them.
    pub fn raw(&self) -> &[Raw] {
        &self.raw
    }

    /// Its instructions.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Whether no jump leads backwards. Only `protochain` jumps backwards.
    pub fn is_forward(&self) -> bool {
        self.ops.iter().enumerate().all(|(at, op)| match *op {
            Op::Goto(to) => to > at,
            Op::Branch { yes, no, .. } => yes > at && no > at,
            _ => true,
        })
    }

    /// Runs it.
    pub fn run(&self, frame: Frame<'_>) -> Outcome {
        self.interpret(frame).unwrap_or(Outcome::Short)
    }

    /// None for [`Outcome::Short`].
    fn interpret(&self, frame: Frame<'_>) -> Option<Outcome> {
        let (mut a, mut x, mut scratch) = (0_u32, 0_u32, [0_u32; SCRATCH]);
        let mut next = 0;
        // A protochain advances by a header or more in each round, so this ends it never
        // before its time, and a program that would not end, at last.
        let rounds = self.ops.len().saturating_mul(frame.bytes.len() + 1);
        for _ in 0..rounds {
            let at = next;
            next += 1;
            match *self.ops.get(at)? {
                Op::Load(width, k) => a = load(frame, width, 0, k)?,
                Op::LoadIndirect(width, k) => a = load(frame, width, x, k)?,
                Op::LoadLength => a = frame.wire_len,
                Op::LoadImmediate(k) => a = k,
                Op::LoadScratch(k) => a = scratch[k],
                Op::LoadXHeaderLength(k) => x = 4 * (load(frame, Width::Byte, 0, k)? & 0xf),
                Op::LoadXLength => x = frame.wire_len,
                Op::LoadXImmediate(k) => x = k,
                Op::LoadXScratch(k) => x = scratch[k],
                Op::Store(k) => scratch[k] = a,
                Op::StoreX(k) => scratch[k] = x,
                Op::Arithmetic(alu, operand) => a = calculate(alu, a, operand.value(x))?,
                Op::Negate => a = a.wrapping_neg(),
                Op::Goto(to) => next = to,
                Op::Branch { condition, operand, yes, no } => {
                    next = if holds(condition, a, operand.value(x)) { yes } else { no };
                }
                Op::ReturnK(k) => return Some(outcome(k)),
                Op::ReturnA => return Some(outcome(a)),
                Op::AToX => x = a,
                Op::XToA => a = x,
            }
        }
        None
    }
}

impl Operand {
    const fn value(self, x: u32) -> u32 {
        match self {
            Self::K(k) => k,
            Self::X => x,
        }
    }
}

const fn outcome(returned: u32) -> Outcome {
    if returned == 0 { Outcome::Reject } else { Outcome::Accept }
}

fn load(frame: Frame<'_>, width: Width, x: u32, k: u32) -> Option<u32> {
    let from = usize::try_from(u64::from(x) + u64::from(k)).ok()?;
    let bytes = frame.bytes.get(from..)?;
    Some(match width {
        Width::Byte => u32::from(*bytes.first()?),
        Width::Half => u32::from(u16::from_be_bytes(*bytes.first_chunk()?)),
        Width::Word => u32::from_be_bytes(*bytes.first_chunk()?),
    })
}

/// None where it divides by zero. A shift by more than 31 bits leaves nothing.
fn calculate(alu: Alu, a: u32, operand: u32) -> Option<u32> {
    Some(match alu {
        Alu::Add => a.wrapping_add(operand),
        Alu::Sub => a.wrapping_sub(operand),
        Alu::Mul => a.wrapping_mul(operand),
        Alu::Div => a.checked_div(operand)?,
        Alu::Mod => a.checked_rem(operand)?,
        Alu::And => a & operand,
        Alu::Or => a | operand,
        Alu::Xor => a ^ operand,
        Alu::Lsh => a.checked_shl(operand).unwrap_or(0),
        Alu::Rsh => a.checked_shr(operand).unwrap_or(0),
        Alu::Neg => a.wrapping_neg(),
        Alu::Mov => operand,
    })
}

const fn holds(condition: Jump, a: u32, operand: u32) -> bool {
    match condition {
        Jump::Equal => a == operand,
        Jump::NotEqual => a != operand,
        Jump::Greater => a > operand,
        Jump::GreaterEqual => a >= operand,
        Jump::Less => a < operand,
        Jump::LessEqual => a <= operand,
        Jump::AnySet => a & operand != 0,
    }
}

/// Classes, sizes and modes of <linux/bpf_common.h>.
fn decode(at: usize, raw: Raw, count: usize) -> Option<Op> {
    let Raw { code, jt, jf, k } = raw;
    let word = || usize::try_from(k).ok().filter(|k| *k < SCRATCH);
    Some(match code {
        0x20 => Op::Load(Width::Word, k),
        0x28 => Op::Load(Width::Half, k),
        0x30 => Op::Load(Width::Byte, k),
        0x40 => Op::LoadIndirect(Width::Word, k),
        0x48 => Op::LoadIndirect(Width::Half, k),
        0x50 => Op::LoadIndirect(Width::Byte, k),
        0x80 => Op::LoadLength,
        0x00 => Op::LoadImmediate(k),
        0x60 => Op::LoadScratch(word()?),
        0xb1 => Op::LoadXHeaderLength(k),
        0x81 => Op::LoadXLength,
        0x01 => Op::LoadXImmediate(k),
        0x61 => Op::LoadXScratch(word()?),
        0x02 => Op::Store(word()?),
        0x03 => Op::StoreX(word()?),
        0x84 => Op::Negate,
        0x05 => Op::Goto(target(at, k.cast_signed(), count)?),
        0x06 => Op::ReturnK(k),
        0x16 => Op::ReturnA,
        0x07 => Op::AToX,
        0x87 => Op::XToA,
        _ => {
            let operand = if code & 0x08 == 0 { Operand::K(k) } else { Operand::X };
            let operation = u8::try_from(code & !0x0f).ok()?;
            match code & 0x07 {
                0x04 => Op::Arithmetic(arithmetic(operation)?, operand),
                0x05 => Op::Branch {
                    condition: condition(operation)?,
                    operand,
                    yes: target(at, jt.into(), count)?,
                    no: target(at, jf.into(), count)?,
                },
                _ => return None,
            }
        }
    })
}

fn target(at: usize, offset: i32, count: usize) -> Option<usize> {
    let offset = isize::try_from(offset).ok()?;
    at.checked_add(1)?.checked_add_signed(offset).filter(|target| *target < count)
}

/// The codes of classic and extended BPF are the same.
const fn arithmetic(operation: u8) -> Option<Alu> {
    Some(match operation {
        0x00 => Alu::Add,
        0x10 => Alu::Sub,
        0x20 => Alu::Mul,
        0x30 => Alu::Div,
        0x40 => Alu::Or,
        0x50 => Alu::And,
        0x60 => Alu::Lsh,
        0x70 => Alu::Rsh,
        0x90 => Alu::Mod,
        0xa0 => Alu::Xor,
        _ => return None,
    })
}

const fn condition(operation: u8) -> Option<Jump> {
    Some(match operation {
        0x10 => Jump::Equal,
        0x20 => Jump::Greater,
        0x30 => Jump::GreaterEqual,
        0x40 => Jump::AnySet,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(instructions: &[(u16, u8, u8, u32)]) -> Result<Program, Error> {
        Program::decode(
            instructions.iter().map(|&(code, jt, jf, k)| Raw { code, jt, jf, k }).collect(),
        )
    }

    fn run(instructions: &[(u16, u8, u8, u32)]) -> Outcome {
        program(instructions).unwrap().run(Frame { bytes: &[0x45, 1, 2, 3, 4], wire_len: 9 })
    }

    #[test]
    fn a_load_beyond_the_captured_bytes_ends_the_program() {
        assert_eq!(run(&[(0x20, 0, 0, 1), (0x06, 0, 0, 1)]), Outcome::Accept);
        assert_eq!(run(&[(0x20, 0, 0, 2), (0x06, 0, 0, 1)]), Outcome::Short);
        assert_eq!(run(&[(0x20, 0, 0, u32::MAX), (0x06, 0, 0, 1)]), Outcome::Short);
    }

    #[test]
    fn an_indirect_load_does_not_wrap_around() {
        let program = [(0x01, 0, 0, u32::MAX), (0x50, 0, 0, 1), (0x06, 0, 0, 1)];
        assert_eq!(run(&program), Outcome::Short);
    }

    #[test]
    fn a_shift_by_32_leaves_nothing() {
        let program = [(0x00, 0, 0, 1), (0x01, 0, 0, 32), (0x6c, 0, 0, 0), (0x16, 0, 0, 0)];
        assert_eq!(run(&program), Outcome::Reject);
    }

    #[test]
    fn a_division_by_zero_ends_the_program() {
        let program = [(0x00, 0, 0, 1), (0x01, 0, 0, 0), (0x3c, 0, 0, 0), (0x06, 0, 0, 1)];
        assert_eq!(run(&program), Outcome::Short);
    }

    #[test]
    fn an_endless_program_ends() {
        assert_eq!(run(&[(0x05, 0, 0, u32::MAX)]), Outcome::Short);
    }

    #[test]
    fn a_program_that_runs_off_its_end_is_refused() {
        assert!(matches!(program(&[(0x00, 0, 0, 1)]), Err(Error::Instruction { at: 1, .. })));
        assert!(matches!(program(&[]), Err(Error::Instruction { .. })));
        assert!(matches!(program(&[(0x05, 0, 0, 0)]), Err(Error::Instruction { at: 0, .. })));
    }
}
