//! What a classic program may do, without running it: how far into the frame it looks, and
//! what it reads before it has written it.

use super::{
    assembler::{Alu, Jump},
    classic::{Op, Operand, Program, SCRATCH, Width},
};

/// A, X and the scratch words, in this order.
const CELLS: usize = 2 + SCRATCH;
const A: usize = 0;
const X: usize = 1;

/// What is known before an instruction, whatever way led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    /// The largest value of each cell.
    most: [u64; CELLS],
    /// Which cells are written on every way: one bit each.
    written: u32,
    /// How many bytes of the frame are known to be captured.
    captured: u64,
}

/// What [`Analysis::of`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// How many bytes from the start of the frame it may look at, at most.
    pub reach: u64,
    /// Which cells it may read before they are written: bit 0 is A, bit 1 X, then the scratch.
    pub unwritten: u32,
    /// For each instruction, how many bytes are known to be captured when it is reached, from
    /// loads that went before on every way; None where no way leads.
    pub captured: Vec<Option<u64>>,
}

impl Analysis {
    /// Analyses a program. One that jumps backwards may look anywhere.
    pub fn of(program: &Program) -> Self {
        let ops = program.ops();
        if !program.is_forward() {
            return Self {
                reach: u64::MAX,
                unwritten: u32::MAX,
                captured: vec![Some(0); ops.len()],
            };
        }
        let mut known: Vec<Option<Known>> = vec![None; ops.len()];
        known[0] = Some(Known { most: [0; CELLS], written: 0, captured: 0 });
        let mut analysis = Self { reach: 0, unwritten: 0, captured: Vec::new() };
        for (at, op) in ops.iter().enumerate() {
            let Some(mut now) = known[at] else {
                analysis.captured.push(None);
                continue;
            };
            analysis.captured.push(Some(now.captured));
            analysis.unwritten |= reads(op) & !now.written;
            if let Some(end) = now.apply(op) {
                analysis.reach = analysis.reach.max(end);
            }
            match *op {
                Op::ReturnA | Op::ReturnK(_) => {}
                Op::Goto(to) => merge(&mut known[to], now),
                Op::Branch { condition, operand, yes, no } => {
                    merge(&mut known[yes], now.when(condition, operand));
                    merge(&mut known[no], now);
                }
                _ => merge(&mut known[at + 1], now),
            }
        }
        analysis
    }
}

fn merge(known: &mut Option<Known>, other: Known) {
    let Some(known) = known else {
        *known = Some(other);
        return;
    };
    for (most, other) in known.most.iter_mut().zip(other.most) {
        *most = (*most).max(other);
    }
    known.written &= other.written;
    known.captured = known.captured.min(other.captured);
}

/// The cells that an instruction reads.
const fn reads(op: &Op) -> u32 {
    const READS_A: u32 = 1 << A;
    const READS_X: u32 = 1 << X;
    match *op {
        Op::LoadIndirect(..) | Op::StoreX(_) | Op::XToA => READS_X,
        Op::Arithmetic(_, Operand::X) | Op::Branch { operand: Operand::X, .. } => READS_A | READS_X,
        Op::Arithmetic(..) | Op::Branch { .. } => READS_A,
        Op::Store(_) | Op::Negate | Op::ReturnA | Op::AToX => READS_A,
        Op::LoadScratch(word) | Op::LoadXScratch(word) => 1 << (2 + word),
        _ => 0,
    }
}

impl Known {
    /// Where the frame's bytes that the instruction reads end at most, if it reads any.
    fn apply(&mut self, op: &Op) -> Option<u64> {
        let top = |width: Width| u64::from(u32::MAX) >> (32 - 8 * width.bytes());
        let end = |width: Width, k: u32| u64::from(k) + u64::from(width.bytes());
        match *op {
            Op::Load(width, k) => {
                self.set(A, top(width));
                self.captured = self.captured.max(end(width, k));
                return Some(end(width, k));
            }
            Op::LoadIndirect(width, k) => {
                let end = self.most[X] + end(width, k);
                self.set(A, top(width));
                return Some(end);
            }
            Op::LoadXHeaderLength(k) => {
                self.set(X, 60);
                self.captured = self.captured.max(end(Width::Byte, k));
                return Some(end(Width::Byte, k));
            }
            Op::LoadLength | Op::Negate => self.set(A, u32::MAX.into()),
            Op::LoadXLength => self.set(X, u32::MAX.into()),
            Op::LoadImmediate(k) => self.set(A, k.into()),
            Op::LoadXImmediate(k) => self.set(X, k.into()),
            Op::LoadScratch(word) => self.set(A, self.most[2 + word]),
            Op::LoadXScratch(word) => self.set(X, self.most[2 + word]),
            Op::Store(word) => self.set(2 + word, self.most[A]),
            Op::StoreX(word) => self.set(2 + word, self.most[X]),
            Op::AToX => self.set(X, self.most[A]),
            Op::XToA => self.set(A, self.most[X]),
            Op::Arithmetic(alu, operand) => self.set(A, self.most_of(alu, operand)),
            Op::Goto(_) | Op::Branch { .. } | Op::ReturnA | Op::ReturnK(_) => {}
        }
        None
    }

    fn set(&mut self, cell: usize, most: u64) {
        self.most[cell] = most;
        self.written |= 1 << cell;
    }

    /// The largest result that arithmetic can have.
    fn most_of(&self, alu: Alu, operand: Operand) -> u64 {
        const ANY: u64 = u32::MAX as u64;
        let a = self.most[A];
        let most = match operand {
            Operand::K(k) => u64::from(k),
            Operand::X => self.most[X],
        };
        // What can be any larger wraps around, and is then anything.
        let bounded = |most: u64| if most > ANY { ANY } else { most };
        // All bits up to the highest that either may have.
        let bits = |most: u64| (most + 1).next_power_of_two() - 1;
        match (alu, operand) {
            (Alu::Add, _) => bounded(a + most),
            (Alu::Mul, _) => bounded(a.saturating_mul(most)),
            (Alu::Div, Operand::K(k)) => a.checked_div(k.into()).unwrap_or(0),
            (Alu::Div | Alu::Rsh, Operand::X) => a,
            (Alu::Rsh, Operand::K(k)) => a.checked_shr(k).unwrap_or(0),
            (Alu::Lsh, Operand::K(k)) if k < 32 => bounded(a << k),
            (Alu::Mod, _) => a.min(most),
            (Alu::And, _) => a.min(most),
            (Alu::Or | Alu::Xor, _) => bits(a.max(most)),
            _ => ANY,
        }
    }

    /// What is known in addition where a comparison holds.
    fn when(mut self, condition: Jump, operand: Operand) -> Self {
        if let (Jump::Equal, Operand::K(k)) = (condition, operand) {
            self.most[A] = self.most[A].min(k.into());
        }
        self
    }
}
