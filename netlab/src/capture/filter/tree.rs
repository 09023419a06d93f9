//! A filter as a tree: classic programs, joined by and, or and not.

use super::{
    analysis::Analysis,
    classic::{Frame, Outcome, Program},
};

/// A part of a filter.
#[derive(Clone, Debug)]
pub enum Node {
    /// The same for every packet.
    Constant(bool),
    /// One classic program.
    Leaf(Leaf),
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
    pub fn accepts(&self, frame: Frame<'_>) -> bool {
        self.judge(frame) == Outcome::Accept
    }

    fn judge(&self, frame: Frame<'_>) -> Outcome {
        match self {
            Self::Constant(true) => Outcome::Accept,
            Self::Constant(false) => Outcome::Reject,
            Self::Leaf(leaf) => leaf.program.run(frame),
            Self::Not(node) => match node.judge(frame) {
                Outcome::Accept => Outcome::Reject,
                Outcome::Reject => Outcome::Accept,
                Outcome::Short => Outcome::Short,
            },
            Self::All(nodes) => first_not(nodes, Outcome::Accept, frame),
            Self::Any(nodes) => first_not(nodes, Outcome::Reject, frame),
            Self::Whole(node) => match node.judge(frame) {
                Outcome::Short => Outcome::Reject,
                outcome => outcome,
            },
        }
    }

    /// How many bytes of the outer frame it may look at.
    pub fn reach(&self) -> u64 {
        match self {
            Self::Constant(_) => 0,
            Self::Leaf(leaf) => leaf.analysis.reach,
            Self::Not(node) | Self::Whole(node) => node.reach(),
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().map(Self::reach).max().unwrap_or(0),
        }
    }
}

/// The first outcome that is another, or that one.
fn first_not(nodes: &[Node], outcome: Outcome, frame: Frame<'_>) -> Outcome {
    let mut outcomes = nodes.iter().map(|node| node.judge(frame));
    outcomes.find(|found| *found != outcome).unwrap_or(outcome)
}
