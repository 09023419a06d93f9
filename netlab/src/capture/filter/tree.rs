//! A filter as a tree: classic programs, joined by and, or and not.

use super::{
    Options,
    analysis::Analysis,
    classic::{Frame, Outcome, Program},
    vxlan::{self, Inner},
};

/// A part of a filter.
#[derive(Clone, Debug)]
pub enum Node {
    /// The same for every packet.
    Constant(bool),
    /// One classic program.
    Leaf(Leaf),
    /// The frame at `level` is a VXLAN packet, and of that VNI if one is given.
    Vxlan {
        level: usize,
        vni: Option<u32>,
    },
    Not(Box<Self>),
    /// All of them, looked at in this order until one is false.
    All(Vec<Self>),
    /// Any of them, looked at in this order until one is true.
    Any(Vec<Self>),
    /// One expression: where a frame is too short for a program in it, all of it is false, as
    /// it is for libpcap, which has one program for the whole.
    Whole(Box<Self>),
}

/// A classic program, and the frame it is for.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// 0 is the outer frame, 1 the frame in its VXLAN packet, and so on.
    pub level: usize,
    /// What it was compiled from.
    pub source: String,
    pub program: Program,
    pub analysis: Analysis,
}

impl Leaf {
    pub fn new(level: usize, source: String, program: Program) -> Self {
        let analysis = Analysis::of(&program);
        Self { level, source, program, analysis }
    }
}

impl Node {
    /// All of them.
    pub fn all(nodes: Vec<Self>) -> Self {
        let parts = nodes.into_iter().flat_map(|node| match node {
            Self::All(parts) => parts,
            Self::Constant(true) => Vec::new(),
            other => vec![other],
        });
        let mut parts: Vec<Self> = parts.collect();
        match parts.len() {
            0 => Self::Constant(true),
            1 => parts.remove(0),
            _ => Self::All(parts),
        }
    }

    /// Any of them.
    pub fn any(nodes: Vec<Self>) -> Self {
        let parts = nodes.into_iter().flat_map(|node| match node {
            Self::Any(parts) => parts,
            Self::Constant(false) => Vec::new(),
            other => vec![other],
        });
        let mut parts: Vec<Self> = parts.collect();
        match parts.len() {
            0 => Self::Constant(false),
            1 => parts.remove(0),
            _ => Self::Any(parts),
        }
    }

    /// Whether it holds for a frame.
    pub fn accepts(&self, outer: Frame<'_>, options: &Options) -> bool {
        self.judge(&Frames::of(self, outer, options)) == Outcome::Accept
    }

    /// What it says of a frame, a short one included.
    #[cfg(test)]
    pub fn judge_for_tests(&self, outer: Frame<'_>, options: &Options) -> Outcome {
        self.judge(&Frames::of(self, outer, options))
    }

    fn judge(&self, frames: &Frames<'_>) -> Outcome {
        match self {
            Self::Constant(answer) => answer_of(*answer),
            Self::Leaf(leaf) => match frames.at(leaf.level) {
                Some(frame) => leaf.program.run(frame),
                None => Outcome::Reject,
            },
            Self::Vxlan { level, vni } => {
                let inner = frames.inner.get(*level);
                answer_of(inner.is_some_and(|inner| vni.is_none_or(|vni| vni == inner.vni)))
            }
            Self::Not(node) => match node.judge(frames) {
                Outcome::Accept => Outcome::Reject,
                Outcome::Reject => Outcome::Accept,
                Outcome::Short => Outcome::Short,
            },
            Self::All(nodes) => first_not(nodes, Outcome::Accept, frames),
            Self::Any(nodes) => first_not(nodes, Outcome::Reject, frames),
            Self::Whole(node) => match node.judge(frames) {
                Outcome::Short => Outcome::Reject,
                outcome => outcome,
            },
        }
    }

    /// How many bytes of the outer frame it may look at.
    pub fn reach(&self, options: &Options) -> u64 {
        let start = |level| vxlan::farthest_start(options.link, level);
        // Whether there is a frame inside decides also what a leaf says about that frame.
        self.parts().map(|part| part.reach.saturating_add(start(part.level))).max().unwrap_or(0)
    }

    /// How many levels of frames it looks at, the outer one not counted.
    pub fn levels(&self) -> usize {
        self.parts().map(|part| part.level).max().unwrap_or(0)
    }

    /// The frames that it looks at: at which level, and how far into them.
    fn parts(&self) -> Box<dyn Iterator<Item = Part> + '_> {
        let one = |level, reach| Box::new(std::iter::once(Part { level, reach }));
        match self {
            Self::Constant(_) => Box::new(std::iter::empty()),
            Self::Leaf(leaf) => one(leaf.level, leaf.analysis.reach),
            Self::Vxlan { level, .. } => one(level + 1, 0),
            Self::Not(node) | Self::Whole(node) => node.parts(),
            Self::All(nodes) | Self::Any(nodes) => Box::new(nodes.iter().flat_map(Self::parts)),
        }
    }

    /// The same, about the frame inside the one that it is about.
    pub fn inside(self) -> Self {
        let deeper = |nodes: Vec<Self>| nodes.into_iter().map(Self::inside).collect();
        match self {
            Self::Constant(answer) => Self::Constant(answer),
            Self::Leaf(leaf) => Self::Leaf(Leaf { level: leaf.level + 1, ..leaf }),
            Self::Vxlan { level, vni } => Self::Vxlan { level: level + 1, vni },
            Self::Not(node) => Self::Not(Box::new(node.inside())),
            Self::Whole(node) => Self::Whole(Box::new(node.inside())),
            Self::All(nodes) => Self::All(deeper(nodes)),
            Self::Any(nodes) => Self::Any(deeper(nodes)),
        }
    }
}

struct Part {
    level: usize,
    reach: u64,
}

/// The frames of a packet, one in the other.
struct Frames<'a> {
    outer: Frame<'a>,
    inner: Vec<Inner<'a>>,
}

impl<'a> Frames<'a> {
    /// Those that a filter looks at.
    fn of(node: &Node, outer: Frame<'a>, options: &Options) -> Self {
        Self { outer, inner: vxlan::inner_frames(outer, options, node.levels()) }
    }

    fn at(&self, level: usize) -> Option<Frame<'a>> {
        match level.checked_sub(1) {
            None => Some(self.outer),
            Some(index) => self.inner.get(index).map(|inner| inner.frame),
        }
    }
}

const fn answer_of(answer: bool) -> Outcome {
    if answer { Outcome::Accept } else { Outcome::Reject }
}

/// The first outcome that is another, or that one.
fn first_not(nodes: &[Node], outcome: Outcome, frames: &Frames<'_>) -> Outcome {
    let mut outcomes = nodes.iter().map(|node| node.judge(frames));
    outcomes.find(|found| *found != outcome).unwrap_or(outcome)
}
