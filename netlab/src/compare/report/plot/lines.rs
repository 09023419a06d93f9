//! Lines over an axis, with a mark and an interval at each point.

use maud::{Markup, html};

use super::{Look, WIDTH, all, frame, line, mark, px, scale::Scale, text, width};
use crate::compare::statistics::Estimate;

/// Left, right, top and bottom of the area that lines are in.
const AREA: [f64; 4] = [52.0, 328.0, 22.0, 206.0];
const HEIGHT: f64 = 246.0;

/// A plot of lines.
pub(in crate::compare::report) struct Lines<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub description: &'a str,
    /// What is upwards, above the axis.
    pub up: &'a str,
    /// What is across, below the axis.
    pub across: &'a str,
    pub lines: Vec<Line>,
    pub x: Scale,
    pub y: Scale,
    /// Values at the lower axis and what to write there.
    pub x_ticks: Vec<(f64, String)>,
    /// What to write at a tick of the other.
    pub y_tick: &'a dyn Fn(f64) -> String,
}

/// A line.
pub(in crate::compare::report) struct Line {
    pub look: Look,
    pub points: Vec<Point>,
}

/// A point.
pub(in crate::compare::report) struct Point {
    pub x: f64,
    pub y: f64,
    /// Where its value may be, if that is known.
    pub interval: Option<Estimate>,
    /// What its mark says; nothing where there is only the line.
    pub words: Option<String>,
}

/// Where lines can be, from left to right.
pub(in crate::compare::report) const ACROSS: [f64; 2] = [AREA[0], AREA[1]];
/// And from below upwards.
pub(in crate::compare::report) const UPWARDS: [f64; 2] = [AREA[3], AREA[2]];

impl Lines<'_> {
    pub fn draw(&self) -> Markup {
        let [left, right, _, bottom] = AREA;
        let inside = html! {
            (text(2.0, 11.0, "small muted", self.up))
            (all(self.horizontals()))
            (all(self.verticals()))
            (line("axis", [left, bottom], [right, bottom]))
            (all(self.lines.iter().map(|line| self.one(line))))
            (text(f64::midpoint(left, right), HEIGHT - 7.0, "small muted middle", self.across))
        };
        frame(self.id, self.title, self.description, HEIGHT, &inside)
    }

    fn horizontals(&self) -> Vec<Markup> {
        let tick = |value: &f64| {
            let y = self.y.place(*value);
            html! {
                (line("grid", [AREA[0], y], [AREA[1], y]))
                (text(AREA[0] - 6.0, y + 4.0, "small muted end", &(self.y_tick)(*value)))
            }
        };
        self.y.ticks(7).iter().map(tick).collect()
    }

    /// Names that would run into the one before are left out, the last one never.
    fn verticals(&self) -> Vec<Markup> {
        let place = |value: f64, name: &str| {
            let half = width(name) / 2.0;
            let x = self.x.place(value);
            (x, x.clamp(half, WIDTH - half), half)
        };
        let mut free = WIDTH;
        let mut drawn: Vec<Markup> = Vec::new();
        for (value, name) in self.x_ticks.iter().rev() {
            let (x, middle, half) = place(*value, name);
            let fits = middle + half <= free;
            if fits {
                free = middle - half - 2.0;
            }
            drawn.push(html! {
                (line("grid", [x, AREA[2]], [x, AREA[3]]))
                @if fits { (text(middle, AREA[3] + 15.0, "small muted middle", name)) }
            });
        }
        drawn
    }

    fn one(&self, of: &Line) -> Markup {
        let places: Vec<_> = of
            .points
            .iter()
            .map(|point| format!("{},{}", px(self.x.place(point.x)), px(self.y.place(point.y))))
            .collect();
        let dashed = if of.look.hollow { " dashed" } else { "" };
        html! {
            polyline class={ "line " (of.look.colour) (dashed) } points=(places.join(" ")) {}
            @for point in &of.points {
                @let x = self.x.place(point.x);
                @if let Some(Estimate { low, high, .. }) = point.interval {
                    g class={ "whisker " (of.look.colour) } {
                        (line("", [x, self.y.place(low)], [x, self.y.place(high)]))
                    }
                }
                @if let Some(words) = &point.words {
                    (mark(x, self.y.place(point.y), of.look, Some(words)))
                }
            }
        }
    }
}
