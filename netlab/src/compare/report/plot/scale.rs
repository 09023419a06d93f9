//! From values to places in a plot, and which values to write at an axis. Pure.

/// How values are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Evenly.
    Linear,
    /// Evenly by their logarithm.
    Log,
}

/// An axis: values from `from` to `to` lie between two places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    kind: Kind,
    from: f64,
    to: f64,
    places: [f64; 2],
}

impl Scale {
    /// From zero to a little more than the largest value.
    #[must_use]
    pub fn from_zero(values: impl Iterator<Item = f64>, places: [f64; 2]) -> Self {
        let largest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let to = if largest > 0.0 { largest * 1.04 } else { 1.0 };
        Self { kind: Kind::Linear, from: 0.0, to, places }
    }

    /// Around all values, by their logarithm; what is not above zero has no place.
    #[must_use]
    pub fn log(values: impl Iterator<Item = f64>, places: [f64; 2]) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most <= 0.0 {
            (least, most) = (1.0, 10.0);
        }
        (least, most) = (least.max(1e-12), most.min(1e15));
        // With less than an octave around, a line that is level would fill the plot with noise.
        let (mut from, mut to) = (least / 1.15, most * 1.15);
        if to / from < 2.0 {
            let middle = (from * to).sqrt();
            (from, to) = (middle / 2.0_f64.sqrt(), middle * 2.0_f64.sqrt());
        }
        Self { kind: Kind::Log, from, to, places }
    }

    /// The same values between other places.
    #[must_use]
    pub fn exactly(kind: Kind, [from, to]: [f64; 2], places: [f64; 2]) -> Self {
        Self { kind, from, to, places }
    }

    /// Where a value lies; what is outside lies at the end.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        let share = match self.kind {
            Kind::Linear => (value - self.from) / (self.to - self.from),
            Kind::Log => {
                (value.max(f64::MIN_POSITIVE) / self.from).ln() / (self.to / self.from).ln()
            }
        };
        let [start, end] = self.places;
        share.clamp(0.0, 1.0).mul_add(end - start, start)
    }

    /// Round values to write at the axis, `most` at most.
    #[must_use]
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        match self.kind {
            Kind::Linear => linear(self.from, self.to, most),
            Kind::Log => log(self.from, self.to, most),
        }
    }
}

/// Multiples of the smallest step of 1, 2 or 5 that makes few enough.
fn linear(from: f64, to: f64, most: usize) -> Vec<f64> {
    let rough = (to - from) / precise(most.max(1));
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
    let first = (from / step).ceil();
    (0..=most)
        .map(|at| (first + precise(at)) * step)
        .take_while(|value| *value <= to * (1.0 + 1e-9))
        .collect()
}

/// The densest of some patterns in each decade that makes few enough.
fn log(from: f64, to: f64, most: usize) -> Vec<f64> {
    const PATTERNS: [&[f64]; 4] =
        [&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let decades = (whole(from.log10().floor())..=whole(to.log10().ceil())).map(f64::from);
    let of = |pattern: &[f64], every: usize| -> Vec<f64> {
        let decade = |power: f64| pattern.iter().map(move |part| part * 10.0_f64.powf(power));
        let all = decades.clone().step_by(every).flat_map(decade);
        all.filter(|value| (from..=to).contains(value)).collect()
    };
    let dense = PATTERNS.iter().map(|pattern| of(pattern, 1));
    let sparse = [2, 3, 4].map(|every| of(&[1.0], every));
    let mut all = dense.chain(sparse).filter(|ticks| ticks.len() <= most);
    all.next().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of ticks")]
const fn precise(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, reason = "powers of ten that a double can have")]
const fn whole(power: f64) -> i32 {
    power as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_where_they_belong() {
        let scale = Scale::exactly(Kind::Linear, [0.0, 10.0], [100.0, 200.0]);
        assert_eq!([0.0, 5.0, 10.0, 11.0].map(|v| scale.place(v)), [100.0, 150.0, 200.0, 200.0]);
        // Upwards, where places count downwards.
        let scale = Scale::exactly(Kind::Log, [1.0, 100.0], [200.0, 100.0]);
        assert_eq!([1.0, 10.0, 100.0, 0.0].map(|v| scale.place(v)), [200.0, 150.0, 100.0, 200.0]);
    }

    #[test]
    fn ticks_are_round_few_and_inside() {
        let ticks = |kind, ends| Scale::exactly(kind, ends, [0.0, 1.0]).ticks(5);
        assert_eq!(ticks(Kind::Linear, [0.0, 10.4]), [0.0, 5.0, 10.0]);
        assert_eq!(ticks(Kind::Linear, [0.0, 1.0]), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(Kind::Log, [1.5, 220.0]), [3.0, 10.0, 30.0, 100.0]);
        assert_eq!(ticks(Kind::Log, [8.0, 20.0]), [10.0, 15.0, 20.0]);
    }

    #[test]
    fn nothing_to_show_is_no_failure() {
        assert!(Scale::log([].into_iter(), [0.0, 1.0]).place(3.0).is_finite());
        assert!(Scale::from_zero([f64::NAN].into_iter(), [0.0, 1.0]).place(3.0).is_finite());
        assert!((Scale::log([7.0].into_iter(), [0.0, 1.0]).place(7.0) - 0.5).abs() < 1e-9);
    }
}
