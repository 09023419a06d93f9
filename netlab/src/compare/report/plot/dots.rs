//! Rows of marks with their intervals, each row with a name.

use maud::{Markup, html};

use super::{Look, WIDTH, all, frame, line, mark, px, scale::Scale, text};
use crate::compare::statistics::Estimate;

/// Places of the plot's columns: names end at the first, values begin at the last.
const COLUMNS: [f64; 3] = [66.0, 74.0, 252.0];
/// Height of a mark's own line.
const LINE: f64 = 15.0;
/// Between rows.
const GAP: f64 = 7.0;

/// A plot of rows.
pub(in crate::compare::report) struct Dots<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub description: &'a str,
    pub rows: Vec<Row>,
    pub scale: Scale,
    /// What to write at a tick.
    pub tick: &'a dyn Fn(f64) -> String,
    /// Below the axis, at its ends.
    pub ends: [&'a str; 2],
    /// Lines across all rows, with names above the plot.
    pub references: Vec<(f64, String)>,
}

/// A row.
pub(in crate::compare::report) struct Row {
    pub name: String,
    pub dots: Vec<Dot>,
}

/// A mark.
pub(in crate::compare::report) struct Dot {
    pub look: Look,
    pub estimate: Estimate,
    /// Its value, at the right.
    pub value: String,
    /// What it stands for.
    pub words: String,
    /// Whether it allows to say anything; where not, it is pale.
    pub says: bool,
}

/// Where marks can be.
pub(in crate::compare::report) const ACROSS: [f64; 2] = [COLUMNS[1], COLUMNS[2]];

impl Dots<'_> {
    pub fn draw(&self) -> Markup {
        let named = self.references.iter().filter(|reference| !reference.1.is_empty()).count();
        let top = 4.0 + 13.0 * places(named);
        let tall = |row: &Row| LINE * places(row.dots.len().max(1)) + GAP;
        let bottom = top + self.rows.iter().map(tall).sum::<f64>();
        let mut y = top;
        let (mut rows, mut stripes) = (Vec::new(), Vec::new());
        for (at, row) in self.rows.iter().enumerate() {
            rows.push(draw_row(row, y, &self.scale));
            if at % 2 == 1 {
                stripes.push(html! {
                    rect class="stripe" x="0" y=(px(y)) width=(px(WIDTH)) height=(px(tall(row))) {}
                });
            }
            y += tall(row);
        }
        let labelled = !self.ends.iter().all(|end| end.is_empty());
        let inside = html! {
            (all(stripes))
            (all(self.ticks(top, bottom)))
            (all(self.reference_lines(bottom)))
            (all(rows))
            (line("axis", [COLUMNS[1], bottom], [COLUMNS[2], bottom]))
            @if labelled {
                (text(COLUMNS[1], bottom + 29.0, "small muted", self.ends[0]))
                (text(COLUMNS[2], bottom + 29.0, "small muted end", self.ends[1]))
            }
        };
        let height = bottom + if labelled { 35.0 } else { 20.0 };
        frame(self.id, self.title, self.description, height, &inside)
    }

    fn ticks(&self, top: f64, bottom: f64) -> Vec<Markup> {
        let tick = |value: &f64| {
            let x = self.scale.place(*value);
            html! {
                (line("grid", [x, top], [x, bottom]))
                (text(x, bottom + 14.0, "small muted middle", &(self.tick)(*value)))
            }
        };
        self.scale.ticks(4).iter().map(tick).collect()
    }

    /// The names stand one above the other, since limits are often close.
    fn reference_lines(&self, bottom: f64) -> Vec<Markup> {
        let draw = |(at, (value, name)): (usize, &(f64, String))| {
            let (x, y) = (self.scale.place(*value), 11.0 + 13.0 * places(at));
            let (class, beside) = if x > (COLUMNS[1] + COLUMNS[2]) / 2.0 {
                ("small muted end", x - 4.0)
            } else {
                ("small muted", x + 4.0)
            };
            html! {
                (line("reference", [x, if name.is_empty() { 0.0 } else { y - 8.0 }], [x, bottom]))
                @if !name.is_empty() { g class="over" { (text(beside, y, class, name)) } }
            }
        };
        self.references.iter().enumerate().map(draw).collect()
    }
}

fn draw_row(row: &Row, top: f64, scale: &Scale) -> Markup {
    let height = LINE * places(row.dots.len().max(1)) + GAP;
    let middle = top + height / 2.0;
    let dots = row.dots.iter().enumerate().map(|(number, dot)| {
        let y = top + GAP / 2.0 + LINE * (places(number) + 0.5);
        draw_dot(dot, y, scale)
    });
    html! {
        (text(COLUMNS[0], middle + 4.0, "small end", &row.name))
        @if row.dots.is_empty() {
            (text(COLUMNS[2] + 8.0, middle + 4.0, "small muted", "no value"))
        }
        (all(dots))
    }
}

fn draw_dot(dot: &Dot, y: f64, scale: &Scale) -> Markup {
    let Estimate { median, low, high } = dot.estimate;
    let [low, x, high] = [low, median, high].map(|value| scale.place(value));
    let pale = if dot.says { "" } else { " pale" };
    html! {
        g class={ "dot" (pale) } {
            g class={ "whisker " (dot.look.colour) } {
                (line("", [low, y], [high, y]))
                (line("", [low, y - 3.0], [low, y + 3.0]))
                (line("", [high, y - 3.0], [high, y + 3.0]))
            }
            (mark(x, y, dot.look, Some(&dot.words)))
        }
        (text(COLUMNS[2] + 8.0, y + 4.0, if dot.says { "small" } else { "small muted" }, &dot.value))
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of rows")]
const fn places(count: usize) -> f64 {
    count as f64
}
