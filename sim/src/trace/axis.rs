//! The axis of time of a page. Runs are busy for a moment and idle for a long
//! time, so gaps in which nothing happens are drawn narrow, and it is said how
//! long each lasts.

use serde::Serialize;

/// Most gaps that are drawn narrow.
const MOST_GAPS: usize = 7;

/// Where each moment is drawn: places from 0 to 1, straight lines between knots.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Axis {
    /// Moment and place, both growing.
    pub(super) knots: Vec<(u64, f64)>,
    /// Gaps that are drawn narrower than they are: from when until when.
    pub(super) gaps: Vec<(u64, u64)>,
}

impl Axis {
    /// For moments at which something happened, in order, the first and the last
    /// of which are the ends.
    pub(super) fn new(moments: &[u64]) -> Self {
        let (Some(&first), Some(&last)) = (moments.first(), moments.last()) else {
            return Self { knots: vec![(0, 0.0), (1, 1.0)], gaps: Vec::new() };
        };
        let last = last.max(first + 1);
        let mut long: Vec<(u64, u64)> = moments.windows(2).map(|pair| (pair[0], pair[1])).collect();
        long.sort_by_key(|(from, until)| std::cmp::Reverse(until - from));
        long.truncate(MOST_GAPS);
        // The more gaps are taken out the shorter is what is left; a gap is narrow
        // if it is longer than a share of that.
        let mut busy = last - first;
        let mut gaps = Vec::new();
        for (from, until) in long {
            let rest = busy - (until - from);
            if until - from <= rest / 4 || rest == 0 {
                break;
            }
            busy = rest;
            gaps.push((from, until));
        }
        gaps.sort_unstable();
        let width = (busy / 25).max(1);
        let total = busy + width * gaps.len() as u64;
        #[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
        let place = |at: u64| at as f64 / total as f64;
        let mut knots = vec![(first, 0.0)];
        let mut at = 0;
        let mut before = first;
        for &(from, until) in &gaps {
            at += from - before;
            knots.push((from, place(at)));
            at += width;
            knots.push((until, place(at)));
            before = until;
        }
        knots.push((last, 1.0));
        knots.dedup_by_key(|(moment, _)| *moment);
        Self { knots, gaps }
    }

    /// The borders of `count` parts that are drawn equally wide.
    pub(super) fn borders(&self, count: u32) -> Vec<u64> {
        (0..=count).map(|number| self.moment(f64::from(number) / f64::from(count))).collect()
    }

    /// The moment that is drawn at a place.
    fn moment(&self, place: f64) -> u64 {
        let end = self.knots.last().map_or(0, |knot| knot.0);
        let pair = self.knots.windows(2).find(|pair| place < pair[1].1);
        let Some(&[(from, left), (until, right)]) = pair else { return end };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place on a screen"
        )]
        let into = ((until - from) as f64 * ((place - left) / (right - left)).max(0.0)) as u64;
        from + into
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_gap_is_narrow_and_the_order_stays() {
        let mut moments: Vec<u64> = (0..100).map(|n| n * 1000).collect();
        moments.extend((0..100).map(|n| 60_000_000 + n * 1000));
        let axis = Axis::new(&moments);
        assert_eq!(axis.gaps, [(99_000, 60_000_000)]);
        assert!(axis.knots.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "{axis:?}");
        let borders = axis.borders(10);
        assert!(borders.is_sorted());
        assert_eq!((borders[0], borders[10]), (0, 60_099_000));
        assert!(borders[4] < 99_000 && borders[6] > 60_000_000, "{borders:?}");
    }

    #[test]
    fn what_is_even_stays_even_and_nothing_is_drawn_of_nothing() {
        let even: Vec<u64> = (0..1000).collect();
        assert_eq!(Axis::new(&even).gaps, []);
        assert_eq!(Axis::new(&even).borders(2), [0, 499, 999]);
        for moments in [&[][..], &[5], &[5, 5], &[0, 90]] {
            let axis = Axis::new(moments);
            assert!(axis.knots.len() >= 2 && axis.borders(3).is_sorted(), "{axis:?}");
        }
    }
}
