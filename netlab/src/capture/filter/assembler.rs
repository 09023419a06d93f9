//! Assembles eBPF instructions (RFC 9669): typed operands, and labels for jumps forward.

use std::collections::HashSet;

use aya_obj::generated::bpf_insn;

use super::Error;

/// One eBPF instruction, laid out as the kernel's `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Class, operation and kind of operand.
    pub code: u8,
    /// Destination in the low four bits, source in the high four.
    pub registers: u8,
    /// Of a jump, in instructions, or of an access to memory, in bytes.
    pub off: i16,
    /// Immediate operand.
    pub imm: i32,
}

impl Instruction {
    /// Its eight bytes on a little-endian machine, as a virtual machine takes them.
    #[must_use]
    pub fn to_le_bytes(self) -> [u8; 8] {
        let [off0, off1] = self.off.to_le_bytes();
        let [imm0, imm1, imm2, imm3] = self.imm.to_le_bytes();
        [self.code, self.registers, off0, off1, imm0, imm1, imm2, imm3]
    }
}

impl From<Instruction> for bpf_insn {
    fn from(instruction: Instruction) -> Self {
        let Instruction { code, registers, off, imm } = instruction;
        let registers = Self::new_bitfield_1(registers & 0xf, registers >> 4);
        Self { code, _bitfield_align_1: [], _bitfield_1: registers, off, imm }
    }
}

/// A register. R10 points to the end of the stack and cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R6,
    R7,
    R8,
    R10,
}

impl Reg {
    const fn number(self) -> u8 {
        match self {
            Self::R0 => 0,
            Self::R1 => 1,
            Self::R2 => 2,
            Self::R3 => 3,
            Self::R6 => 6,
            Self::R7 => 7,
            Self::R8 => 8,
            Self::R10 => 10,
        }
    }
}

/// The second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    Reg(Reg),
    Imm(i32),
}

/// How much of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    Byte,
    Half,
    Word,
}

impl Size {
    const fn code(self) -> u8 {
        match self {
            Self::Byte => 0x10,
            Self::Half => 0x08,
            Self::Word => 0x00,
        }
    }
}

/// Arithmetic. The code is RFC 9669's, section 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Neg = 0x80,
    Mod = 0x90,
    Xor = 0xa0,
    Mov = 0xb0,
}

/// A condition; comparisons are unsigned. The code is RFC 9669's, section 4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    Equal = 0x10,
    Greater = 0x20,
    GreaterEqual = 0x30,
    AnySet = 0x40,
    NotEqual = 0x50,
    Less = 0xa0,
    LessEqual = 0xb0,
}

impl Jump {
    /// The condition that holds where this one does not, if there is one.
    pub const fn opposite(self) -> Option<Self> {
        match self {
            Self::Equal => Some(Self::NotEqual),
            Self::NotEqual => Some(Self::Equal),
            Self::Greater => Some(Self::LessEqual),
            Self::LessEqual => Some(Self::Greater),
            Self::GreaterEqual => Some(Self::Less),
            Self::Less => Some(Self::GreaterEqual),
            Self::AnySet => None,
        }
    }
}

/// A place in the code to jump to, which may be bound later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(usize);

const CLASS_LDX: u8 = 0x01;
const CLASS_ST: u8 = 0x02;
const CLASS_STX: u8 = 0x03;
const CLASS_ALU32: u8 = 0x04;
const CLASS_JMP: u8 = 0x05;
const CLASS_JMP32: u8 = 0x06;
const CLASS_ALU64: u8 = 0x07;
const MODE_MEM: u8 = 0x60;
const SOURCE_REG: u8 = 0x08;
const TO_BIG_ENDIAN: u8 = 0xd8;
const EXIT: u8 = 0x95;

/// Code in the making.
#[derive(Debug, Default)]
pub struct Assembler {
    code: Vec<Instruction>,
    /// Where each label is, once it is bound.
    labels: Vec<Option<usize>>,
    /// Instructions whose offset is to become the distance to a label.
    jumps: Vec<(usize, Label)>,
    /// Labels that a jump leads to.
    used: HashSet<Label>,
    /// Where the last label was bound.
    bound: Option<usize>,
}

impl Assembler {
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Whether a jump to the label has been written. Code that nothing leads to must not be:
    /// the kernel's verifier refuses it.
    pub fn is_used(&self, label: Label) -> bool {
        self.used.contains(&label)
    }

    /// Binds a label to the next instruction.
    pub fn bind(&mut self, label: Label) {
        // A jump to what follows it does nothing.
        while let Some(&(at, target)) = self.jumps.last() {
            let always = at + 1 == self.code.len() && self.code[at].code == CLASS_JMP;
            let entered = self.bound == Some(self.code.len());
            if target != label || !always || entered {
                break;
            }
            self.jumps.pop();
            self.code.pop();
        }
        self.bound = Some(self.code.len());
        self.labels[label.0] = self.bound;
    }

    fn push(&mut self, code: u8, dst: Reg, src: Option<Reg>, off: i16, imm: i32) {
        let registers = dst.number() | src.map_or(0, Reg::number) << 4;
        self.code.push(Instruction { code, registers, off, imm });
    }

    fn operate(&mut self, code: u8, dst: Reg, operand: Operand) {
        match operand {
            Operand::Reg(src) => self.push(code | SOURCE_REG, dst, Some(src), 0, 0),
            Operand::Imm(imm) => self.push(code, dst, None, 0, imm),
        }
    }

    /// 32 bits, the upper half of `dst` becoming zero. [`Alu::Neg`] ignores its operand.
    pub fn alu32(&mut self, alu: Alu, dst: Reg, operand: Operand) {
        self.operate(CLASS_ALU32 | alu as u8, dst, operand);
    }

    /// 64 bits; an immediate operand is sign-extended.
    pub fn alu64(&mut self, alu: Alu, dst: Reg, operand: Operand) {
        self.operate(CLASS_ALU64 | alu as u8, dst, operand);
    }

    /// The value that lies big-endian in `reg`, in host order.
    pub fn swap_big_endian(&mut self, reg: Reg, size: Size) {
        let bits = match size {
            Size::Byte => return,
            Size::Half => 16,
            Size::Word => 32,
        };
        self.push(TO_BIG_ENDIAN | CLASS_ALU32, reg, None, 0, bits);
    }

    pub fn load(&mut self, size: Size, dst: Reg, base: Reg, off: i16) {
        self.push(CLASS_LDX | MODE_MEM | size.code(), dst, Some(base), off, 0);
    }

    pub fn store(&mut self, size: Size, base: Reg, off: i16, operand: Operand) {
        let mode = MODE_MEM | size.code();
        match operand {
            Operand::Reg(src) => self.push(CLASS_STX | mode, base, Some(src), off, 0),
            Operand::Imm(imm) => self.push(CLASS_ST | mode, base, None, off, imm),
        }
    }

    /// Makes the next instruction a jump to the label.
    fn leads(&mut self, to: Label) {
        self.used.insert(to);
        self.jumps.push((self.code.len(), to));
    }

    pub fn jump(&mut self, to: Label) {
        self.leads(to);
        self.push(CLASS_JMP, Reg::R0, None, 0, 0);
    }

    /// Compares the lower 32 bits.
    pub fn jump32(&mut self, condition: Jump, left: Reg, right: Operand, to: Label) {
        self.leads(to);
        self.operate(CLASS_JMP32 | condition as u8, left, right);
    }

    /// Compares 64 bits; an immediate operand is sign-extended.
    pub fn jump64(&mut self, condition: Jump, left: Reg, right: Operand, to: Label) {
        self.leads(to);
        self.operate(CLASS_JMP | condition as u8, left, right);
    }

    pub fn exit(&mut self) {
        self.push(EXIT, Reg::R0, None, 0, 0);
    }

    /// The code, every jump resolved.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] where a jump spans more than 32,767 instructions.
    pub fn finish(mut self) -> Result<Vec<Instruction>, Error> {
        let instructions = self.code.len();
        for (at, label) in self.jumps {
            let target = self.labels[label.0].unwrap_or(instructions);
            let distance = target.checked_sub(at + 1).and_then(|off| i16::try_from(off).ok());
            self.code[at].off = distance.ok_or(Error::TooLarge { instructions })?;
        }
        Ok(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_to_the_next_instruction_vanishes() {
        let mut assembler = Assembler::default();
        let next = assembler.label();
        assembler.jump(next);
        assembler.bind(next);
        assembler.exit();
        assert_eq!(assembler.finish().unwrap().len(), 1);
    }

    #[test]
    fn a_jump_to_the_next_instruction_stays_where_another_jump_leads_behind_it() {
        let mut assembler = Assembler::default();
        let (first, second) = (assembler.label(), assembler.label());
        assembler.jump32(Jump::Equal, Reg::R0, Operand::Imm(1), first);
        assembler.jump(second);
        assembler.bind(first);
        assembler.bind(second);
        assembler.exit();
        let code = assembler.finish().unwrap();
        assert_eq!((code.len(), code[0].off, code[1].off), (3, 1, 0));
    }

    #[test]
    fn a_jump_too_far_is_an_error() {
        let mut assembler = Assembler::default();
        let end = assembler.label();
        assembler.jump(end);
        for _ in 0..=i16::MAX {
            assembler.alu32(Alu::Mov, Reg::R0, Operand::Imm(0));
        }
        assembler.bind(end);
        assert!(matches!(assembler.finish(), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn the_kernels_structure_has_the_same_bytes() {
        let instruction = Instruction { code: 0x79, registers: 0x16, off: -8, imm: 7 };
        let kernel = bpf_insn::from(instruction);
        assert_eq!((kernel.dst_reg(), kernel.src_reg()), (6, 1));
        assert_eq!((kernel.code, kernel.off, kernel.imm), (0x79, -8, 7));
    }
}
