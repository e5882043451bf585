//! Fewer points with the same outline: a chart has some hundred columns, a run has any number of
//! samples.

use super::Point;

/// Points of a line that a chart draws at most: two for each of about 750 columns.
pub(super) const POINTS_MAX: usize = 1_500;

/// At most `most` of `points`: the least and the greatest of each group of neighbours, so that no
/// peak is lost, and always the first and the last.
pub(super) fn thin(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let groups = (most.saturating_sub(2) / 2).max(1);
    let size = points.len().div_ceil(groups);
    let mut kept = Vec::with_capacity(most);
    kept.extend(points.first());
    for group in points.chunks(size) {
        let least = group.iter().min_by_key(|point| (point.value, point.at_ns));
        let most = group.iter().max_by_key(|point| (point.value, point.at_ns));
        if let (Some(least), Some(most)) = (least, most) {
            let (first, second) = if least.at_ns <= most.at_ns {
                (least, most)
            } else {
                (most, least)
            };
            kept.push(*first);
            kept.push(*second);
        }
    }
    kept.extend(points.last());
    kept
}
