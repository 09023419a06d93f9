//! A filter as text: what `tcpdump -d` prints of a classic program, and the tree that joins
//! several.

use std::{borrow::Cow, fmt};

use super::{
    assembler::{Alu, Jump},
    classic::{Op, Operand, Program, Raw, Width},
    compile::KEPT_BY_TCPDUMP as KEPT,
    tree::{Leaf, Node},
};

/// Writes a tree. One program stands for itself; of several, the tree comes first, with a
/// number for each, and then one block for each.
pub fn write(f: &mut fmt::Formatter<'_>, root: &Node) -> fmt::Result {
    if let Some(program) = only_program(root) {
        return write_program(f, &program);
    }
    let mut leaves = Vec::new();
    write_tree(f, root, &mut leaves, false)?;
    for (index, leaf) in leaves.iter().enumerate() {
        write!(f, "\n\n[{}] ", index + 1)?;
        match leaf.level {
            0 => {}
            1 => f.write_str("in the inner frame: ")?,
            level => write!(f, "in the inner frame at level {level}: ")?,
        }
        writeln!(f, "{}", if leaf.source.is_empty() { "everything" } else { &leaf.source })?;
        write_program(f, &leaf.program)?;
    }
    Ok(())
}

/// How the instructions of a program are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// As elements of an array in C.
    C,
    /// As numbers: how many there are, then code, both jumps and operand of each.
    Decimal,
}

/// The instructions of a tree that is one program.
pub fn listing(root: &Node, form: Listing) -> Option<String> {
    let program = only_program(root)?;
    let mut text = match form {
        Listing::C => String::new(),
        Listing::Decimal => format!("{}\n", program.raw().len()),
    };
    for Raw { code, jt, jf, k } in program.raw() {
        text += &match form {
            Listing::C => format!("{{ 0x{code:x}, {jt}, {jf}, 0x{k:08x} }},\n"),
            Listing::Decimal => format!("{code} {jt} {jf} {k}\n"),
        };
    }
    Some(text)
}

/// The program of a tree that is one; libpcap has one for all packets too.
fn only_program(root: &Node) -> Option<Cow<'_, Program>> {
    const RETURN: u16 = 0x06;
    let constant = |k| Program::decode(vec![Raw { code: RETURN, jt: 0, jf: 0, k }]);
    match (root, only_leaf(root)) {
        (Node::Constant(true), _) => constant(KEPT).ok().map(Cow::Owned),
        (Node::Constant(false), _) => constant(0).ok().map(Cow::Owned),
        (_, Some(Leaf { level: 0, program, .. })) => Some(Cow::Borrowed(program)),
        _ => None,
    }
}

fn only_leaf(node: &Node) -> Option<&Leaf> {
    match node {
        Node::Leaf(leaf) => Some(leaf),
        Node::Whole(node) => only_leaf(node),
        _ => None,
    }
}

/// Writes the tree, and notes its leaves in the order of their numbers.
fn write_tree<'a>(
    f: &mut fmt::Formatter<'_>,
    node: &'a Node,
    leaves: &mut Vec<&'a Leaf>,
    in_parentheses: bool,
) -> fmt::Result {
    match node {
        Node::Constant(true) => f.write_str("everything"),
        Node::Constant(false) => f.write_str("nothing"),
        Node::Leaf(leaf) => {
            leaves.push(leaf);
            write!(f, "[{}]", leaves.len())
        }
        Node::Vxlan { vni: Some(vni), .. } => write!(f, "vxlan {vni}"),
        Node::Vxlan { vni: None, .. } => f.write_str("vxlan"),
        Node::Not(node) => {
            f.write_str("not ")?;
            write_tree(f, node, leaves, true)
        }
        Node::Whole(node) => write_tree(f, node, leaves, in_parentheses),
        Node::All(nodes) | Node::Any(nodes) => {
            let joint = if matches!(node, Node::All(_)) { " and " } else { " or " };
            let (open, close) = if in_parentheses { ("(", ")") } else { ("", "") };
            f.write_str(open)?;
            for (index, node) in nodes.iter().enumerate() {
                f.write_str(if index > 0 { joint } else { "" })?;
                write_tree(f, node, leaves, true)?;
            }
            f.write_str(close)
        }
    }
}

fn write_program(f: &mut fmt::Formatter<'_>, program: &Program) -> fmt::Result {
    for (at, (op, raw)) in program.ops().iter().zip(program.raw()).enumerate() {
        f.write_str(if at > 0 { "\n" } else { "" })?;
        write_op(f, at, *op, *raw)?;
    }
    Ok(())
}

/// One line, as libpcap's `bpf_image` has it.
fn write_op(f: &mut fmt::Formatter<'_>, at: usize, op: Op, raw: Raw) -> fmt::Result {
    let (name, operand) = image(op, raw);
    match op {
        Op::Branch { yes, no, .. } => {
            write!(f, "({at:03}) {name:<8} {operand:<16} jt {yes}\tjf {no}")
        }
        _ => write!(f, "({at:03}) {name:<8} {operand}"),
    }
}

fn image(op: Op, raw: Raw) -> (&'static str, String) {
    let k = raw.k.cast_signed();
    let hex = format!("#0x{k:x}");
    let operand = |operand: Operand, immediate: &str| match operand {
        Operand::K(_) => immediate.to_owned(),
        Operand::X => "x".to_owned(),
    };
    match op {
        Op::Load(width, _) => (load(width), format!("[{k}]")),
        Op::LoadIndirect(width, _) => (load(width), format!("[x + {k}]")),
        Op::LoadLength => ("ld", "#pktlen".to_owned()),
        Op::LoadImmediate(_) => ("ld", hex),
        Op::LoadScratch(_) => ("ld", format!("M[{k}]")),
        Op::LoadXHeaderLength(_) => ("ldxb", format!("4*([{k}]&0xf)")),
        Op::LoadXLength => ("ldx", "#pktlen".to_owned()),
        Op::LoadXImmediate(_) => ("ldx", hex),
        Op::LoadXScratch(_) => ("ldx", format!("M[{k}]")),
        Op::Store(_) => ("st", format!("M[{k}]")),
        Op::StoreX(_) => ("stx", format!("M[{k}]")),
        Op::Arithmetic(alu @ (Alu::And | Alu::Or | Alu::Xor), second) => {
            (arithmetic(alu), operand(second, &hex))
        }
        Op::Arithmetic(alu, second) => (arithmetic(alu), operand(second, &format!("#{k}"))),
        Op::Negate => ("neg", String::new()),
        Op::Goto(to) => ("ja", to.to_string()),
        Op::Branch { condition, operand: second, .. } => (jump(condition), operand(second, &hex)),
        Op::ReturnK(_) => ("ret", format!("#{k}")),
        Op::ReturnA => ("ret", String::new()),
        Op::AToX => ("tax", String::new()),
        Op::XToA => ("txa", String::new()),
    }
}

const fn load(width: Width) -> &'static str {
    match width {
        Width::Word => "ld",
        Width::Half => "ldh",
        Width::Byte => "ldb",
    }
}

const fn arithmetic(alu: Alu) -> &'static str {
    match alu {
        Alu::Add => "add",
        Alu::Sub => "sub",
        Alu::Mul => "mul",
        Alu::Div => "div",
        Alu::Or => "or",
        Alu::And => "and",
        Alu::Lsh => "lsh",
        Alu::Rsh => "rsh",
        Alu::Neg => "neg",
        Alu::Mod => "mod",
        Alu::Xor => "xor",
        Alu::Mov => "mov",
    }
}

/// Classic BPF has only the first four.
const fn jump(condition: Jump) -> &'static str {
    match condition {
        Jump::Equal => "jeq",
        Jump::Greater => "jgt",
        Jump::GreaterEqual => "jge",
        Jump::AnySet => "jset",
        Jump::NotEqual => "jne",
        Jump::Less => "jlt",
        Jump::LessEqual => "jle",
    }
}

#[cfg(test)]
mod tests {
    use super::Listing;
    use crate::capture::filter::{Filter, Options};

    fn dump(expression: &str) -> String {
        Filter::parse(expression, &Options::default()).unwrap().to_string()
    }

    #[test]
    fn one_program_is_dumped_as_tcpdump_does() {
        let expected = "\
(000) ldh      [12]
(001) jeq      #0x806           jt 2\tjf 3
(002) ret      #262144
(003) ret      #0";
        assert_eq!(dump("arp"), expected);
    }

    #[test]
    fn all_packets_have_a_program_too() {
        assert_eq!(Filter::all().to_string(), "(000) ret      #262144");
        assert_eq!(Filter::any_of(Vec::new()).to_string(), "(000) ret      #0");
    }

    #[test]
    fn one_program_is_listed_as_tcpdump_does() {
        let list = |expression, form| {
            Filter::parse(expression, &Options::default()).unwrap().listing(form)
        };
        let c = "{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000806 },\n\
                 { 0x6, 0, 0, 0x00040000 },\n{ 0x6, 0, 0, 0x00000000 },\n";
        assert_eq!(list("arp", Listing::C).unwrap(), c);
        let decimal = "4\n40 0 0 12\n21 0 1 2054\n6 0 0 262144\n6 0 0 0\n";
        assert_eq!(list("arp", Listing::Decimal).unwrap(), decimal);
        assert_eq!(list("vxlan 5 and arp", Listing::C), None);
    }

    #[test]
    fn without_the_optimizer_a_program_is_longer() {
        let length = |optimize| {
            let options = Options { optimize, ..Options::default() };
            Filter::parse("tcp port 80 and tcp", &options).unwrap().to_string().lines().count()
        };
        assert!(length(false) > length(true), "{} {}", length(false), length(true));
    }

    #[test]
    fn of_several_programs_the_tree_comes_first() {
        let dump = dump("arp or not (vxlan 5 and (arp or len > 9) and (vxlan or len > 9))");
        let (tree, programs) = dump.split_once("\n\n").unwrap();
        assert_eq!(tree, "[1] or not (vxlan 5 and [2] and (vxlan or [3]))");
        assert!(programs.starts_with("[1] arp\n(000) ldh "), "{programs}");
        assert!(
            programs.contains("\n\n[2] in the inner frame: arp or len > 9\n(000) ld"),
            "{programs}"
        );
    }
}
