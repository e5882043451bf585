//! How values of many runs or samples are spread: the empirical cumulative distribution.

use super::chart::COLOURS;
use super::{Chart, Line, Mark, Scale, Unit};

/// Values by group, of which a chart shows the share at or below each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Distribution {
    /// What it is of, for example `goodput`.
    pub name: String,
    /// The unit of the values.
    pub unit: Unit,
    /// What one step stands for, for example `share of seeds`.
    pub share_of: String,
    /// Values by legend label, in any order.
    pub groups: Vec<(String, Vec<u64>)>,
}

impl Distribution {
    /// Its chart: a staircase for each group.
    #[must_use]
    pub fn chart(&self) -> Chart {
        let largest = self.groups.iter().flat_map(|(_, values)| values).max();
        let scale = Scale::of(self.unit, largest.copied().unwrap_or(0));
        let lines = self
            .groups
            .iter()
            .enumerate()
            .map(|(index, (label, values))| Line {
                label: label.clone(),
                // Colours begin again after eight.
                mark: if (index / COLOURS.len()).is_multiple_of(2) {
                    Mark::Solid
                } else {
                    Mark::Dashed
                },
                points: staircase(values, scale),
            });
        Chart {
            title: format!("Distribution of {}", self.name),
            x_label: scale.label(&self.name),
            y_label: self.share_of.clone(),
            lines: lines.collect(),
            y_max: Some(1.0),
        }
    }
}

/// Steps drawn at most; more are not seen apart.
const STEPS_MAX: usize = 400;

#[expect(clippy::cast_precision_loss, reason = "a picture has a thousand steps")]
fn staircase(values: &[u64], scale: Scale) -> Vec<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let stride = sorted.len().div_ceil(STEPS_MAX).max(1);
    let mut points = Vec::new();
    let mut share = 0.0;
    for (index, value) in sorted.iter().enumerate() {
        let is_last = index + 1 == sorted.len();
        if index % stride != 0 && !is_last {
            continue;
        }
        let x = scale.apply(*value);
        points.push((x, share));
        share = (index + 1) as f64 / sorted.len() as f64;
        points.push((x, share));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_rises_from_nothing_to_one() {
        let scale = Scale::of(Unit::Count, 4);
        let points = staircase(&[4, 1, 2, 2], scale);
        assert_eq!(points.first(), Some(&(1.0, 0.0)));
        assert_eq!(points.last(), Some(&(4.0, 1.0)));
        assert!(points.contains(&(2.0, 0.75)));
        assert!(staircase(&[], scale).is_empty());
    }

    #[test]
    fn many_values_give_a_bounded_number_of_steps() {
        let values: Vec<u64> = (0..100_000).collect();
        let points = staircase(&values, Scale::of(Unit::Count, 100_000));
        assert!(points.len() <= 2 * STEPS_MAX + 4, "{}", points.len());
        assert_eq!(points.last(), Some(&(99_999.0, 1.0)));
    }
}
