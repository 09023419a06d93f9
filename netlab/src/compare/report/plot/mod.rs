//! Plots, drawn in SVG as parts of the page.
//!
//! All are 340 units wide and stand beside each other where there is room, so that on a phone
//! their letters are as large as the text's. Colours are names of classes, which the page's
//! style gives a light and a dark shade; no value is told by colour alone, marks have shapes and
//! lines have dashes. A mark has the class `mark` and says in words what it stands for.

pub(super) mod dots;
pub(super) mod lines;
pub(super) mod scale;

use maud::{Markup, PreEscaped, html};

use super::judgement::prose;

use crate::{
    compare::{options::Proxy, plan::Cell},
    lab::Mode,
};

/// Width of each plot, in units of its own.
pub(super) const WIDTH: f64 = 340.0;

/// The form of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
}

/// How marks and lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Class of its colour.
    pub colour: &'static str,
    pub shape: Shape,
    /// Marks are empty and lines are dashed.
    pub hollow: bool,
}

impl Look {
    /// One of a network, whatever the proxy.
    pub const fn of_mode(mode: Mode) -> Self {
        match mode {
            Mode::HostGw => Self { colour: "c-host", shape: Shape::Circle, hollow: false },
            Mode::Vxlan => Self { colour: "c-vxlan", shape: Shape::Diamond, hollow: true },
        }
    }

    /// One of a cell: colour and shape tell the proxy, what is hollow and dashed is VXLAN.
    pub const fn of_cell(cell: Cell) -> Self {
        let (colour, shape) = match cell.proxy {
            Proxy::EbpfXdp => ("c-xdp", Shape::Circle),
            Proxy::EbpfTc => ("c-tc", Shape::Square),
            Proxy::Nftables => ("c-nft", Shape::Triangle),
            Proxy::Iptables => ("c-ipt", Shape::Diamond),
            Proxy::None => ("c-none", Shape::Cross),
        };
        Self { colour, shape, hollow: matches!(cell.mode, Mode::Vxlan) }
    }

    /// For a legend: a short line with a mark on it.
    pub fn swatch(self, with_line: bool) -> Markup {
        html! {
            svg class="swatch" viewBox="0 0 28 12" width="28" height="12" aria-hidden="true" {
                @if with_line {
                    line class={ "line " (self.colour) (if self.hollow { " dashed" } else { "" }) }
                        x1="0" y1="6" x2="28" y2="6" {}
                }
                (mark(14.0, 6.0, self, None))
            }
        }
    }
}

/// A plot's frame: its name and description for those who do not see it.
pub(super) fn frame(
    id: &str,
    title: &str,
    description: &str,
    height: f64,
    inside: &Markup,
) -> Markup {
    html! {
        svg class="plot" id=(id) viewBox=(format!("0 0 {WIDTH} {}", px(height))) role="img"
            aria-labelledby={ (id) "-title " (id) "-desc" } {
            title id={ (id) "-title" } { (title) }
            desc id={ (id) "-desc" } { (description) }
            (inside)
        }
    }
}

/// A mark at a place. With words it counts as one that shows a value, and says which.
pub(super) fn mark(x: f64, y: f64, look: Look, words: Option<&str>) -> Markup {
    let radius = 3.6;
    let at = |dx: f64, dy: f64| format!("{},{}", px(x + dx * radius), px(y + dy * radius));
    let polygon = |corners: &[(f64, f64)]| {
        let corners: Vec<_> = corners.iter().map(|(dx, dy)| at(*dx, *dy)).collect();
        html! { polygon points=(corners.join(" ")) {} }
    };
    let form = match look.shape {
        Shape::Circle => html! { circle cx=(px(x)) cy=(px(y)) r=(radius) {} },
        Shape::Square => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        Shape::Triangle => polygon(&[(0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)]),
        Shape::Diamond => polygon(&[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)]),
        Shape::Cross => {
            let path = [at(-0.9, -0.9), at(0.9, 0.9), at(-0.9, 0.9), at(0.9, -0.9)];
            html! { path d=(format!("M{}L{}M{}L{}", path[0], path[1], path[2], path[3])) {} }
        }
    };
    let hollow = if look.hollow { " hollow" } else { "" };
    match words {
        Some(words) => {
            html! { g class={ "mark " (look.colour) (hollow) } { title { (words) } (form) } }
        }
        None => html! { g class={ "mark-key " (look.colour) (hollow) } { (form) } },
    }
}

/// A text in a plot.
pub(super) fn text(x: f64, y: f64, class: &str, words: &str) -> Markup {
    html! { text class=(class) x=(px(x)) y=(px(y)) { (words) } }
}

/// A straight line in a plot.
pub(super) fn line(class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) -> Markup {
    html! { line class=(class) x1=(px(x1)) y1=(px(y1)) x2=(px(x2)) y2=(px(y2)) {} }
}

/// One after the other.
pub(super) fn all(parts: impl IntoIterator<Item = Markup>) -> Markup {
    PreEscaped(parts.into_iter().map(PreEscaped::into_string).collect())
}

/// A coordinate, to a tenth of a unit.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Widest that a text of this many letters may be in a plot, at the size of its class `small`.
#[expect(clippy::cast_precision_loss, reason = "letters of a word")]
pub(super) fn width(words: &str) -> f64 {
    words.chars().count() as f64 * 7.0
}

/// A plot with its heading and the sentence that says what one sees.
pub(super) fn figure(heading: &str, plot: &Markup, caption: &str) -> Markup {
    html! {
        figure {
            h4 { (heading) }
            (plot)
            figcaption { (prose(caption)) }
        }
    }
}
